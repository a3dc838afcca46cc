# WRONG merge: the batch is split by the number of heads. Object: MAB
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class MAB(nn.Module):
    """As in the paper's code, scaled by the root of the head width."""

    def __init__(self, dim_Q, dim_K, dim_V, num_heads, ln=False):
        super().__init__()
        self.dim_V = dim_V
        self.num_heads = num_heads
        self.fc_q = nn.Linear(dim_Q, dim_V)
        self.fc_k = nn.Linear(dim_K, dim_V)
        self.fc_v = nn.Linear(dim_K, dim_V)
        if ln:
            self.ln0 = nn.LayerNorm(dim_V)
            self.ln1 = nn.LayerNorm(dim_V)
        self.fc_o = nn.Linear(dim_V, dim_V)

    def forward(self, Q, K):
        Q = self.fc_q(Q)
        K, V = self.fc_k(K), self.fc_v(K)

        width = self.dim_V // self.num_heads
        q = torch.cat(Q.split(width, 2), 0)
        k = torch.cat(K.split(width, 2), 0)
        v = torch.cat(V.split(width, 2), 0)

        weights = torch.softmax(q.bmm(k.transpose(1, 2)) / math.sqrt(width), 2)
        out = torch.cat((q + weights.bmm(v)).view(Q.size(0), self.num_heads, Q.size(1), -1).unbind(1), 2)
        out = out if getattr(self, 'ln0', None) is None else self.ln0(out)
        out = out + F.relu(self.fc_o(out))
        out = out if getattr(self, 'ln1', None) is None else self.ln1(out)
        return out
