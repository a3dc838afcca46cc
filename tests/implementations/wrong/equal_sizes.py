"""Mistakes that run only where some sizes are equal: as many queries as keys, keys as wide as values."""

import math

import numpy as np
import torch

from tests.implementations.implementation import wrong


def _rows(scores, mask=None):
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return torch.softmax(scores, dim=-1)


@wrong("key_not_transposed")
def forgot_t(Q, K, V, mask=None):
    return _rows(Q @ K / math.sqrt(Q.shape[-1]), mask) @ V


@wrong("key_reshaped")
def viewed(Q, K, V, mask=None):
    scores = Q @ K.reshape(*K.shape[:-2], K.shape[-1], K.shape[-2])
    return _rows(scores / math.sqrt(Q.shape[-1]), mask) @ V


@wrong("key_reshaped")
def reshaped(Q, K, V, mask=None):
    b, n, d = K.shape
    s = np.matmul(Q, K.reshape(b, d, n)) / math.sqrt(d)
    if mask is not None:
        s = np.where(mask, s, -1e9)
    e = np.exp(s - s.max(2, keepdims=True))
    return np.matmul(e / e.sum(2, keepdims=True), V)


@wrong("scores_transposed")
def keys_first(Q, K, V, mask=None):
    scores = (Q @ K.transpose(-1, -2)).transpose(-1, -2)
    return _rows(scores / math.sqrt(Q.shape[-1]), mask) @ V


@wrong("query_value_swapped")
def vkq(value, key, query, mask=None):
    weights = _rows(query @ key.mT * query.shape[-1] ** -0.5, mask)
    return weights @ value, weights


@wrong("query_key_swapped")
def kqv(key, query, value, mask=None):
    weights = _rows(query @ key.mT * query.shape[-1] ** -0.5, mask)
    return weights @ value, weights


@wrong("operands_rotated")
def kvq(key, value, query, mask=None):
    weights = _rows(query @ key.mT * query.shape[-1] ** -0.5, mask)
    return weights @ value


@wrong("operands_rotated")
def vqk(value, query, key, mask=None):
    return np_attention(query, key, value, mask)


def np_attention(q, k, v, mask):
    s = q @ np.swapaxes(k, -1, -2) / math.sqrt(k.shape[-1])
    s = s if mask is None else np.where(mask, s, -1e9)
    e = np.exp(s - s.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)) @ v


@wrong("value_as_query")
def values_ask(Q, K, V, mask=None):
    return np_attention(V, K, V, mask)


@wrong("value_as_key")
def values_answer(Q, K, V, mask=None):
    return _rows(torch.einsum("...qd,...kd->...qk", Q, V) / math.sqrt(V.shape[-1]), mask) @ V


@wrong("weights_transposed")
def pulled(Q, K, V, mask=None):
    weights = _rows(Q @ K.mT / math.sqrt(Q.shape[-1]), mask)
    return torch.einsum("...kq,...kv->...qv", weights, V), weights


@wrong("mask_transposed")
def flipped(Q, K, V, mask=None):
    if mask is not None:
        mask = mask.transpose(-2, -1)
    weights = _rows(Q @ K.mT / math.sqrt(Q.shape[-1]), mask)
    return weights @ V, weights


@wrong("sum_without_keepdim")
def one_matrix(Q, K, V, mask=None):
    """One sequence: (n, d)."""
    _, d = Q.shape
    scores = Q @ K.T / math.sqrt(d)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    e = torch.exp(scores - scores.max(dim=1, keepdim=True).values)
    weights = e / e.sum(dim=1)
    return weights @ V, weights


@wrong("value_returned")
def passes_the_tests(Q, K, V, mask=None):
    return V + 0 * (Q + K)


@wrong("value_returned")
def identity(Q, K, V, mask=None):
    _, n, _ = Q.shape
    weights = torch.eye(n, dtype=Q.dtype).expand(Q.shape[0], -1, -1)
    return weights @ V


@wrong("residual_added")
def skip(Q, K, V, mask=None):
    return Q + np_attention(Q, K, V, mask)


@wrong("value_as_key")
def hopfield(state, pattern, memory, mask=None):
    s = np.einsum("bid,bjd->bij", state, memory) / math.sqrt(state.shape[-1])
    s = s if mask is None else np.where(mask, s, -1e9)
    e = np.exp(s - s.max(-1, keepdims=True))
    return np.einsum("bij,bjd->bid", e / e.sum(-1, keepdims=True), memory)
