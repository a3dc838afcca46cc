"""Statistics of attention weights."""

import math

import torch

from tests.implementations.implementation import wrong


def _report(weights, entropy, diagonal, largest=None):
    n, m = weights.shape[-2:]
    near = (torch.arange(n)[:, None] - torch.arange(m)).abs() <= 1
    local = (weights * near).sum(-1).mean()
    return {
        "max_attention": (weights.max() if largest is None else largest).item(),
        "entropy": entropy.item(),
        "diagonal_mass": diagonal.item(),
        "local_vs_global": (local / (1 - local).clamp(min=1e-9)).item(),
    }


def _nats(w):
    return -torch.xlogy(w, w).sum(-1).mean()


def _diagonal(w):
    return w.diagonal(dim1=-2, dim2=-1).mean()


@wrong("entropy_negated", contract="statistics")
def negative(weights):
    return _report(weights, torch.xlogy(weights, weights).sum(-1).mean(), _diagonal(weights))


@wrong("entropy_in_bits", contract="statistics")
def bits(weights):
    return _report(weights, _nats(weights) / math.log(2), _diagonal(weights))


@wrong("entropy_nan_at_zero", contract="statistics")
def logarithm(weights):
    entropy = -(weights * torch.log(weights)).sum(dim=-1).mean()
    return _report(weights, entropy, _diagonal(weights))


@wrong("entropy_summed", contract="statistics")
def total(weights):
    return _report(weights, -torch.xlogy(weights, weights).sum(), _diagonal(weights))


@wrong("entropy_over_queries", contract="statistics")
def other_axis(weights):
    entropy = torch.special.entr(weights).sum(dim=-2).mean()
    return _report(weights, entropy, _diagonal(weights))


@wrong("diagonal_summed", contract="statistics")
def trace(weights):
    return _report(weights, _nats(weights), weights.diagonal(dim1=-2, dim2=-1).sum())


@wrong("max_of_means", contract="statistics")
def strongest(weights):
    return _report(weights, _nats(weights), _diagonal(weights), largest=weights.mean(dim=-2).max())


@wrong("entropy_in_bits", "diagonal_summed", contract="statistics")
def rough(weights):
    w = weights.reshape(-1, *weights.shape[-2:])
    entropy = diagonal = 0.0
    for matrix in w:
        for i, row in enumerate(matrix):
            entropy += sum(-float(p) * math.log2(p) for p in row if p > 0)
            diagonal += float(matrix[i, i])
    rows = w.shape[0] * w.shape[1]
    local = float(torch.triu(torch.tril(w, 1), -1).sum()) / rows
    return {
        "max_attention": float(weights.max()),
        "entropy": entropy / rows,
        "diagonal_mass": diagonal,
        "local_vs_global": local / max(1 - local, 1e-9),
    }
