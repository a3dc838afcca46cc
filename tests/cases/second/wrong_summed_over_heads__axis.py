# WRONG softmax_over_queries: the softmax runs over the queries. Object: PerHead
import torch
from torch import nn


class PerHead(nn.Module):
    def __init__(self, n_heads, d_model, d_head):
        super().__init__()
        self.W_Q = nn.Parameter(torch.randn(n_heads, d_model, d_head))
        self.W_K = nn.Parameter(torch.randn(n_heads, d_model, d_head))
        self.W_V = nn.Parameter(torch.randn(n_heads, d_model, d_head))
        self.W_O = nn.Parameter(torch.randn(n_heads, d_head, d_model))
        self.b_K = nn.Parameter(torch.zeros(n_heads, d_head))
        self.b_O = nn.Parameter(torch.zeros(d_model))
        self.root = d_head**0.5

    def forward(self, x):
        q = torch.einsum("bnm,hmd->bnhd", x, self.W_Q)
        k = torch.einsum("bnm,hmd->bnhd", x, self.W_K) + self.b_K
        v = torch.einsum("bnm,hmd->bnhd", x, self.W_V)
        weights = (torch.einsum("bqhd,bkhd->bhqk", q, k) / self.root).softmax(-2)
        heads = torch.einsum("bhqk,bkhd->bqhd", weights, v)
        return torch.einsum("bqhd,hdm->bqhm", heads, self.W_O).sum(2) + self.b_O
