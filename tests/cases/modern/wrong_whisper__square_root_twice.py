# WRONG scale: the whole scale on the queries and on the keys. Object: MultiHeadAttention
from typing import Dict, Optional

import numpy as np
import torch
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    def __init__(self, n_state: int, n_head: int):
        super().__init__()
        self.n_head = n_head
        self.query = nn.Linear(n_state, n_state)
        self.key = nn.Linear(n_state, n_state, bias=False)
        self.value = nn.Linear(n_state, n_state)
        self.out = nn.Linear(n_state, n_state)

    def forward(self, x: Tensor, xa: Optional[Tensor] = None, mask: Optional[Tensor] = None, kv_cache: Optional[dict] = None):
        q = self.query(x)
        if kv_cache is None or xa is None or self.key not in kv_cache:
            k = self.key(x if xa is None else xa)
            v = self.value(x if xa is None else xa)
            if kv_cache is not None and xa is None and self.key in kv_cache:
                k = torch.cat([kv_cache[self.key], k], dim=1)
                v = torch.cat([kv_cache[self.value], v], dim=1)
            if kv_cache is not None:
                kv_cache[self.key], kv_cache[self.value] = k, v
        else:
            k = kv_cache[self.key]
            v = kv_cache[self.value]

        mixed, scores = self.attend(q, k, v, mask)
        return self.out(mixed), scores

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor] = None):
        n_batch, n, n_state = q.shape
        offset = k.shape[1] - n
        scale = (n_state // self.n_head) ** -0.5
        q = q.view(*q.shape[:2], self.n_head, -1).permute(0, 2, 1, 3) * scale
        k = k.view(*k.shape[:2], self.n_head, -1).permute(0, 2, 3, 1) * scale
        v = v.view(*v.shape[:2], self.n_head, -1).permute(0, 2, 1, 3)

        scores = q @ k
        if mask is not None:
            scores = scores + mask[offset : offset + n, : offset + n]
        scores = scores.float()

        weights = torch.softmax(scores, dim=-1).to(q.dtype)
        return (weights @ v).permute(0, 2, 1, 3).flatten(start_dim=2), scores.detach()
