# WRONG causal_missing: its comment says that it is causal. Object: Attend
from torch import nn


class Attend(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.drop = nn.Dropout(dropout)

    def forward(self, q, k, v):
        # Causal attention over the heads
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        return self.drop(scores.softmax(-1)) @ v
