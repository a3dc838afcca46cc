"""Causal attention: functions that hide the future themselves."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.implementations.implementation import valid


@valid("causal_attention")
def lower_triangle(Q, K, V):
    n_q, n_k = Q.shape[-2], K.shape[-2]
    keep = torch.tril(torch.ones(n_q, n_k), diagonal=n_k - n_q)
    scores = (Q @ K.mT / math.sqrt(Q.shape[-1])).masked_fill(keep == 0, -1e9)
    weights = scores.softmax(-1)
    return weights @ V, weights


@valid("causal_attention")
def upper_triangle(query, key, value):
    n_q, n_k = query.size(-2), key.size(-2)
    future = torch.ones(n_q, n_k, dtype=torch.bool).triu(1 + n_k - n_q)
    scores = torch.matmul(query, key.transpose(-1, -2)) / query.size(-1) ** 0.5
    p = scores.masked_fill(future, float("-inf")).softmax(-1)
    return p.masked_fill(p.isnan(), 0.0) @ value


@valid("causal_attention", align="start")
def sees_the_future(Q, K, V):
    i = torch.arange(Q.shape[-2])[:, None]
    j = torch.arange(K.shape[-2])[None, :]
    s = torch.where(j > i, -1e9, Q @ K.mT / Q.shape[-1] ** 0.5)
    w = s.softmax(-1)
    return w @ V, w


@valid("causal_attention")
def positions_of_a_cache(q, k, v):
    """The queries are the last of the keys."""
    past = k.shape[-2] - q.shape[-2]
    position = torch.arange(q.shape[-2]) + past
    s = torch.einsum("...id,...jd->...ij", q * q.shape[-1] ** -0.5, k)
    s = s + torch.zeros_like(s).masked_fill(torch.arange(k.shape[-2]) > position.unsqueeze(-1), -1e9)
    return s.softmax(-1) @ v


@valid("causal_attention", align="start")
def wrapped(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


@valid("causal_attention")
def wrapped_at_the_end(q, k, v):
    n_q, n_k = q.shape[-2], k.shape[-2]
    keep = torch.ones(n_q, n_k, dtype=torch.bool).tril(n_k - n_q)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keep).nan_to_num()


@valid("causal_attention", align="start")
def prefix_by_prefix(Q, K, V):
    """Query i attends to a slice that ends with key i."""
    rows = []
    for i in range(Q.shape[-2]):
        q, k, v = Q[..., i : i + 1, :], K[..., : i + 1, :], V[..., : i + 1, :]
        rows.append(torch.softmax(q @ k.mT / math.sqrt(k.shape[-1]), -1) @ v)
    return torch.cat(rows, -2)


@valid("causal_attention")
def loops_over_the_batch(Q, K, V):
    out = Q.new_zeros(Q.shape[0], Q.shape[1], V.shape[2])
    shift = K.shape[1] - Q.shape[1]
    for b in range(Q.shape[0]):
        for i in range(Q.shape[1]):
            last = i + shift + 1
            if last > 0:
                w = torch.softmax(K[b, :last] @ Q[b, i] / Q.shape[2] ** 0.5, 0)
                out[b, i] = w @ V[b, :last]
    return out


@valid("causal_attention")
def weights_zeroed_and_renormalised(Q, K, V):
    s = Q @ K.mT * Q.shape[-1] ** -0.5
    keep = torch.ones_like(s).tril(K.shape[-2] - Q.shape[-2])
    top = torch.where(keep.bool(), s, -torch.inf).amax(-1, keepdim=True).clamp(min=-1e30)
    e = torch.exp((s - top).clamp(max=0.0)) * keep
    w = e / e.sum(-1, keepdim=True).clamp(min=1e-30)
    return w @ V, w


@valid("causal_attention")
def in_numpy(Q, K, V):
    n_q, n_k = Q.shape[-2], K.shape[-2]
    s = Q @ np.swapaxes(K, -1, -2) / math.sqrt(Q.shape[-1])
    s = np.where(np.tri(n_q, n_k, n_k - n_q, dtype=bool), s, -1e9).astype(Q.dtype)
    e = np.exp(s - s.max(-1, keepdims=True))
    w = e / e.sum(-1, keepdims=True)
    return w @ V, w
