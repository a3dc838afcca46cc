"""The statistics of each map, for the wall to sort by and for the table."""

import math
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from attention_surgeon.stats import (
    PER_HEAD,
    Definition,
    HeadStatistics,
    PooledMap,
    RowSums,
    StatisticsOptions,
    Strip,
    add_strip,
    definition_of,
    finish,
    patterns_from,
)
from attention_surgeon.stats.options import check_options
from attention_surgeon.threads import one_thread
from attention_surgeon.viewer.parallel import in_parallel
from attention_surgeon.viewer.subject import Subject


class Numbers(NamedTuple):
    """The statistics of a subject.

    Attributes:
        definitions: For each statistic its name, title, formula, unit, meaning and source.
        rows: For each map its numbers in that order; None where a number is not defined.
        patterns: For each map the name of its pattern and the score of it; None where there are no statistics.
    """

    definitions: list[dict[str, Any]]
    rows: list[list[float | None]]
    patterns: list[dict[str, Any] | None]


def numbers_of(subject: Subject) -> Numbers:
    """Return the statistics of each map, measured in float32; nothing where only pooled maps are there."""
    if subject.is_pooled:
        return Numbers([], [[] for _ in subject.maps], [None for _ in subject.maps])
    options = _options(subject)
    with one_thread():  # each map is small: two maps at a time are faster than two threads on one
        found = list(in_parallel(lambda number: _measured(subject, number, options), range(len(subject.maps))))
    names = [name for name in PER_HEAD if any(getattr(each, name) is not None for each in found)]
    rows = [[plain_number(getattr(each, name)) for name in names] for each in found]
    return Numbers([describe(definition_of(name)) for name in names], rows, [_pattern(each) for each in found])


def describe(definition: Definition) -> dict[str, Any]:
    """Return a definition as plain data."""
    return asdict(definition)


def _options(subject: Subject) -> StatisticsOptions:
    tokens = subject.key_tokens
    shape = subject.sizes
    return check_options(shape, torch.device("cpu"), 1, 0.01, tokens, None, "view")


def _measured(subject: Subject, number: int, options: StatisticsOptions) -> HeadStatistics:
    shown = subject.maps[number]
    assert not isinstance(shown, PooledMap)
    weights = shown.to("cpu", torch.float32)
    n_q, n_k = subject.sizes
    allowed = subject.traces[number].allowed if subject.traces else _causal(weights)
    sums = RowSums.zeros((), n_k, dtype=torch.float32)
    add_strip(sums, Strip(weights, torch.arange(n_k - n_q, n_k), allowed=allowed), options)
    return finish(sums, options)


def _causal(weights: Tensor) -> Tensor | None:
    """Return the causal mask where everything it hides is 0, so that shares of a maximum count visible keys only."""
    n_q, n_k = weights.shape
    if n_q < 2 or n_q != n_k or bool(weights.triu(1).any()):
        return None
    return torch.ones(n_q, n_k, dtype=torch.bool).tril()


def _pattern(found: HeadStatistics) -> dict[str, Any] | None:
    named = patterns_from(found)
    return {"name": named.name(), "score": plain_number(torch.tensor(named.score()))}


def plain_number(value: Tensor | None) -> float | None:
    """Return a scalar with the digits that float32 has; None where it is not finite."""
    if value is None:
        return None
    number = float(value)
    return float(f"{number:.7g}") if math.isfinite(number) else None
