# WRONG scale_by_model_width: the width of all heads is under the root. Object: ClassBeside
import torch
from torch import nn


class ClassBeside(nn.Module):
    def __init__(self, dim_in, dim_out, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.scale = dim_out**-0.5
        self.near = nn.Conv2d(dim_in, dim_in, 1, groups=dim_in)
        self.proj_q = nn.Linear(dim_in, dim_out)
        self.proj_k = nn.Linear(dim_in, dim_out)
        self.proj_v = nn.Linear(dim_in, dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def split(self, x):
        return x.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    def forward(self, x, h, w):
        first, points = torch.split(x, [1, h * w], 1)
        points = self.near(points.transpose(1, 2).unflatten(2, (h, w))).flatten(2).transpose(1, 2)
        x = torch.cat((first, points), dim=1)
        q, k, v = self.split(self.proj_q(x)), self.split(self.proj_k(x)), self.split(self.proj_v(x))
        weights = (torch.einsum("bhid,bhjd->bhij", q, k) * self.scale).softmax(-1)
        return self.proj(torch.einsum("bhij,bhjd->bihd", weights, v).flatten(2))
