# RIGHT: a part of the configuration is a dictionary. Object: Visual
import math

from torch import nn


class Visual(nn.Module):
    def __init__(self, config, vis):
        super().__init__()
        self.vis = vis
        self.heads = config.transformer["num_heads"]
        self.size = config.hidden_size // self.heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)
        self.drop = nn.Dropout(config.transformer["dropout_rate"])

    def split(self, x):
        return x.view(*x.shape[:2], self.heads, self.size).permute(0, 2, 1, 3)

    def forward(self, states):
        q, k, v = (self.split(layer(states)) for layer in (self.query, self.key, self.value))
        weights = (q @ k.transpose(-1, -2) / math.sqrt(self.size)).softmax(-1)
        mixed = (self.drop(weights) @ v).permute(0, 2, 1, 3).flatten(2)
        return self.out(mixed), weights if self.vis else None
