# WRONG scale_by_key_size: the scores are divided by the size itself. Object: Beside
import math

import torch
from torch import nn


class Beside(nn.Module):
    def __init__(self, num_hidden, h=4):
        super().__init__()
        self.h, self.size = h, num_hidden // h
        self.query = nn.Linear(num_hidden, num_hidden, bias=False)
        self.key = nn.Linear(num_hidden, num_hidden, bias=False)
        self.value = nn.Linear(num_hidden, num_hidden, bias=False)
        self.last = nn.Linear(num_hidden * 2, num_hidden)

    def split(self, x):
        return x.view(*x.shape[:2], self.h, self.size).transpose(1, 2)

    def forward(self, memory, x):
        q, k, v = self.split(self.query(x)), self.split(self.key(memory)), self.split(self.value(memory))
        weights = (q @ k.transpose(-1, -2) / self.size).softmax(-1)
        heads = (weights @ v).transpose(1, 2).reshape(x.shape)
        return self.last(torch.cat([x, heads], dim=-1)) + x
