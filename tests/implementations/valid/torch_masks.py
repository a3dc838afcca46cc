"""Attention in PyTorch: every right way to apply a mask, keep, hide or additive."""

import torch
import torch.nn.functional as F

from tests.implementations.implementation import valid


@valid()
def one_minus_mask(Q, K, V, mask=None):
    """The mask holds ones where a key is seen, zeros where it is not."""
    scores = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores + (1 - mask) * -1e9
    weights = F.softmax(scores, dim=-1)
    return weights @ V, weights


@valid()
def one_minus_mask_of_floats(query, key, value, attention_mask=None):
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if attention_mask is not None:
        scores = scores + (1.0 - attention_mask.to(scores.dtype)) * torch.finfo(scores.dtype).min
    return scores.softmax(-1) @ value


@valid()
def mask_turned_into_a_bias(Q, K, V, mask=None):
    bias = 0.0
    if mask is not None:
        bias = torch.zeros(mask.shape, dtype=Q.dtype)
        bias.masked_fill_(mask.logical_not(), -1e9)
    weights = torch.softmax(Q @ K.mT / Q.shape[-1] ** 0.5 + bias, dim=-1)
    return weights @ V, weights


@valid()
def bias_from_the_logarithm_of_the_mask(Q, K, V, mask=None):
    scores = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores + mask.to(scores.dtype).log()
        scores = scores.masked_fill(scores.isneginf().all(-1, keepdim=True), 0.0)
    weights = scores.softmax(-1)
    return weights @ V, weights


@valid()
def mask_multiplied(Q, K, V, mask=None):
    # The hidden scores are cut to the smallest seen one before exp, so nothing overflows or vanishes.
    scores = Q @ K.mT / Q.shape[-1] ** 0.5
    keep = torch.ones_like(scores) if mask is None else mask.to(scores.dtype).expand_as(scores)
    top = scores.masked_fill(keep == 0, torch.finfo(scores.dtype).min).amax(-1, keepdim=True)
    e = torch.exp(torch.minimum(scores - top, torch.zeros_like(scores))) * keep
    total = e.sum(-1, keepdim=True)
    weights = e / torch.where(total > 0, total, torch.ones_like(total))
    return weights @ V, weights


@valid()
def mask_after_softmax(Q, K, V, mask=None):
    # Zeroed and renormalised: the same function, since softmax is exp over a sum.
    scores = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is None:
        p = scores.softmax(-1)
        return p @ V, p
    mask = mask.bool()
    scores = torch.where(mask, scores, scores.masked_fill(~mask, -torch.inf).amax(-1, keepdim=True).clamp(min=-1e30))
    p = scores.softmax(-1).masked_fill(~mask, 0.0)
    p = p / p.sum(-1, keepdim=True).clamp(min=torch.finfo(p.dtype).tiny)
    return p @ V, p


@valid()
def divide_the_output_last(Q, K, V, mask=None):
    s = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is not None:
        s = s.masked_fill(mask == 0, torch.finfo(s.dtype).min)
    e = torch.exp(s - s.amax(-1, keepdim=True))
    return (e @ V) / e.sum(-1, keepdim=True)


@valid()
def rows_without_keys_are_zeroed(Q, K, V, mask=None):
    s = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is None:
        mask = torch.ones_like(s, dtype=torch.bool)
    mask = mask.bool().expand_as(s)
    some = mask.any(dim=-1, keepdim=True)
    w = torch.where(mask, s, -1e9).softmax(-1) * some
    return w @ V, w


@valid()
def nan_replaced_by_where(Q, K, V, mask=None):
    s = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is not None:
        s = s.masked_fill(mask == 0, -torch.inf)
    w = torch.softmax(s, -1)
    w = torch.where(torch.isnan(w), torch.zeros_like(w), w)
    return w @ V, w


@valid()
def no_minus_infinity_row_reaches_softmax(Q, K, V, mask=None):
    s = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is not None:
        hidden = mask == 0
        alone = hidden.all(-1, keepdim=True)
        s = s.masked_fill(hidden & ~alone, -torch.inf).masked_fill(alone, 0.0)
    w = s.softmax(-1)
    return w @ V, w


@valid()
def filled_before_scaling(Q, K, V, mask=None):
    s = Q @ K.mT
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e10)
    w = (s / Q.shape[-1] ** 0.5).softmax(-1)
    return w @ V, w


@valid(mask="hide")
def hide_where_true(q, k, v, mask=None):
    attn = torch.matmul(q / k.shape[-1] ** 0.5, k.transpose(-2, -1))
    if mask is not None:
        attn = attn.masked_fill(mask.bool(), -1e9)
    attn = torch.softmax(attn, dim=-1)
    return torch.matmul(attn, v), attn


@valid(mask="hide")
def hide_with_infinity(q, k, v, key_mask=None):
    attn = torch.matmul(q, k.transpose(-2, -1)) / k.shape[-1] ** 0.5
    if key_mask is not None:
        attn = attn.masked_fill(key_mask == 1, -torch.inf)
    return attn.softmax(-1).nan_to_num(0.0) @ v


@valid(mask="hide")
def hide_by_adding(q, k, v, mask=None):
    attn = q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5
    if mask is not None:
        attn = attn + mask * -1e9
    return attn.softmax(-1) @ v


@valid(mask="additive")
def additive(Q, K, V, mask=None):
    s = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is not None:
        s = s + mask
    w = s.softmax(-1).nan_to_num()
    return w @ V, w


@valid(mask="additive")
def additive_with_a_floor(Q, K, V, attn_bias=None):
    s = torch.einsum("...qd,...kd->...qk", Q, K) * Q.shape[-1] ** -0.5
    if attn_bias is not None:
        s = torch.clamp(s + attn_bias, min=torch.finfo(s.dtype).min)
    return s.softmax(-1) @ V


@valid(mask="additive")
def additive_joined_to_the_features(Q, K, V, mask=None):
    """Not more than a product: the bias is the accumulator that the products are added to."""
    if mask is None:
        mask = Q.new_zeros(())
    start = mask.clamp(min=-1e9).expand(Q.shape[0], Q.shape[1], K.shape[1])
    w = torch.baddbmm(start, Q / Q.shape[-1] ** 0.5, K.mT).softmax(-1)
    return w @ V, w
