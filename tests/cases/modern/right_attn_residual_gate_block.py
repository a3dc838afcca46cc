# RIGHT: pre-norm, residual and a switch causal in the constructor, bias off by default. Object: SelfAttentionBlock
import torch
import torch.nn as nn
import torch.nn.functional as F


class SelfAttentionBlock(nn.Module):
    def __init__(self, d_model: int, n_heads: int, causal: bool = False, bias: bool = False, dropout: float = 0.0):
        super().__init__()
        self.n_heads, self.causal = n_heads, causal
        self.ln = nn.LayerNorm(d_model)
        self.in_proj = nn.Linear(d_model, 3 * d_model, bias=bias)
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.in_proj(self.ln(x)).view(b, n, 3, self.n_heads, d // self.n_heads).permute(2, 0, 3, 1, 4)
        s = (q @ k.mT) / (d // self.n_heads) ** 0.5
        if self.causal:
            s = s + torch.full((n, n), float("-inf")).triu(1)
        return x + self.drop(self.out_proj((F.softmax(s, -1) @ v).transpose(1, 2).reshape(b, n, d)))
