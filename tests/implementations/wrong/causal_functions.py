"""Causal attention as functions that hide the future by themselves."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.implementations.implementation import wrong


@wrong("causal_missing", contract="causal_attention")
def causal_attention(Q, K, V):
    scores = Q @ K.mT / math.sqrt(Q.shape[-1])
    mask = torch.ones_like(scores).triu(1).bool()
    scores.masked_fill(mask, -1e9)
    return scores.softmax(-1) @ V


@wrong("causal_reversed", contract="causal_attention")
def masked_attention(Q, K, V):
    n_q, n_k = Q.shape[-2], K.shape[-2]
    scores = Q @ K.mT / math.sqrt(Q.shape[-1])
    ones = torch.ones(n_q, n_k).tril(n_k - n_q - 1)
    return scores.masked_fill(ones == 1, -1e9).softmax(-1) @ V


@wrong("causal_aligned_at_start", contract="causal_attention")
def decoder_attention(Q, K, V):
    s = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    s = np.where(np.tril(np.ones(s.shape[-2:], dtype=bool)), s, -1e9)
    w = np.exp(s - s.max(-1, keepdims=True))
    w /= w.sum(-1, keepdims=True)
    return w @ V, w


@wrong("causal_aligned_at_end", contract="causal_attention", align="start")
def offset(Q, K, V):
    i = torch.arange(Q.shape[-2])[:, None] + (K.shape[-2] - Q.shape[-2])
    seen = torch.arange(K.shape[-2])[None] <= i
    scores = torch.where(seen, Q @ K.mT / math.sqrt(Q.shape[-1]), -1e9)
    return scores.softmax(-1) @ V


@wrong("mask_off_by_one", contract="causal_attention")
def look_ahead(Q, K, V):
    w = Q @ K.mT / math.sqrt(Q.shape[-1])
    hidden = torch.triu(torch.ones_like(w), diagonal=2 + w.shape[-1] - w.shape[-2])
    w = F.softmax(w.masked_fill(hidden > 0, torch.finfo(w.dtype).min), dim=-1)
    return w @ V


@wrong("mask_diagonal_hidden", contract="causal_attention")
def strict(Q, K, V):
    out = np.zeros((*Q.shape[:-1], V.shape[-1]), Q.dtype)
    shift = K.shape[-2] - Q.shape[-2]
    for i in range(Q.shape[-2]):
        n = i + shift
        if n <= 0:
            continue
        s = np.einsum("...d,...kd->...k", Q[..., i, :], K[..., :n, :]) / math.sqrt(Q.shape[-1])
        e = np.exp(s - s.max(-1, keepdims=True))
        out[..., i, :] = np.einsum("...k,...kv->...v", e / e.sum(-1, keepdims=True), V[..., :n, :])
    return out


@wrong("mask_after_softmax", contract="causal_attention")
def triangle(Q, K, V):
    w = (Q @ K.mT / math.sqrt(Q.shape[-1])).softmax(-1)
    w = w.tril(K.shape[-2] - Q.shape[-2])
    return w @ V, w


@wrong("mask_filled_with_zero", contract="causal_attention")
def tril_scores(Q, K, V):
    w = torch.tril(Q @ K.mT / math.sqrt(Q.shape[-1]), K.shape[-2] - Q.shape[-2])
    return w.softmax(-1) @ V


@wrong("scale_missing", contract="causal_attention")
def position_by_position(Q, K, V):
    outs = []
    past = K.shape[-2] - Q.shape[-2]
    for t in range(Q.shape[-2]):
        end = t + 1 + past
        if end <= 0:
            outs.append(torch.zeros_like(V[..., 0, :]))
            continue
        w = torch.softmax((Q[..., t : t + 1, :] @ K[..., :end, :].mT), dim=-1)
        outs.append((w @ V[..., :end, :]).squeeze(-2))
    return torch.stack(outs, dim=-2)


@wrong("softmax_over_queries", contract="causal_attention")
def wrong_dim(Q, K, V):
    s = torch.einsum("bqd,bkd->bqk", Q, K) / math.sqrt(Q.shape[-1])
    s = s.masked_fill(~torch.ones_like(s).tril(s.shape[2] - s.shape[1]).bool(), -1e9)
    return torch.einsum("bqk,bkv->bqv", s.softmax(1), V)


@wrong("renormalised_over_queries", contract="causal_attention")
def rescaled(Q, K, V):
    w = (Q @ K.mT / math.sqrt(Q.shape[-1])).softmax(-1)
    w = w.tril(K.shape[-2] - Q.shape[-2])
    w = w / w.sum(-2, keepdim=True).clamp(min=1e-9)
    return w @ V


@wrong("causal_missing", "scale_missing", contract="causal_attention")
def plain(Q, K, V):
    return np.einsum("...qk,...kv->...qv", _softmax(Q @ K.swapaxes(-1, -2)), V)


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@wrong("mask_off_by_one", "scale_by_key_size", contract="causal_attention")
def blurred(Q, K, V):
    s = Q @ K.swapaxes(-1, -2) / Q.shape[-1]
    s = np.where(np.tri(*s.shape[-2:], k=1 + s.shape[-1] - s.shape[-2], dtype=bool), s, -1e9)
    return _softmax(s) @ V


@wrong("scale_multiplied", "causal_aligned_at_start", contract="causal_attention")
def rooted(Q, K, V):
    s = Q @ K.swapaxes(-1, -2) * math.sqrt(Q.shape[-1])
    s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -1e9)
    return _softmax(s) @ V
