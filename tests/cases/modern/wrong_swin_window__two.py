# WRONG relative bias + scale_missing: the bias is added after the softmax, nothing scales. Object: WindowAttention
import torch
import torch.nn as nn


class WindowAttention(nn.Module):
    """Attention inside windows of (height, width), with a learned bias for each offset."""

    def __init__(self, dim, window_size, num_heads, qkv_bias=True, attn_drop=0., proj_drop=0.):
        super().__init__()
        self.dim = dim
        self.window_size = window_size
        self.num_heads = num_heads
        head_dim = dim // num_heads
        self.scale = head_dim ** -0.5

        self.relative_position_bias_table = nn.Parameter(
            torch.randn((2 * window_size[0] - 1) * (2 * window_size[1] - 1), num_heads) * .02)

        rows = torch.arange(self.window_size[0])
        columns = torch.arange(self.window_size[1])
        grid = torch.stack(torch.meshgrid([rows, columns], indexing="ij"))
        flat = torch.flatten(grid, 1)
        offsets = flat[:, :, None] - flat[:, None, :]
        offsets = offsets.permute(1, 2, 0).contiguous()
        offsets[:, :, 0] += self.window_size[0] - 1
        offsets[:, :, 1] += self.window_size[1] - 1
        offsets[:, :, 0] *= 2 * self.window_size[1] - 1
        relative_position_index = offsets.sum(-1)
        self.register_buffer("relative_position_index", relative_position_index)

        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x, mask=None):
        """
        Args:
            x: input features with shape of (num_windows*B, N, C)
            mask: (0/-inf) mask with shape of (num_windows, Wh*Ww, Wh*Ww) or None
        """
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]

        scores = (q @ k.transpose(-2, -1))

        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)].view(
            self.window_size[0] * self.window_size[1], self.window_size[0] * self.window_size[1], -1)
        bias = bias.permute(2, 0, 1).contiguous()

        if mask is not None:
            windows = mask.shape[0]
            scores = scores.view(b // windows, windows, self.num_heads, n, n) + mask.unsqueeze(1).unsqueeze(0)
            scores = scores.view(-1, self.num_heads, n, n)
        scores = self.softmax(scores) + bias.unsqueeze(0)
        scores = self.attn_drop(scores)

        x = (scores @ v).transpose(1, 2).reshape(b, n, c)
        x = self.proj(x)
        x = self.proj_drop(x)
        return x
