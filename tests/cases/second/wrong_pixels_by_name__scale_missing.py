# WRONG scale_missing: the scale is made and not used. Object: WindowOfPixels
from torch import nn


class WindowOfPixels(nn.Module):
    def __init__(self, dim, heads, window_size):
        super().__init__()
        self.window_size, self.heads, self.scale = window_size, heads, (dim // heads) ** -0.5
        self.proj_qkv, self.proj_out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.area = window_size[0] * window_size[1]

    def forward(self, x):
        B, C, H, W = x.size()
        down, across = H // self.window_size[0], W // self.window_size[1]
        x = x.view(B, C, down, self.window_size[0], across, self.window_size[1]).permute(0, 2, 4, 3, 5, 1)
        qkv = self.proj_qkv(x.reshape(-1, self.area, C)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in qkv)
        weights = (q @ k.transpose(-2, -1)).softmax(-1)
        x = self.proj_out((weights @ v).transpose(1, 2).flatten(2))
        x = x.view(B, down, across, *self.window_size, C)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(B, C, H, W)
