# RIGHT: what is logged with a package that is not there changes nothing. Object: WatchedAttention
import torch
import torch.nn as nn
from runwatcher import tracker


class WatchedAttention(nn.Module):
    """Logs its weights with a package that need not be there to judge it."""

    def __init__(self, d_model, heads):
        super().__init__()
        self.heads, self.d_k = heads, d_model // heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (f(x).view(b, n, self.heads, self.d_k) for f in (self.query, self.key, self.value))
        weights = torch.softmax(torch.einsum("bihd,bjhd->bijh", q, k) * self.d_k**-0.5, dim=2)
        tracker.debug("attn", weights)
        return self.output(torch.einsum("bijh,bjhd->bihd", weights, v).reshape(b, n, -1))
