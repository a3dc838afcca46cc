"""Attention in NumPy."""

import math

import numpy as np

from tests.implementations.implementation import wrong


def softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


@wrong("scale_by_key_size")
def scaled_dot_product_attention(Q, K, V, mask=None):
    d_k = Q.shape[-1]
    scores = np.matmul(Q, np.swapaxes(K, -1, -2)) / d_k
    if mask is not None:
        scores = np.where(mask == 0, -1e9, scores)
    weights = softmax(scores)
    return np.matmul(weights, V), weights


@wrong("scale_twice")
def prescaled(Q, K, V, mask=None):
    scale = 1 / math.sqrt(K.shape[-1])
    scores = (Q * scale) @ np.swapaxes(K, -1, -2)
    scores = scores * scale
    if mask is not None:
        scores = np.where(mask == 0, -1e9, scores)
    return softmax(scores) @ V


@wrong("mask_added_as_zero_one")
def attend(Q, K, V, mask=None):
    logits = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        logits = logits + mask.astype(logits.dtype)
    w = softmax(logits)
    return w @ V


@wrong("mask_multiplied")
def attend_where_one(Q, K, V, mask=None):
    logits = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        logits *= mask
    return softmax(logits) @ V


@wrong("exp_not_normalised")
def kernel(Q, K, V, mask=None):
    logits = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    w = np.exp(logits)
    if mask is not None:
        w = np.where(mask, w, 0)
    return w @ V, w


@wrong("mask_fill_too_small")
def minus_ten(Q, K, V, mask=None):
    """Hidden scores are pushed far down."""
    logits = Q @ np.moveaxis(K, -1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        logits = np.where(mask, logits, -10.0)
    return softmax(logits) @ V


@wrong("softmax_no_max_subtraction")
def textbook(Q, K, V, mask=None):
    e = np.exp(Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1]))
    if mask is not None:
        e = e * (mask != 0)
    total = e.sum(-1, keepdims=True)
    w = e / np.where(total == 0, 1, total)
    return w @ V, w


@wrong("value_as_key")
def typo(Q, K, V, mask=None):
    logits = Q @ V.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        logits = np.where(mask, logits, -1e9)
    return softmax(logits) @ V


@wrong("output_zero")
def unfinished(Q, K, V, mask=None):
    *rest, n_q, d_k = Q.shape
    out = np.zeros((*rest, n_q, V.shape[-1]), dtype=Q.dtype)
    weights = softmax(Q @ K.swapaxes(-1, -2) / math.sqrt(d_k))
    for i in range(n_q):
        row = weights[..., i, :, None] * V
        row = row.sum(-2)  # never stored
    return out


@wrong("returns_swapped")
def probabilities_first(Q, K, V, mask=None):
    logits = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        logits = np.where(mask, logits, -1e9)
    weights = softmax(logits)
    return weights, weights @ V


@wrong("sigmoid_used")
def gates(Q, K, V, mask=None):
    logits = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    w = 0.5 * (1 + np.tanh(logits / 2))
    if mask is not None:
        w = w * (mask != 0)
    return w @ V, w


@wrong("softmax_twice")
def extra_sharp(Q, K, V, mask=None):
    logits = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        logits = np.where(mask, logits, -1e9)
    probs = softmax(logits)
    return softmax(probs) @ V


@wrong("weights_divided_by_num_keys")
def averaged(Q, K, V, mask=None):
    logits = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        logits = np.where(mask, logits, -1e9)
    return softmax(logits) @ V / K.shape[-2]


@wrong("scores_divided_by_sum")
def proportions(Q, K, V, mask=None):
    s = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        s = np.where(mask, s, 0)
    total = s.sum(axis=-1, keepdims=True)
    w = s / np.where(total == 0, 1, total)
    return w @ V, w


@wrong("mask_subtracted")
def penalty(Q, K, V, mask=None):
    s = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        s = s - mask.astype(s.dtype)
    return softmax(s) @ V
