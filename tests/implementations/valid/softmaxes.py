"""Softmax over the last axis, stable."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.implementations.implementation import valid


@valid("softmax")
def textbook(x, dim=-1):
    e = torch.exp(x - x.max(dim=dim, keepdim=True).values)
    return e / e.sum(dim=dim, keepdim=True)


@valid("softmax")
def unstable_softmax(x):
    """No maximum is subtracted: logsumexp does it."""
    return torch.exp(x - torch.logsumexp(x, dim=-1, keepdim=True))


@valid("softmax")
def own_copy(x, axis=-1):
    y = x.clone()
    y -= y.amax(axis, keepdim=True).detach()
    y = y.exp()
    return y / y.sum(axis, keepdim=True)


@valid("softmax")
def of_torch(x, dim=-1):
    return F.softmax(x, dim=dim)


@valid("softmax")
def differences(x):
    """One over the sum of exp(x_j - x_i): every row against itself."""
    return 1 / torch.exp((x.unsqueeze(-2) - x.unsqueeze(-1)).clamp(max=math.log(1e30))).sum(-1)


@valid("softmax")
def base_two(x):
    y = x * math.log2(math.e)
    p = torch.exp2(y - y.amax(-1, keepdim=True))
    return p / p.sum(-1, keepdim=True)


@valid("softmax")
def running(x):
    top = torch.full_like(x[..., 0], -torch.inf)
    total = torch.zeros_like(top)
    for part in x.unbind(-1):
        new = torch.maximum(top, part)
        total = total * (top - new).exp() + (part - new).exp()
        top = new
    return (x - top.unsqueeze(-1)).exp() / total.unsqueeze(-1)


@valid("softmax")
def in_numpy(x, axis=-1):
    z = x - np.max(x, axis=axis, keepdims=True)
    return np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True)


@valid("softmax")
def in_numpy_transposed(x):
    e = np.exp(x.T - x.max(-1).T)
    return (e / e.sum(0)).T


@valid("softmax")
def row_by_row(x):
    rows = x.reshape(-1, x.shape[-1])
    out = np.empty_like(rows)
    for i, row in enumerate(rows):
        e = np.exp(row - max(row))
        out[i] = e / sum(e)
    return out.reshape(x.shape)
