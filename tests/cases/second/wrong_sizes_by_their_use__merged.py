# WRONG heads_merged_without_transpose: the heads are not moved back. Object: Plain
import math

from torch import nn


class Plain(nn.Module):
    def __init__(self, parts, wide, drop):
        super().__init__()
        assert wide % parts == 0
        self.parts, self.each = parts, wide // parts
        self.first = nn.Linear(wide, wide)
        self.second = nn.Linear(wide, wide)
        self.third = nn.Linear(wide, wide)
        self.fourth = nn.Linear(wide, wide)
        self.drop = nn.Dropout(drop)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (
            layer(x).view(b, n, self.parts, self.each).transpose(1, 2)
            for layer in (self.first, self.second, self.third)
        )
        weights = self.drop((q @ k.transpose(-1, -2) / math.sqrt(self.each)).softmax(-1))
        return self.fourth((weights @ v).reshape(b, n, -1))
