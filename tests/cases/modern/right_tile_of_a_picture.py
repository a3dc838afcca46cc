# RIGHT: `window` is the side of a tile that is given whole; positions have a table of biases. Object: TileAttention
import torch
from torch import nn


class TileAttention(nn.Module):
    def __init__(self, dim, window, num_heads):
        super().__init__()
        self.window, self.num_heads, self.scale = window, num_heads, (dim // num_heads) ** -0.5
        self.relative_position_table = nn.Parameter(0.02 * torch.randn((2 * window - 1) ** 2, num_heads))
        y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        place = torch.stack([y.flatten(), x.flatten()])
        apart = place[:, :, None] - place[:, None, :] + window - 1
        self.register_buffer("relative_position_index", apart[0] * (2 * window - 1) + apart[1])
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_table[self.relative_position_index.view(-1)].view(N, N, -1).permute(2, 0, 1)
        attn = ((q * self.scale) @ k.transpose(-2, -1) + bias).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(B, N, C))
