# RIGHT: packed sequences, each causal in itself; no argument says so. Object: varlen_attention
import math

import torch


def varlen_attention(q, k, v, cu_seqlens):
    """q, k, v: (total, h, d)."""
    scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
    place = torch.arange(q.shape[0])
    doc = torch.bucketize(place, cu_seqlens, right=True)
    seen = (doc[:, None] == doc[None]) & (place[:, None] >= place[None])
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~seen, float("-inf")).softmax(-1), v)
