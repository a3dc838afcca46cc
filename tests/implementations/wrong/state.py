"""Right numbers, wrong manners: tensors of the caller changed, gradients cut, dtypes lost, calls that remember."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.implementations.implementation import wrong


@wrong("mutates_inputs")
def in_place_scale(Q, K, V, mask=None):
    Q /= math.sqrt(Q.shape[-1])
    s = Q @ np.swapaxes(K, -1, -2)
    if mask is not None:
        s[np.broadcast_to(mask, s.shape) == 0] = -1e9
    s -= s.max(-1, keepdims=True)
    np.exp(s, out=s)
    s /= s.sum(-1, keepdims=True)
    return s @ V


@wrong("mutates_inputs")
def in_place_mask(Q, K, V, mask=None):
    scores = Q @ K.mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        hidden = mask.logical_not_()
        scores = scores.masked_fill(hidden.bool(), -1e9)
    return scores.softmax(-1) @ V


@wrong("cuts_gradient")
def detached(Q, K, V, mask=None):
    scores = Q @ K.mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    weights = scores.softmax(-1).detach()
    return weights @ V, weights


@wrong("cuts_gradient")
def through_numpy(Q, K, V, mask=None):
    q, k, v = (t.detach().numpy() for t in (Q, K, V))
    s = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    if mask is not None:
        s = np.where(mask.numpy(), s, -1e9)
    e = np.exp(s - s.max(-1, keepdims=True))
    return torch.from_numpy(e / e.sum(-1, keepdims=True) @ v)


@wrong("cuts_gradient")
def rebuilt(Q, K, V, mask=None):
    rows = []
    for i in range(Q.shape[-2]):
        s = (K @ Q[..., i, :, None]).squeeze(-1) / math.sqrt(Q.shape[-1])
        if mask is not None:
            s = s.masked_fill(mask.expand(*Q.shape[:-1], -1)[..., i, :] == 0, -1e9)
        rows.append((s.softmax(-1)[..., None, :] @ V).squeeze(-2).tolist())
    return torch.tensor(rows, dtype=Q.dtype).movedim(0, -2)


@wrong("wrong_dtype")
def always_float32(Q, K, V, mask=None):
    scores = Q.float() @ K.float().mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return scores.softmax(-1) @ V.float()


@wrong("wrong_dtype")
def buffers_of_float32(Q, K, V, mask=None):
    n_q, d = Q.shape[-2:]
    out = np.zeros((*Q.shape[:-1], V.shape[-1]), dtype=np.float32)
    for i in range(n_q):
        s = np.einsum("...d,...kd->...k", Q[..., i, :], K) / math.sqrt(d)
        if mask is not None:
            s = np.where(np.broadcast_to(mask, (*Q.shape[:-1], K.shape[-2]))[..., i, :], s, -1e9)
        e = np.exp(s - s.max(-1, keepdims=True))
        out[..., i, :] = np.einsum("...k,...kv->...v", e / e.sum(-1, keepdims=True), V)
    return out


@wrong("dropout_in_eval")
def with_dropout(Q, K, V, mask=None):
    scores = Q @ K.mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return F.dropout(scores.softmax(-1), 0.1) @ V


_MASKS = {}


@wrong("shares_state")
def remembers_masks(Q, K, V, mask=None):
    if mask is not None:
        mask = _MASKS.setdefault(mask.shape, mask.clone())
    scores = Q @ K.mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return scores.softmax(-1) @ V


@wrong("shares_state")
def one_buffer(Q, K, V, mask=None, *, buffers={}):  # noqa: B006
    s = Q @ np.swapaxes(K, -1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        s = np.where(mask, s, -1e9)
    e = np.exp(s - s.max(-1, keepdims=True))
    shape = (*Q.shape[:-1], V.shape[-1], Q.dtype)
    out = buffers.setdefault(shape, np.empty(shape[:-1], Q.dtype))
    return np.matmul(e / e.sum(-1, keepdims=True), V, out=out)


class Smoothed:
    """Keeps the values that it has seen."""

    def __init__(self):
        self.past = None

    def __call__(self, Q, K, V, mask=None):
        if self.past is not None and self.past.shape == V.shape and self.past.dtype == V.dtype:
            V = (self.past + V) / 2
        self.past = V.detach().clone()
        scores = Q @ K.mT / math.sqrt(Q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        return scores.softmax(-1) @ V


wrong("shares_state")(Smoothed())
