"""Functional programs: small helpers put together."""

import math
from functools import partial, reduce

import numpy as np
import torch

from tests.implementations.implementation import wrong


def compose(*steps):
    return lambda start: reduce(lambda value, step: step(value), steps, start)


def scores_of(q, k):
    return torch.matmul(q, k.transpose(-1, -2))


def hide(mask, fill, scores):
    return scores if mask is None else scores.masked_fill(mask == 0, fill)


def softmax(scores, axis=-1):
    shifted = scores - scores.amax(axis, keepdim=True)
    return shifted.exp() / shifted.exp().sum(axis, keepdim=True)


def divide(by, x):
    return x / by


@wrong("scale_by_key_size")
def pipeline(q, k, v, mask=None):
    root = partial(divide, math.sqrt(q.shape[-1]))
    run = compose(root, root, partial(hide, mask, -1e9), softmax)
    return run(scores_of(q, k)) @ v


@wrong("softmax_twice")
def pipeline_with_weights(q, k, v, mask=None):
    probabilities = compose(partial(divide, math.sqrt(q.shape[-1])), partial(hide, mask, -1e9), softmax)
    w = softmax(probabilities(scores_of(q, k)))
    return w @ v, w


@wrong("key_as_query")
def partial_application(q, k, v, mask=None):
    look = partial(scores_of, k)
    w = softmax(hide(mask, -1e9, look(k) / math.sqrt(q.shape[-1])))
    return w @ v


@wrong("query_as_value")
def echo(q, k, v, mask=None):
    w = softmax(hide(mask, -1e9, scores_of(q, k) / math.sqrt(q.shape[-1])))
    return w @ q


@wrong("scores_negated")
def difference(q, k, v, mask=None):
    raw = 0 - scores_of(q, k)
    w = softmax(hide(mask, -1e9, raw / math.sqrt(q.shape[-1])))
    return w @ v, w


@wrong("mask_off_by_one")
def rolled(q, k, v, mask=None):
    if mask is not None:
        mask = mask.bool() | torch.nn.functional.pad(mask.bool()[..., :-1], (1, 0))
    w = softmax(hide(mask, -1e9, scores_of(q, k) / math.sqrt(q.shape[-1])))
    return w @ v, w


@wrong("sigmoid_used")
def soft_gates(q, k, v, mask=None):
    gates = compose(partial(divide, math.sqrt(q.shape[-1])), partial(hide, mask, -1e9), torch.sigmoid)
    return gates(scores_of(q, k)) @ v


@wrong("mask_first_only")
def broadcasting(q, k, v, mask=None):
    first = mask if mask is None or mask.dim() < 3 else mask[:1]
    w = softmax(hide(first, -1e9, scores_of(q, k) / math.sqrt(q.shape[-1])))
    return w @ v, w


@wrong("softmax_missing")
def linear(q, k, v, mask=None):
    w = compose(partial(divide, math.sqrt(q.shape[-1])), partial(hide, mask, -1e9))(scores_of(q, k))
    return w @ v


@wrong("nan_rows")
def infinite(q, k, v, mask=None):
    w = softmax(hide(mask, -math.inf, scores_of(q, k) / math.sqrt(q.shape[-1])))
    return w @ v


class Attention:
    """Scaled dot-product attention as an object."""

    def __init__(self, fill=-1e9, axis=-1):
        self.fill = fill
        self.axis = axis

    def scale(self, q, k, v):
        return q.shape[-1] ** -0.5

    def scores(self, q, k):
        return q @ np.swapaxes(k, -1, -2)

    def __call__(self, q, k, v, mask=None):
        s = self.scores(q, k) * self.scale(q, k, v)
        if mask is not None:
            s = np.where(mask, s, self.fill)
        e = np.exp(s - s.max(self.axis, keepdims=True))
        w = e / e.sum(self.axis, keepdims=True)
        return w @ v, w


class Sharper(Attention):
    def scale(self, q, k, v):
        return 1.0


class Columns(Attention):
    pass


class WithDistance(Attention):
    def scores(self, q, k):
        return -((q[..., :, None, :] - k[..., None, :, :]) ** 2).sum(-1)


class Sized(Attention):
    def scale(self, q, k, v):
        return v.shape[-1] ** -0.5


wrong("scale_missing")(Sharper())
wrong("softmax_over_queries")(Columns(axis=-2))
wrong("distance_scores")(WithDistance())
wrong("scale_by_value_size")(Sized())
