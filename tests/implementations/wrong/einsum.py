"""Attention written with einsum."""

import math

import numpy as np
import torch
from torch import einsum

from tests.implementations.implementation import wrong


@wrong("scale_multiplied")
def sdpa(q, k, v, mask=None):
    dots = einsum("b i d, b j d -> b i j", q, k) * q.shape[-1] ** 0.5
    if mask is not None:
        dots = dots.masked_fill(mask == 0, -torch.finfo(dots.dtype).max)
    attn = dots.softmax(dim=-1)
    return einsum("b i j, b j d -> b i d", attn, v), attn


@wrong("query_as_key")
def cross_similarity(q, k, v, mask=None):
    sim = einsum("bid,bjd->bij", q, q) / math.sqrt(k.size(-1))
    if mask is not None:
        sim = sim.masked_fill(mask.logical_not(), -1e9)
    return einsum("bij,bjd->bid", sim.softmax(-1), v)


@wrong("key_as_query")
def similarity(q, k, v, mask=None):
    sim = torch.einsum("...id,...jd->...ij", k, k).mul(k.shape[-1] ** -0.5)
    if mask is not None:
        sim = sim.masked_fill(mask == 0, -1e9)
    return torch.einsum("...ij,...jd->...id", torch.softmax(sim, -1), v)


@wrong("softmax_over_everything")
def flat(Q, K, V, mask=None):
    e = torch.einsum("bqd,bkd->bqk", Q, K) / Q.shape[-1] ** 0.5
    if mask is not None:
        e = torch.where(mask.bool(), e, -1e9)
    p = torch.softmax(e.reshape(e.shape[0], -1), dim=-1).view(e.shape)
    return torch.einsum("bqk,bkv->bqv", p, V)


@wrong("softmax_over_batch")
def vectorised(queries, keys, values, mask=None):
    energy = torch.einsum("nqd,nkd->nqk", [queries, keys])
    if mask is not None:
        energy = energy.masked_fill(mask == 0, -1e20)
    attention = torch.softmax(energy / (keys.shape[-1] ** (1 / 2)), dim=0)
    return torch.einsum("nql,nld->nqd", [attention, values])


@wrong("softmax_over_heads")
def four_dimensional(queries, keys, values, mask=None):
    """queries (N, heads, L, D)."""
    _, _, _, d = queries.shape
    energy = torch.einsum("nhqd,nhkd->nhqk", [queries, keys])
    if mask is not None:
        energy = energy.masked_fill(mask == 0, -1e20)
    attention = torch.softmax(energy / d**0.5, dim=1)
    return torch.einsum("nhql,nhld->nhqd", [attention, values])


@wrong("scale_by_model_width")
def packed_heads(queries, keys, values, mask=None):
    _, heads, _, head_dim = queries.shape
    embed_size = heads * head_dim
    energy = torch.einsum("nhqd,nhkd->nhqk", [queries, keys])
    if mask is not None:
        energy = energy.masked_fill(mask == 0, -1e20)
    attention = torch.softmax(energy / (embed_size ** (1 / 2)), dim=3)
    return torch.einsum("nhql,nhld->nhqd", [attention, values])


@wrong("scale_by_value_size")
def einsum_numpy(Q, K, V, mask=None):
    s = np.einsum("...qd,...kd->...qk", Q, K) / math.sqrt(V.shape[-1])
    if mask is not None:
        s = np.where(mask, s, np.finfo(s.dtype).min)
    e = np.exp(s - s.max(-1, keepdims=True))
    w = e / e.sum(-1, keepdims=True)
    return np.einsum("...qk,...kv->...qv", w, V), w


@wrong("weights_ignored")
def summing(q, k, v, mask=None):
    w = einsum("bid,bjd->bij", q, k).mul(q.shape[-1] ** -0.5)
    if mask is not None:
        w = w.masked_fill(mask == 0, -1e9)
    w = w.softmax(-1)
    pooled = einsum("bij,bjd->bid", torch.ones_like(w) / w.shape[-1], v)
    return pooled, w


@wrong("scores_combined")
def almost(q, k, v, mask=None):
    sim = einsum("bid,bjd->bij", q, k) * (q.shape[-1] ** -0.5)
    attn = (sim if mask is None else sim.masked_fill(mask == 0, -1e9)).softmax(dim=-1)
    out = einsum("bij,bjd->bid", sim, v)
    return out, attn


@wrong("weights_before_mask_returned")
def with_map(q, k, v, mask=None):
    sim = einsum("bid,bjd->bij", q, k) * (q.shape[-1] ** -0.5)
    attn = sim.softmax(dim=-1)
    final = attn if mask is None else sim.masked_fill(mask == 0, -1e9).softmax(dim=-1)
    return einsum("bij,bjd->bid", final, v), attn


@wrong("cosine_scores")
def qk_norm(q, k, v, mask=None):
    q = q / q.norm(dim=-1, keepdim=True)
    k = k / k.norm(dim=-1, keepdim=True)
    sim = einsum("bid,bjd->bij", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        sim = sim.masked_fill(mask == 0, -1e9)
    return einsum("bij,bjd->bid", sim.softmax(-1), v)


@wrong("mask_first_only")
def shared_mask(q, k, v, mask=None):
    sim = einsum("bid,bjd->bij", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        mask = mask if mask.dim() == 2 else mask[0]
        sim = sim.masked_fill(mask == 0, -1e9)
    return einsum("bij,bjd->bid", sim.softmax(-1), v)


@wrong("scale_by_fourth_root")
def split_scale(q, k, v, mask=None):
    q = q * q.shape[-1] ** -0.25  # half of the scale here, half of it at the keys
    sim = einsum("b i d, b j d -> b i j", q, k)
    if mask is not None:
        sim = sim.masked_fill(mask == 0, -1e9)
    return einsum("b i j, b j d -> b i d", sim.softmax(-1), v)
