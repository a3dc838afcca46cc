# RIGHT: queries and keys share one projection, normalised keys (Reformer, full attention). Object: SharedQKAttention
import torch
import torch.nn as nn
import torch.nn.functional as F


class SharedQKAttention(nn.Module):
    """Shared-QK: keys are the normalised queries; a token does not attend to itself unless nothing else is there."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.toqk = nn.Linear(dim, dim, bias=False)
        self.tov = nn.Linear(dim, dim, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x):
        b, t, d = x.shape
        qk, v = (f(x).view(b, t, self.heads, -1).transpose(1, 2) for f in (self.toqk, self.tov))
        k = F.normalize(qk, 2, dim=-1)
        dot = torch.einsum('bhie,bhje->bhij', qk, k) * (qk.shape[-1] ** -0.5)
        dot = dot.masked_fill(torch.eye(t, dtype=torch.bool), -5e4)
        dot = dot.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), torch.finfo(dot.dtype).min)
        return self.to_out((dot.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))
