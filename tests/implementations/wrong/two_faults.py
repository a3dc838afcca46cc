"""Functions with two or three faults at once."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.implementations.implementation import wrong


@wrong("scale_missing", "softmax_over_queries")
def a(Q, K, V, mask=None):
    s = Q @ K.mT
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    return s.softmax(-2) @ V


@wrong("scale_missing", "mask_inverted")
def b(Q, K, V, mask=None):
    s = torch.einsum("bqd,bkd->bqk", Q, K)
    if mask is not None:
        s = s.masked_fill(mask != 0, -1e9)
    return torch.einsum("bqk,bkd->bqd", s.softmax(-1), V), s.softmax(-1)


@wrong("scale_by_key_size", "mask_after_softmax")
def c(Q, K, V, mask=None):
    s = np.matmul(Q, K.swapaxes(-1, -2)) / Q.shape[-1]
    e = np.exp(s - s.max(-1, keepdims=True))
    w = e / e.sum(-1, keepdims=True)
    if mask is not None:
        w = w * mask
    return w @ V


@wrong("scale_multiplied", "key_as_value")
def d(Q, K, V, mask=None):
    w = Q @ K.mT * K.shape[-1] ** 0.5
    if mask is not None:
        w = w.masked_fill(mask == 0, -1e9)
    w = F.softmax(w, -1)
    return w @ K


@wrong("mask_ignored", "scale_by_num_keys")
def e(Q, K, V, mask=None):
    w = F.softmax(Q @ K.mT / math.sqrt(K.shape[-2]), -1)
    return w @ V, w


@wrong("scores_negated", "softmax_base_two")
def f(Q, K, V, mask=None):
    s = -(Q @ K.mT) / math.sqrt(Q.shape[-1])
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    return torch.softmax(s * math.log(2), -1) @ V


@wrong("mask_inverted", "nan_rows")
def g(Q, K, V, mask=None):
    s = Q @ K.mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        s = s.masked_fill(mask.bool(), -math.inf)
    w = s.softmax(-1)
    return w @ V, w


@wrong("scale_missing", "mask_fill_too_small")
def h(Q, K, V, mask=None):
    s = Q @ K.swapaxes(-1, -2)
    if mask is not None:
        s = np.where(mask, s, -1)
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ V


@wrong("scale_by_value_size", "sigmoid_used")
def i(Q, K, V, mask=None):
    s = Q @ K.mT / math.sqrt(V.shape[-1])
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    return s.sigmoid() @ V


@wrong("query_as_key", "mask_ignored")
def j(Q, K, V, mask=None):
    s = Q @ Q.mT / math.sqrt(Q.shape[-1])
    return s.softmax(-1) @ V


@wrong("scale_missing", "softmax_no_max_subtraction")
def k(Q, K, V, mask=None):
    e = np.exp(Q @ K.swapaxes(-1, -2))
    if mask is not None:
        e = np.where(mask, e, 0)
    z = e.sum(-1, keepdims=True)
    return e / np.where(z == 0, 1, z) @ V


@wrong("scale_hard_coded", "mask_filled_with_zero")
def m(Q, K, V, mask=None):
    s = Q @ K.mT / 8.0
    if mask is not None:
        s = s.masked_fill(mask == 0, 0)
    return s.softmax(-1) @ V


@wrong("cosine_scores", "scale_missing")
def n(Q, K, V, mask=None):
    s = F.cosine_similarity(Q[..., :, None, :], K[..., None, :, :], dim=-1)
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    return s.softmax(-1) @ V


@wrong("scale_by_fourth_root", "mask_off_by_one")
def p(Q, K, V, mask=None):
    s = np.einsum("bqd,bkd->bqk", Q, K) / Q.shape[-1] ** 0.25
    if mask is not None:
        mask = mask != 0
        wider = np.array(mask)
        wider[..., 1:] |= mask[..., :-1]
        s = np.where(wider, s, -1e9)
    e = np.exp(s - s.max(2, keepdims=True))
    return np.einsum("bqk,bkd->bqd", e / e.sum(2, keepdims=True), V)


@wrong("softmax_over_queries", "wrong_dtype")
def q(Q, K, V, mask=None):
    s = Q.float() @ K.float().mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    return s.softmax(-2) @ V.float()


@wrong("scale_missing", "cuts_gradient")
def r(Q, K, V, mask=None):
    s = (Q @ K.mT).detach()
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    return s.softmax(-1) @ V


@wrong("scale_missing", "returns_swapped")
def s(Q, K, V, mask=None):
    w = np.matmul(Q, K.swapaxes(-1, -2))
    if mask is not None:
        w = np.where(mask, w, -1e9)
    w = np.exp(w - w.max(-1, keepdims=True))
    w = w / w.sum(-1, keepdims=True)
    return w, w @ V


@wrong("mask_added_as_zero_one", "softmax_twice")
def t(Q, K, V, mask=None):
    x = Q @ K.mT / math.sqrt(Q.shape[-1])
    if mask is not None:
        x = x + mask
    return x.softmax(-1).softmax(-1) @ V


@wrong("key_value_swapped", "scale_missing")
def u(Q, K, V, mask=None):
    x = Q @ V.mT
    if mask is not None:
        x = x.masked_fill(mask == 0, -1e9)
    return x.softmax(-1) @ K


@wrong("mask_inverted", "scale_after_softmax")
def v(Q, K, V, mask=None):
    x = Q @ K.mT
    if mask is not None:
        x = x.masked_fill(mask == 1, -1e9)
    return x.softmax(-1) / math.sqrt(Q.shape[-1]) @ V


@wrong("scale_multiplied", "mask_inverted", "softmax_over_queries")
def w(Q, K, V, mask=None):
    x = Q @ K.mT * math.sqrt(Q.shape[-1])
    if mask is not None:
        x = x.masked_fill(mask != 0, -1e9)
    return x.softmax(-2) @ V


@wrong("scale_missing", "mask_ignored", "key_as_value")
def x(Q, K, V, mask=None):
    z = np.einsum("bqd,bkd->bqk", Q, K)
    z = np.exp(z - z.max(-1, keepdims=True))
    return np.einsum("bqk,bkd->bqd", z / z.sum(-1, keepdims=True), K)


@wrong("scores_negated", "scale_by_key_size", "mask_fill_too_small")
def y(Q, K, V, mask=None):
    z = -1 * (Q @ K.mT) / Q.shape[-1]
    if mask is not None:
        z = torch.where(mask == 0, -10.0, z)
    return F.softmax(z, dim=-1) @ V
