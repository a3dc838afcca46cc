# RIGHT: a comment lists another function's arguments, `causal` among them. Object: Attend
from torch import nn


class Attend(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.drop = nn.Dropout(dropout)

    def forward(self, q, k, v):
        # the fused one takes: q, k, v, mask, dropout, causal, scale
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        return self.drop(scores.softmax(-1)) @ v
