# RIGHT: keys and values stay latents; the matrices of the heads are taken into queries and outputs. Object: LatentAttention
import torch
from torch import nn


class LatentAttention(nn.Module):
    def __init__(self, dim, n_heads, head_dim=8, latent_dim=6):
        super().__init__()
        self.n_heads, self.head_dim, self.v_head_dim = n_heads, head_dim, head_dim
        self.wq, self.wkv_a = nn.Linear(dim, n_heads * head_dim), nn.Linear(dim, latent_dim)
        self.wkv_b = nn.Parameter(torch.randn(n_heads, 2 * head_dim, latent_dim))
        self.wo = nn.Linear(n_heads * head_dim, dim)

    def forward(self, x):
        b, n, _ = x.shape
        q, latents = self.wq(x).view(b, n, self.n_heads, self.head_dim), self.wkv_a(x)
        q = torch.einsum("bshd,hdc->bshc", q, self.wkv_b[:, : self.head_dim])
        scores = torch.einsum("bshc,btc->bsht", q, latents) * self.head_dim**-0.5
        out = torch.einsum("bsht,btc->bshc", scores.softmax(-1), latents)
        out = torch.einsum("bshc,hdc->bshd", out, self.wkv_b[:, self.head_dim :])
        return self.wo(out.flatten(2))
