"""Softmax alone."""

import math

import numpy as np
import torch

from tests.implementations.implementation import wrong


@wrong("softmax_no_max_subtraction", contract="softmax")
def softmax(x, axis=-1):
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


@wrong("softmax_no_max_subtraction", contract="softmax")
def torch_softmax(x, dim=-1):
    e = x.exp()
    return e / e.sum(dim, keepdim=True)


@wrong("global_max_subtracted", contract="softmax")
def stable(x):
    e = np.exp(x - np.max(x))
    return e / e.sum(axis=-1, keepdims=True)


@wrong("softmax_over_queries", contract="softmax")
def columns(x):
    e = np.exp(x - x.max(axis=-2, keepdims=True))
    return e / e.sum(axis=-2, keepdims=True)


@wrong("softmax_over_everything", contract="softmax")
def whole(x):
    e = np.exp(x - np.max(x))
    return e / np.sum(e)


@wrong("sum_without_keepdim", contract="softmax")
def two_dimensional(x):
    e = torch.exp(x - x.max(dim=-1, keepdim=True).values)
    return e / e.sum(dim=-1)


@wrong("softmax_plus_one", contract="softmax")
def may_be_silent(x):
    m = x.amax(-1, keepdim=True).clamp(min=0)
    e = (x - m).exp()
    return e / ((-m).exp() + e.sum(-1, keepdim=True))


@wrong("softmax_missing", contract="softmax")
def shifted(x):
    return x * 1


@wrong("exp_not_normalised", contract="softmax")
def exponential(x):
    return torch.exp(x)


@wrong("log_softmax_used", contract="softmax")
def log_probabilities(x):
    m = x.max(axis=-1, keepdims=True)
    return x - m - np.log(np.exp(x - m).sum(axis=-1, keepdims=True))


@wrong("softmax_base_two", contract="softmax")
def base(x):
    p = np.power(2, x - x.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


@wrong("hard_max", contract="softmax")
def winner(x):
    return torch.nn.functional.one_hot(x.argmax(-1), x.shape[-1]).to(x.dtype)


@wrong("l2_normalised", contract="softmax")
def unit(x, dim=-1):
    return torch.nn.functional.normalize(x, p=2, dim=dim)


@wrong("scores_divided_by_sum", contract="softmax")
def shares(x):
    return x / x.sum(-1, keepdim=True)


@wrong("softmax_twice", contract="softmax")
def logits_or_probabilities(x, dim=-1):
    for _ in range(2):
        x = torch.softmax(x, dim=dim)
    return x


@wrong("sigmoid_used", contract="softmax")
def two_classes(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


@wrong("mutates_inputs", contract="softmax")
def saving_memory(x, axis=-1):
    x -= x.max(axis=axis, keepdims=True)
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


@wrong("wrong_dtype", contract="softmax")
def lists(x):
    rows = np.asarray(x).reshape(-1, x.shape[-1])
    out = []
    for row in rows.tolist():
        top = max(row)
        e = [math.exp(v - top) for v in row]
        out.append([v / sum(e) for v in e])
    return np.array(out, dtype=np.float32).reshape(x.shape)


@wrong("weights_divided_by_num_keys", contract="softmax")
def averaged(x):
    e = (x - torch.amax(x, -1, True)).exp()
    return e / e.mean(-1, keepdim=True) / x.shape[-1] ** 2


@wrong("cuts_gradient", contract="softmax")
@torch.no_grad()
def without_graph(x):
    return (x - x.logsumexp(-1, keepdim=True)).exp()
