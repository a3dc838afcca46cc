# WRONG alibi: the bias is scaled along with the scores. Object: AlibiSelfAttention
import torch
from torch import nn


def get_slopes(n):
    start = 2 ** (-8 / n)
    return torch.tensor([start ** (i + 1) for i in range(n)])


class AlibiSelfAttention(nn.Module):
    def __init__(self, d_model: int = 64, n_heads: int = 8):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.register_buffer("slopes", get_slopes(n_heads))

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = [t.view(B, T, self.n_heads, -1).transpose(1, 2) for t in self.qkv(x).split(C, dim=-1)]
        pos = torch.arange(T)
        bias = -(pos[None, :] - pos[:, None]).abs() * self.slopes[:, None, None]
        att = torch.softmax((q @ k.transpose(2, 3) + bias) / (C // self.n_heads) ** 0.5, dim=-1)
        return self.out((att @ v).transpose(1, 2).reshape(B, T, C))
