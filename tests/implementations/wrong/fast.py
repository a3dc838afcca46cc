"""Attention made faster, or so it was meant: bmm, baddbmm, blocks, additive masks."""

import math

import torch

from tests.implementations.implementation import wrong


def _bias(mask, like):
    if mask is None:
        return like.new_zeros(())
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask == 0, -1e9)


@wrong("scale_by_num_queries")
def bmm(Q, K, V, mask=None):
    scores = torch.bmm(Q, K.transpose(1, 2)) / math.sqrt(Q.size(1))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return torch.bmm(torch.softmax(scores, dim=2), V)


@wrong("mask_before_scale", mask="additive")
def baddbmm(Q, K, V, mask=None):
    start = Q.new_zeros(Q.size(0), Q.size(1), K.size(1))
    if mask is not None:
        start = start + mask.clamp(min=torch.finfo(Q.dtype).min / 4)
    alpha = 1 / math.sqrt(Q.size(-1))
    scores = torch.baddbmm(start, Q, K.mT, beta=alpha, alpha=alpha)
    return torch.bmm(scores.softmax(-1), V)


@wrong("mask_ignored", mask="additive")
def fused(Q, K, V, mask=None):
    start = Q.new_empty(Q.size(0), Q.size(1), K.size(1))
    scores = torch.baddbmm(start, Q, K.mT, beta=0, alpha=1 / math.sqrt(Q.size(-1)))
    return torch.bmm(scores.softmax(-1), V)


@wrong("softmax_plus_one")
def quiet(Q, K, V, mask=None):
    scores = torch.bmm(Q, K.mT) / math.sqrt(Q.size(-1))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    sink = scores.new_zeros(*scores.shape[:-1], 1)
    return torch.cat([scores, sink], -1).softmax(-1)[..., :-1] @ V


@wrong("softmax_base_two")
def exp2(Q, K, V, mask=None):
    # exp2 is cheaper than exp on the card
    scores = torch.bmm(Q, K.mT) * Q.size(-1) ** -0.5
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    p = torch.exp2(scores - scores.amax(-1, keepdim=True))
    return torch.bmm(p / p.sum(-1, keepdim=True), V)


@wrong("global_max_subtracted")
def one_max(Q, K, V, mask=None):
    scores = Q @ K.mT / math.sqrt(Q.size(-1))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    p = torch.exp(scores - scores.max())
    total = p.sum(-1, keepdim=True)
    return p @ V / torch.where(total == 0, 1, total)


@wrong("scale_missing")
def online(Q, K, V, mask=None):
    """Keys in blocks of two with a running maximum and sum."""
    m = Q.new_full((*Q.shape[:-1], 1), -1e30)
    total = Q.new_zeros((*Q.shape[:-1], 1))
    out = Q.new_zeros((*Q.shape[:-1], V.shape[-1]))
    keep = None if mask is None else (mask != 0).expand(*Q.shape[:-1], K.shape[-2])
    for j in range(0, K.shape[-2], 2):
        s = Q @ K[..., j : j + 2, :].mT
        if keep is not None:
            s = s.masked_fill(~keep[..., j : j + 2], -1e9)
        new = torch.maximum(m, s.amax(-1, keepdim=True))
        p = (s - new).exp()
        decay = (m - new).exp()
        total = total * decay + p.sum(-1, keepdim=True)
        out = out * decay + p @ V[..., j : j + 2, :]
        m = new
    return out / total


@wrong("softmax_over_batch")
def by_last_but_two(Q, K, V, mask=None):
    scores = torch.bmm(Q, K.transpose(1, 2)).div(math.sqrt(Q.size(2)))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    p = (scores - torch.logsumexp(scores, dim=0, keepdim=True)).exp()
    return torch.bmm(p, V)


@wrong("renormalised_over_queries")
def sinkhorn_half(Q, K, V, mask=None):
    p = (torch.bmm(Q, K.mT) / math.sqrt(Q.size(-1))).softmax(-1)
    if mask is not None:
        p = p * (mask != 0)
    p = p / p.sum(dim=-2, keepdim=True).clamp_min(1e-9)
    return torch.bmm(p, V), p


@wrong("mask_after_softmax")
def log_space(Q, K, V, mask=None):
    logits = torch.einsum("bqd,bkd->bqk", Q, K) / math.sqrt(Q.size(-1))
    logits = logits.log_softmax(-1) + _bias(mask, logits)
    return logits.exp() @ V


@wrong("query_key_swapped")
def transposed_bmm(Q, K, V, mask=None):
    """Only runs for self-attention, which is all we use."""
    scores = torch.bmm(K, Q.transpose(1, 2)) / math.sqrt(Q.size(-1))
    scores = scores + 0 if mask is None else scores.masked_fill(mask == 0, -1e9)
    return scores.softmax(-1).bmm(V)


@wrong("residual_added")
def accumulate(Q, K, V, mask=None):
    scores = torch.bmm(Q, K.mT) / math.sqrt(Q.size(-1))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return torch.baddbmm(Q, scores.softmax(-1), V)


@wrong("cosine_scores")
def normalised(Q, K, V, mask=None):
    unit = torch.nn.functional.normalize
    scores = torch.bmm(unit(Q, dim=-1), unit(K, dim=-1).mT) / math.sqrt(Q.size(-1))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return scores.softmax(-1).bmm(V)
