"""Attention in NumPy."""

import math

import numpy as np

from tests.implementations.implementation import valid


def _softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


@valid()
def attention(Q, K, V, mask=None, scale=True):
    scores = Q @ np.swapaxes(K, -1, -2)
    if scale:
        scores = scores / np.sqrt(Q.shape[-1]).astype(Q.dtype)
    if mask is not None:
        scores = np.where(mask, scores, -1e9).astype(Q.dtype)
    weights = _softmax(scores)
    return weights @ V, weights


@valid()
def one_sequence(Q, K, V, mask=None):
    _, d_k = Q.shape
    scores = np.dot(Q, K.T) / math.sqrt(d_k)
    if mask is not None:
        scores[np.asarray(mask) == 0] = -1e9
    weights = _softmax(scores, axis=1)
    return np.dot(weights, V), weights


@valid()
def einsum(q, k, v, mask=None):
    """Divides by the wrong thing? No: `k.shape[-1]` is the size of a key."""
    s = np.einsum("...nd,...md->...nm", q, k) / k.shape[-1] ** 0.5
    if mask is not None:
        s = s + np.where(mask, 0.0, np.finfo(s.dtype).min).astype(s.dtype)
    w = _softmax(s)
    return np.einsum("...nm,...me->...ne", w, v), w


@valid()
def einsum_with_a_batch(Q, K, V, mask=None):
    s = np.einsum("bqd,bkd->bqk", Q, K, optimize=True) * (1.0 / math.sqrt(Q.shape[2]))
    if mask is not None:
        s = np.where(np.broadcast_to(mask, s.shape) == 1, s, -1e9).astype(Q.dtype)
    w = np.apply_along_axis(_softmax, 2, s)
    return np.einsum("bqk,bkv->bqv", w, V), w


@valid()
def loops(Q, K, V, mask=None):
    out = np.zeros((Q.shape[0], Q.shape[1], V.shape[2]), dtype=Q.dtype)
    for b in range(Q.shape[0]):
        keep = None if mask is None else np.broadcast_to(mask, (Q.shape[0], Q.shape[1], K.shape[1]))[b]
        for i in range(Q.shape[1]):
            s = np.array([sum(Q[b, i, c] * K[b, j, c] for c in range(Q.shape[2])) for j in range(K.shape[1])])
            s = s / math.sqrt(Q.shape[2])
            if keep is not None:
                s[keep[i] == 0] = -1e9
            e = np.exp(s - s.max())
            for j in range(K.shape[1]):
                out[b, i] += (e[j] / e.sum() * V[b, j]).astype(Q.dtype)
    return out


@valid()
def list_and_stack(Q, K, V, mask=None):
    def one(q, k, v, m):
        s = q @ k.T / q.shape[-1] ** 0.5
        return _softmax(s if m is None else np.where(m, s, -1e9).astype(s.dtype)) @ v

    masks = [None] * len(Q) if mask is None else np.broadcast_to(mask, (len(Q), Q.shape[1], K.shape[1]))
    return np.stack([one(*parts) for parts in zip(Q, K, V, masks, strict=True)])


@valid()
def infinity_and_nan_to_num(Q, K, V, mask=None):
    s = Q @ np.moveaxis(K, -1, -2) / Q.shape[-1] ** 0.5
    if mask is not None:
        s = np.where(mask, s, -np.inf).astype(s.dtype)
    with np.errstate(invalid="ignore"):
        w = np.nan_to_num(_softmax(s), nan=0.0)
    return w @ V, w


@valid()
def guarded_denominator(Q, K, V, mask=None):
    s = np.matmul(Q, K.swapaxes(-1, -2)) / Q.shape[-1] ** 0.5
    keep = np.ones(s.shape, bool) if mask is None else np.broadcast_to(np.asarray(mask, bool), s.shape)
    top = np.max(s, axis=-1, keepdims=True, where=keep, initial=np.finfo(s.dtype).min)
    e = np.exp(np.where(keep, s - top, 0)) * keep
    total = e.sum(-1, keepdims=True)
    w = np.divide(e, total, out=np.zeros_like(e), where=total > 0)
    return w @ V, w


@valid()
def one_minus_mask(Q, K, V, mask=None):
    if mask is None:
        mask = np.ones((Q.shape[-2], K.shape[-2]))
    scores = Q @ K.swapaxes(-2, -1) / np.sqrt(K.shape[-1], dtype=Q.dtype)
    scores = scores + ((1 - mask) * -1e9).astype(scores.dtype)
    return _softmax(scores) @ V


@valid(mask="hide")
def masked_array(Q, K, V, mask=None):
    s = Q @ K.swapaxes(-2, -1) / Q.shape[-1] ** 0.5
    hidden = np.zeros(s.shape, bool) if mask is None else np.broadcast_to(np.asarray(mask, bool), s.shape)
    w = _softmax(np.ma.array(s, mask=hidden).filled(-1e9))
    return w @ V, w


@valid(mask="additive")
def additive(Q, K, V, mask=0.0):
    s = Q @ K.swapaxes(-2, -1) / Q.shape[-1] ** 0.5
    if mask is not None:
        s = np.maximum(s + mask, -1e9).astype(s.dtype)
    return _softmax(s) @ V


@valid(returns="weights_first")
def weights_first(Q, K, V, mask=None):
    s = np.tensordot(Q, K, axes=([-1], [-1])) / Q.shape[-1] ** 0.5
    if mask is not None:
        s[np.logical_not(mask)] = -1e9
    w = _softmax(s)
    return w, w.dot(V)


@valid()
def logsumexp(Q, K, V, mask=None):
    s = (Q / Q.shape[-1] ** 0.5) @ K.swapaxes(-2, -1)
    if mask is not None:
        s = np.where(np.equal(mask, 0), np.array(-np.inf, s.dtype), s)
    lse = np.logaddexp.reduce(s, axis=-1, keepdims=True)
    w = np.exp(s - np.maximum(lse, -1e30))
    return w @ V, w


@valid()
def double_inside(Q, K, V, mask=None):
    q, k, v = (np.asarray(x, dtype=np.float64) for x in (Q, K, V))
    s = q @ k.swapaxes(-2, -1) / np.sqrt(q.shape[-1])
    s = s if mask is None else np.where(mask, s, -1e9)
    w = _softmax(s)
    return (w @ v).astype(Q.dtype), w.astype(Q.dtype)


@valid(scaled=False)
def without_a_scale(Q, K, V):
    w = _softmax(Q @ K.swapaxes(-2, -1))
    return w @ V, w


@valid()
def online(Q, K, V, mask=None):
    """Blocks of three keys with a running maximum."""
    top = np.full((*Q.shape[:-1], 1), -1e30, dtype=Q.dtype)
    total = np.zeros_like(top)
    out = np.zeros((*Q.shape[:-1], V.shape[-1]), dtype=Q.dtype)
    for j in range(0, K.shape[-2], 3):
        s = Q @ K[..., j : j + 3, :].swapaxes(-2, -1) / Q.shape[-1] ** 0.5
        if mask is not None:
            s = np.where(mask[..., j : j + 3], s, -1e9).astype(s.dtype)
        new = np.maximum(top, s.max(-1, keepdims=True))
        p = np.exp(s - new)
        shrink = np.exp(top - new)
        total = total * shrink + p.sum(-1, keepdims=True)
        out = out * shrink + p @ V[..., j : j + 3, :]
        top = new
    return out / total
