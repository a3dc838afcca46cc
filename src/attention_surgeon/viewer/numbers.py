"""The statistics of each map, for the wall to sort by and for the table."""

import math
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from attention_surgeon.stats import (
    MIXED,
    PATTERNS,
    PER_HEAD,
    Definition,
    HeadPatterns,
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
from attention_surgeon.stats.checks import ROW_SUM_TOLERANCE, check_options
from attention_surgeon.stats.patterns import telling_rows
from attention_surgeon.threads import one_thread
from attention_surgeon.viewer.parallel import in_parallel
from attention_surgeon.viewer.subject import Subject


class Numbers(NamedTuple):
    """The statistics of a subject.

    Attributes:
        definitions: For each statistic its name, title, formula, unit, meaning and source.
        rows: For each map its numbers in that order; None where a number is not defined.
        patterns: For each map the name of its pattern and the score of it; None where there are no statistics.
        row_sums: For each map whose rows do not sum to 1 the least and the largest sum; such a map, which a mistake
            makes, is shown and not measured. None for all others.
    """

    definitions: list[dict[str, Any]]
    rows: list[list[float | None]]
    patterns: list[dict[str, Any] | None]
    row_sums: list[list[float] | None]


def numbers_of(subject: Subject) -> Numbers:
    """Return the statistics of each map, measured in float32; of pooled maps those that came with them, or none."""
    if subject.is_pooled and subject.measured:
        return _numbers(list(subject.measured), [patterns_from(each) for each in subject.measured])
    if subject.is_pooled:
        nothing = [None for _ in subject.maps]
        return Numbers([], [[] for _ in subject.maps], [*nothing], [*nothing])
    options = check_options(subject.sizes, torch.device("cpu"), 1, 0.01, subject.key_tokens, None, "view")
    with one_thread():  # each map is small: two maps at a time are faster than two threads on one
        found = list(in_parallel(lambda number: _measured(subject, number, options), range(len(subject.maps))))
    measured = [None if isinstance(each, list) else each[0] for each in found]
    patterns = [None if isinstance(each, list) else each[1] for each in found]
    return _numbers(measured, patterns)._replace(row_sums=[each if isinstance(each, list) else None for each in found])


def _numbers(measured: list[HeadStatistics | None], patterns: list[HeadPatterns | None]) -> Numbers:
    names = [name for name in PER_HEAD if any(getattr(each, name, None) is not None for each in measured)]
    return Numbers(
        [describe(definition_of(name)) for name in names],
        [[plain_number(getattr(each, name, None)) for name in names] for each in measured],
        [None if each is None else _pattern(each) for each in patterns],
        [None for _ in measured],
    )


def describe(definition: Definition) -> dict[str, Any]:
    """Return a definition as plain data."""
    return asdict(definition)


def _measured(
    subject: Subject, number: int, options: StatisticsOptions
) -> tuple[HeadStatistics, HeadPatterns] | list[float]:
    """Return the statistics of a map and its pattern; the least and the largest sum of a row where these are not 1."""
    shown = subject.maps[number]
    assert not isinstance(shown, PooledMap)
    weights = shown.to("cpu", torch.float32)
    sums_of_rows = weights.sum(-1)
    sums_of_rows = sums_of_rows[sums_of_rows != 0]
    if bool(((sums_of_rows - 1).abs() > ROW_SUM_TOLERANCE).any()):
        return [float(sums_of_rows.min()), float(sums_of_rows.max())]
    n_q, n_k = subject.sizes
    allowed = subject.traces[number].allowed if subject.traces else _causal(weights)
    sums, positions = RowSums.zeros((), n_k, dtype=torch.float32), torch.arange(n_k - n_q, n_k)
    telling = torch.ones(n_q, dtype=torch.bool) if allowed is None else telling_rows(allowed.expand_as(weights))
    _add(sums, weights, positions, allowed, telling, options)
    patterns = patterns_from(finish(sums, options))
    if not telling.all():
        _add(sums, weights, positions, allowed, ~telling, options)
    return finish(sums, options), patterns


def _add(
    sums: RowSums, weights: Tensor, positions: Tensor, allowed: Tensor | None, rows: Tensor, options: StatisticsOptions
) -> None:
    """Add what some rows say; all of them are taken as they are, without a copy."""
    if not rows.all():
        weights, positions = weights[rows], positions[rows]
        allowed = None if allowed is None else allowed.expand(len(rows), -1)[rows]
    add_strip(sums, Strip(weights, positions, allowed=allowed), options)


def _causal(weights: Tensor) -> Tensor | None:
    """Return the causal mask where everything it hides is 0, so that shares of a maximum count visible keys only."""
    n_q, n_k = weights.shape
    if n_q < 2 or n_q != n_k or bool(weights.triu(1).any()):
        return None
    return torch.ones(n_q, n_k, dtype=torch.bool).tril()


def _pattern(named: HeadPatterns) -> dict[str, Any]:
    """Return the name of a head's pattern, as code and in words, and its score."""
    titles = {pattern.name: pattern.title for pattern in PATTERNS}
    name = named.name()
    return {"name": name, "title": titles.get(name, MIXED), "score": plain_number(torch.tensor(named.score()))}


def plain_number(value: Tensor | None) -> float | None:
    """Return a scalar with the digits that float32 has; None where it is not finite."""
    if value is None:
        return None
    number = float(value)
    return float(f"{number:.7g}") if math.isfinite(number) else None
