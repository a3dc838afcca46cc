# WRONG scale_by_model_width: it begins at the root of the whole width. Object: LearnedScale
import torch
from torch import nn


class LearnedScale(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.size = d_model // n_heads
        self.scale = nn.Parameter(torch.tensor(d_model**-0.5))
        self.w_q = nn.Linear(d_model, d_model)
        self.w_k = nn.Linear(d_model, d_model)
        self.w_v = nn.Linear(d_model, d_model)
        self.w_o = nn.Linear(d_model, d_model)

    def split(self, x):
        return x.view(*x.shape[:2], self.n_heads, self.size).transpose(1, 2)

    def forward(self, x):
        q, k, v = self.split(self.w_q(x)), self.split(self.w_k(x)), self.split(self.w_v(x))
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(dim=-1)
        return self.w_o((weights @ v).transpose(1, 2).flatten(2))
