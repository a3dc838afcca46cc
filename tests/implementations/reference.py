"""What the valid implementations are held against: loops in float64 that share no code with them."""

import importlib
import math
import pkgutil

import numpy as np
import pytest

from tests.implementations import valid
from tests.implementations.implementation import VALID

for module in pkgutil.iter_modules(valid.__path__):
    importlib.import_module(f"{valid.__name__}.{module.name}")


def of(contract: str) -> pytest.MarkDecorator:
    """Run a test for every valid implementation of this contract."""
    return pytest.mark.parametrize(
        "implementation", [i for i in VALID if i.contract == contract], ids=lambda implementation: implementation.name
    )


def reference(query, key, value, keep, factor):
    """Weights and output of one sequence, number by number; a row without keys stays zero."""
    weights = np.zeros((len(query), len(key)))
    for i, j in np.ndindex(weights.shape):
        weights[i, j] = math.fsum(a * b for a, b in zip(query[i], key[j], strict=True)) * factor
    for i, row in enumerate(weights):
        seen = [j for j in range(len(key)) if keep[i, j]]
        powers = {j: math.exp(row[j] - max(row[k] for k in seen)) for j in seen}
        row[:] = [powers.get(j, 0.0) / (math.fsum(powers.values()) or 1.0) for j in range(len(key))]
    return np.array([[math.fsum(r * value[:, c]) for c in range(value.shape[1])] for r in weights]), weights


def references(query, key, value, keep, factor):
    """The reference over the leading axes."""
    lead = query.shape[:-2]
    keep = np.broadcast_to(keep, (*lead, query.shape[-2], key.shape[-2]))
    output = np.zeros((*query.shape[:-1], value.shape[-1]))
    weights = np.zeros(keep.shape)
    for at in np.ndindex(lead):
        output[at], weights[at] = reference(query[at], key[at], value[at], keep[at], factor)
    return output, weights
