"""Attention in PyTorch as textbooks write it: scores, mask, softmax, weighted sum."""

import math

import torch
import torch.nn.functional as F

from tests.implementations.implementation import valid


@valid()
def attention(Q, K, V, mask=None, scale=True):
    d_k = Q.size(-1)
    scores = torch.matmul(Q, K.transpose(-2, -1))
    if scale:
        scores = scores / math.sqrt(d_k)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, float("-inf"))
    attention_weights = F.softmax(scores, dim=-1)
    attention_weights = attention_weights.masked_fill(torch.isnan(attention_weights), 0.0)
    return torch.matmul(attention_weights, V), attention_weights


@valid()
def attention_large_negative(query, key, value, mask=None, dropout=None):
    """Compute 'Scaled Dot Product Attention'."""
    d_k = query.size(-1)
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    p_attn = scores.softmax(dim=-1)
    if dropout is not None:
        p_attn = dropout(p_attn)
    return torch.matmul(p_attn, value), p_attn


@valid()
def unscaled_attention(q, k, v, mask=None):
    # no scale is applied here
    q = q * q.shape[-1] ** -0.5
    s = q @ k.mT
    if mask is not None:
        s = s.masked_fill(~mask.bool(), torch.finfo(s.dtype).min)
    return s.softmax(-1) @ v


@valid()
def split_scale(query, key, value, mask=None):
    root = query.shape[-1] ** -0.25
    sim = torch.einsum("...qd,...kd->...qk", query * root, key * root)
    if mask is not None:
        sim = torch.where(mask.bool(), sim, torch.tensor(-1e30, dtype=sim.dtype))
    p = torch.softmax(sim, -1)
    return torch.einsum("...qk,...kd->...qd", p, value), p


@valid()
def einsum_batched(x, y, z, keep=None):
    a = torch.einsum("bim,bjm->bij", x, y) / x.shape[2] ** 0.5
    if keep is not None:
        a = a.masked_fill(keep == 0, -torch.inf)
    a = torch.nan_to_num(torch.softmax(a, dim=2))
    return torch.einsum("bij,bjw->biw", a, z), a


@valid()
def einsum_heads(q, k, v, mask=None):
    logits = torch.einsum("b h t e, b h s e -> b h t s".replace(" ", ""), q, k)
    logits = logits / logits.new_tensor(k.size(3)).sqrt()
    if mask is not None:
        logits = logits.masked_fill(mask.logical_not(), -1e9)
    probs = logits.softmax(dim=3)
    return torch.einsum("bhts,bhsf->bhtf", probs, v), probs


@valid()
def einsum_keys_first(Q, K, V, mask=None):
    # The scores are laid out keys x queries, and the softmax is taken down the columns.
    scores = torch.einsum("...kd,...qd->...kq", K, Q) * K.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(mask.mT == 0, -1e12)
    weights = scores.softmax(dim=-2)
    return torch.einsum("...kq,...kv->...qv", weights, V), weights.mT


@valid()
def batched_products(query, key, value, mask=None):
    energy = torch.bmm(query, key.permute(0, 2, 1)).div(math.sqrt(key.size(2)))
    if mask is not None:
        energy = energy.masked_fill(mask == 0, float("-1e20"))
    attention = F.softmax(energy, dim=2)
    context = torch.bmm(attention, value)
    return context, attention


@valid()
def batched_sum_and_product(q, k, v, mask=None):
    bias = q.new_zeros(q.shape[0], q.shape[1], k.shape[1])
    if mask is not None:
        bias = bias.masked_fill(mask == 0, -1e9)
    scores = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=1 / math.sqrt(q.shape[2]))
    weights = torch.softmax(scores, dim=-1)
    return torch.bmm(weights, v), weights


@valid()
def two_dimensional_only(Q, K, V, mask=None):
    n, d = Q.shape
    m, _ = K.shape
    scores = torch.mm(Q, K.t()) / d**0.5
    assert scores.shape == (n, m)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    weights = torch.softmax(scores, dim=1)
    return torch.mm(weights, V), weights


@valid()
def four_dimensional_only(q, k, v, attn_mask=None):
    b, h, n_q, d = q.size()
    _, _, n_k, d_v = v.size()
    flat_q = q.reshape(b * h, n_q, d)
    flat_k = k.reshape(b * h, n_k, d)
    scores = flat_q.bmm(flat_k.transpose(1, 2)).mul(d**-0.5).view(b, h, n_q, n_k)
    if attn_mask is not None:
        scores = scores.masked_fill(attn_mask == 0, -1e9)
    weights = scores.softmax(-1)
    out = weights.view(b * h, n_q, n_k).bmm(v.reshape(b * h, n_k, d_v))
    return out.view(b, h, n_q, d_v), weights


@valid()
def transposed_keys_first(Q, K, V, mask=None):
    K_T = torch.transpose(K, -1, -2).contiguous()
    dim_k = torch.tensor(K_T.shape[-2], dtype=Q.dtype)
    logits = (Q @ K_T) / torch.sqrt(dim_k)
    if mask is not None:
        logits[mask.expand_as(logits) == 0] = -1e9
    return torch.softmax(logits, -1) @ V


@valid()
def softmax_by_hand(Q, K, V, mask=None, scale=True):
    scores = Q @ K.transpose(-1, -2)
    scores = scores * (1 / Q.shape[-1] ** 0.5 if scale else 1.0)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    largest = scores.max(dim=-1, keepdim=True)[0]
    e = torch.exp(scores - largest)
    weights = e / e.sum(dim=-1, keepdim=True)
    return weights @ V, weights


@valid()
def softmax_by_logsumexp(Q, K, V, mask=None):
    scores = (Q @ K.mT).div(K.shape[-1] ** 0.5)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -torch.inf)
    weights = (scores - scores.logsumexp(-1, keepdim=True).clamp(min=-1e30)).exp()
    return weights @ V, weights


@valid()
def softmax_through_its_logarithm(Q, K, V, mask=None):
    scores = Q.matmul(K.mT) / K.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    weights = F.log_softmax(scores, dim=-1).exp()
    return weights.matmul(V), weights


@valid()
def broadcast_products(Q, K, V, mask=None):
    scores = (Q.unsqueeze(-2) * K.unsqueeze(-3)).sum(-1) / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    weights = scores.softmax(-1)
    return (weights.unsqueeze(-1) * V.unsqueeze(-3)).sum(-2), weights


@valid(scaled=False)
def dot_product_attention(Q, K, V, mask=None):
    """Scaled dot-product attention."""
    scores = Q @ K.mT
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    weights = scores.softmax(-1)
    return weights @ V, weights


@valid(scaled=False)
def dot_product_attention_output_only(q, k, v):
    return torch.softmax(torch.einsum("...id,...jd->...ij", q, k), dim=-1) @ v
