"""Attention in PyTorch: other returns, other kinds of callable, own buffers, other dtypes inside."""

import functools
from collections import namedtuple
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.implementations.implementation import valid


def _scores(Q, K, mask):
    s = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    return s if mask is None else s.masked_fill(mask == 0, -1e9)


@valid()
def with_everything_else(Q, K, V, mask=None):
    scores = _scores(Q, K, mask)
    weights = scores.softmax(-1)
    return weights @ V, weights, {"scores": scores, "entropy": torch.special.entr(weights).sum(-1)}


@valid()
def with_the_scores(Q, K, V, mask=None):
    scores = _scores(Q, K, mask)
    weights = scores.softmax(-1)
    return weights @ V, weights, scores


@valid(returns="weights_first")
def weights_and_output(Q, K, V, mask=None, scale=True):
    s = torch.matmul(Q, K.transpose(-2, -1))
    s = s / Q.size(-1) ** 0.5 if scale else s
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    w = s.softmax(-1)
    return w, torch.matmul(w, V)


@valid(returns="weights_first", mask="hide")
def weights_first_and_hidden(Q, K, V, mask=None):
    w = _scores(Q, K, None if mask is None else mask.logical_not()).softmax(-1)
    return w, w @ V


class Result(NamedTuple):
    """Both results by name."""

    output: Tensor
    weights: Tensor


@valid()
def named(Q, K, V, mask=None):
    w = _scores(Q, K, mask).softmax(-1)
    return Result(w @ V, w)


Attended = namedtuple("Attended", "values probabilities logits")


@valid()
def named_three(query, key, value, mask=None, *, scale=True):
    s = query @ key.mT
    if scale:
        s = s * query.shape[-1] ** -0.5
    if mask is not None:
        s = torch.where(mask.bool(), s, torch.finfo(s.dtype).min)
    p = s.softmax(-1)
    return Attended(p @ value, p, s)


@valid()
def in_a_list(Q, K, V, mask=None):
    w = _scores(Q, K, mask).softmax(-1)
    return [w @ V, w]


@valid()
def keyword_only(query, key, value, *, mask=None, scale=True):
    s = query @ key.mT
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e30)
    return F.softmax(s / query.shape[-1] ** 0.5 if scale else s, dim=-1) @ value


@valid()
def anything_by_keyword(Q, K, V, **kwargs):
    mask = kwargs.get("mask")
    scaled = kwargs.get("scale", True)
    s = Q @ K.mT / (Q.shape[-1] ** 0.5 if scaled else 1)
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    return s.softmax(-1) @ V


@valid()
def wrapped(q, k, v, mask=None):
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask.bool())
    return out.nan_to_num()


@valid()
def wrapped_with_weights(q, k, v, attn_mask=None, is_causal=False):
    """The weights are the output for the identity as values."""
    eye = torch.eye(k.shape[-2], dtype=q.dtype).expand(*k.shape[:-1], k.shape[-2])
    keep = None if attn_mask is None else attn_mask != 0
    weights = F.scaled_dot_product_attention(q, k, eye, attn_mask=keep, is_causal=is_causal)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keep, is_causal=is_causal), weights


class Configured:
    """Attention with a fill that is chosen once."""

    def __init__(self, name, fill):
        self.__name__ = name
        self.fill = fill

    def __call__(self, Q, K, V, mask=None, scale=True):
        s = Q @ K.mT
        if scale:
            s = s / Q.shape[-1] ** 0.5
        if mask is not None:
            s = s.masked_fill(mask == 0, self.fill)
        w = s.softmax(-1).nan_to_num(0.0)
        return w @ V, w


instance = valid()(Configured("instance", -1e9))
instance_with_infinity = valid()(Configured("instance_with_infinity", float("-inf")))


def _general(axis, fill, Q, K, V, mask=None):
    s = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is not None:
        s = s.masked_fill(mask == 0, fill)
    return s.softmax(axis) @ V


partial = functools.partial(_general, -1, -1e9)
partial.__name__, partial.__module__ = "partial", __name__
valid()(partial)


def _called(name, target):
    target.__name__ = name
    return target


anonymous = valid(scaled=False)(_called("anonymous", lambda Q, K, V: (Q @ K.mT).softmax(-1) @ V))
anonymous_scaled = valid()(
    _called("anonymous_scaled", lambda q, k, v: F.softmax(q @ k.mT / k.shape[-1] ** 0.5, -1) @ v)
)


def _make(normalise):
    def closure(Q, K, V, mask=None):
        w = normalise(_scores(Q, K, mask))
        return w @ V, w

    return closure


closure = valid()(_make(torch.nn.Softmax(dim=-1)))


class AsModule(torch.nn.Module):
    """A module without parameters: temperature and dropout are given to it."""

    def __init__(self, name, temperature=None, attn_dropout=0.1):
        super().__init__()
        self.__name__ = name
        self.temperature = temperature
        self.dropout = torch.nn.Dropout(attn_dropout)

    def forward(self, q, k, v, mask=None):
        attn = torch.matmul(q / (self.temperature or q.shape[-1] ** 0.5), k.transpose(-2, -1))
        if mask is not None:
            attn = attn.masked_fill(mask == 0, -1e9)
        attn = self.dropout(F.softmax(attn, dim=-1))
        return torch.matmul(attn, v), attn


module = valid()(AsModule("module").eval())


@valid()
def own_buffer_in_place(Q, K, V, mask=None):
    s = torch.matmul(Q, K.transpose(-2, -1))
    s.mul_(Q.shape[-1] ** -0.5)
    if mask is not None:
        s.masked_fill_(mask == 0, -1e9)
    s.sub_(s.detach().amax(-1, keepdim=True))
    e = s.exp()
    return e.div(e.sum(-1, keepdim=True)) @ V


@valid()
def own_copies_in_place(Q, K, V, mask=None):
    q = Q.clone()
    q /= Q.shape[-1] ** 0.5
    s = torch.einsum("...ij,...kj->...ik", q, K)
    if mask is not None:
        s += torch.zeros_like(s).masked_fill_(mask == 0, -1e9)
    s -= s.max(dim=-1, keepdim=True).values.detach()
    s = s.exp()
    s = s / s.sum(dim=-1, keepdim=True)
    return s @ V, s


@valid()
def double_inside(Q, K, V, mask=None):
    s = Q.double() @ K.double().mT / Q.shape[-1] ** 0.5
    if mask is not None:
        s = s.masked_fill(mask == 0, -1e9)
    w = s.softmax(-1)
    return (w @ V.double()).to(Q.dtype), w.to(Q.dtype)


@valid()
def softmax_in_single_precision_at_least(Q, K, V, mask=None):
    wide = torch.promote_types(Q.dtype, torch.float32)
    s = (Q @ K.mT * Q.shape[-1] ** -0.5).to(wide)
    if mask is not None:
        s = s.masked_fill(mask == 0, torch.finfo(wide).min)
    w = torch.softmax(s, dim=-1, dtype=wide).to(Q.dtype)
    return w @ V, w


@valid()
def like_llama(xq, keys, values, mask=None):
    scores = torch.matmul(xq, keys.transpose(-2, -1)) / xq.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    scores = F.softmax(scores.float(), dim=-1).type_as(xq)
    return torch.matmul(scores, values)


@valid()
def dropout_switched_off(Q, K, V, mask=None, dropout_p=0.1, training=False):
    w = F.dropout(_scores(Q, K, mask).softmax(-1), dropout_p, training=training)
    return w @ V, w
