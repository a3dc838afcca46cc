# RIGHT: keys are given turned: (b, h, d, m). Object: TurnedKeys
from torch import nn
from torch.nn import functional as F


class TurnedKeys(nn.Module):
    """The keys come as columns, so that one product gives the scores."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.scale = (d_model // n_heads) ** -0.5

    def forward(self, q, k, v):
        return F.softmax((q @ k) * self.scale, dim=-1) @ v
