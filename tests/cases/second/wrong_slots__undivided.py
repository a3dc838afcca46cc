# WRONG softmax_over_queries: nothing divides by the sums over the tokens. Object: Slots
import torch
from torch import nn


class Slots(nn.Module):
    """Slots compete for tokens: a softmax over the slots, then the mean of what each of them won."""

    def __init__(self, dim):
        super().__init__()
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.scale = dim**-0.5

    def forward(self, x, context):
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context)
        attn = (torch.einsum("bid,bjd->bij", q, k) * self.scale).softmax(dim=1)
        return torch.einsum("bij,bjd->bid", attn, v)
