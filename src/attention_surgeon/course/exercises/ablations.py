"""The ablations that learners write: tables of measurements, compared with our own up to chance."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.course.exercises.calling import called, returns_nothing
from attention_surgeon.course.exercises.explained import ExplainedError, other_values
from attention_surgeon.course.exercises.function_check import as_numbers, from_catalogue, keys_missing
from attention_surgeon.testing.draw import generator
from attention_surgeon.testing.steadiness import random_state_kept
from attention_surgeon.verdict import Mistake

Row = tuple[Any, ...]
Measured = Mapping[Row, Mapping[str, float]]

_Slip: TypeAlias = tuple[Mistake, Measured]
"""A mistake, and the table of somebody who makes it."""

_WIDTHS = (16, 256)
_KEYS, _DRAWS = 4, 4000
_MEASURES = ("max_weight", "entropy", "gradient")
_FIELDS = ("d_k", "scaled", *_MEASURES)
_NEAR, _NEAR_PART = 0.04, 0.1
_TOKENS = 6
_PLACES = ("past", "self", "future")
_MASKS = ("causal", "none", "reverse")


def check_scaling_experiment(function: Callable[..., Any]) -> None:
    """Judge `experiment_scaling_factor(d_k_values)`: a list of records, one per width, with and without the scale.

    Every record holds `d_k`, `scaled`, `max_weight` (mean), `entropy` (mean, in nats) and `gradient` (median length).

    Raises:
        ExplainedError: a record is missing, or its numbers are not those that 4 random keys give.
    """
    __tracebackhide__ = True
    with random_state_kept():
        torch.manual_seed(0)
        records = called(function, list(_WIDTHS))
    if records is None:
        raise returns_nothing(function)
    given = _table_of(records)
    expected = _measured()
    slips = _scaling_slips() if not _alike(given, expected) else iter(())
    _compare(given, expected, slips)


def check_masking_comparison(function: Callable[..., Any]) -> None:
    """Judge `compare_masking()`: for `causal`, `none` and `reverse` the share of weight on past, self and future.

    Raises:
        ExplainedError: a share is not what random scores of 6 tokens give.
    """
    __tracebackhide__ = True
    with random_state_kept():
        torch.manual_seed(0)
        returned = called(function)
    if returned is None:
        raise returns_nothing(function)
    if not isinstance(returned, Mapping) or not set(_MASKS) <= set(returned):
        raise other_values(
            _not_keys(returned, _MASKS, "Your dictionary"),
            '{"causal": {"past": ..., "self": ..., "future": ...}, "none": ..., "reverse": ...}',
        )
    given = {(name,): _shares_of(name, returned[name]) for name in _MASKS}
    expected = {("causal",): _shares(0, 0), ("none",): _shares(0, 1), ("reverse",): _shares(1, 0)}
    slips = _masking_slips(expected) if not _alike(given, expected) else iter(())
    _compare(given, expected, slips)


def _table_of(records: Any) -> dict[Row, dict[str, float]]:
    """Return the records by width and scale.

    Raises:
        ExplainedError: they are no list of records with these fields.
    """
    like = "a list of dictionaries with the keys " + ", ".join(_FIELDS)
    if not isinstance(records, Sequence) or not all(isinstance(record, Mapping) for record in records):
        raise other_values(f"It returns {_kind(records)}, expected {like}.", "records.append({...})")
    table: dict[Row, dict[str, float]] = {}
    for record in records:
        missing = [field for field in _FIELDS if field not in record]
        if missing:
            raise other_values(f"{keys_missing('A record', missing[0], record)}.", f'{{"{missing[0]}": ...}}')
        table[int(record["d_k"]), bool(record["scaled"])] = {name: _number(record[name], name) for name in _MEASURES}
    for d_k in _WIDTHS:
        for scaled in (True, False):
            if (d_k, scaled) not in table:
                raise other_values(
                    f"There is no record with d_k {d_k} and scaled={scaled}.", "for scaled in (True, False):"
                )
    return table


def _shares_of(name: str, shares: Any) -> dict[str, float]:
    if not isinstance(shares, Mapping) or not set(_PLACES) <= set(shares):
        raise other_values(
            _not_keys(shares, _PLACES, f"The dictionary of {name!r}"),
            '{"past": ..., "self": ..., "future": ...}',
        )
    return {place: _number(shares[place], place) for place in _PLACES}


def _not_keys(returned: Any, keys: Sequence[str], what: str) -> str:
    if not isinstance(returned, Mapping):
        return f"{what} is {_kind(returned)}, expected a dictionary with {', '.join(keys)}."
    return f"{keys_missing(what, next(key for key in keys if key not in returned), returned)}."


def _number(value: Any, name: str) -> float:
    array = as_numbers(value)
    if array is None or array.ndim:
        raise other_values(f"{name} is {_kind(value)}, expected one number.", f"{name} = {name}.mean().item()")
    return float(array)


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _alike(given: Measured, expected: Measured) -> bool:
    return all(_is_near(given[row][name], number) for row in expected for name, number in expected[row].items())


def _is_near(given: float, expected: float) -> bool:
    return abs(given - expected) <= _NEAR + _NEAR_PART * abs(expected)


def _compare(given: Measured, expected: Measured, slips: Iterator[_Slip]) -> None:
    __tracebackhide__ = True
    if _alike(given, expected):
        return
    slip = next((mistake for mistake, table in slips if _alike(given, table)), None)
    if slip is not None:
        raise ExplainedError(slip, step="table")
    row, name = next(
        (row, name) for row in expected for name in expected[row] if not _is_near(given[row][name], expected[row][name])
    )
    ours, theirs = given[row][name], expected[row][name]
    raise ExplainedError(
        None, f"{name} of {', '.join(map(str, row))} is {ours:.3g}, expected about {theirs:.3g}.",
        question="I do not recognise this mistake. Which line makes this number?",
        pointer="Print what goes into it: shapes first, then a few values.", step="table",
    )  # fmt: skip


def _measured(
    factor: Callable[[int, bool], float] = lambda d_k, scaled: d_k**-0.5 if scaled else 1.0,
    *,
    num_keys: int = _KEYS,
    entropy: Callable[[Tensor], Tensor] = lambda rows: rows.mean(),
    gradient: Callable[[Tensor], Tensor] = lambda lengths: lengths.median(),
) -> dict[Row, dict[str, float]]:
    """Measure as the exercise asks, or with one thing changed."""
    table: dict[Row, dict[str, float]] = {}
    for d_k in _WIDTHS:
        source = generator(d_k)
        query, key = (torch.randn(_DRAWS, rows, d_k, generator=source) for rows in (1, num_keys))
        asked = torch.randn(_DRAWS, 1, num_keys, generator=source)
        for scaled in (True, False):
            scores = query @ key.mT * factor(d_k, scaled)
            weights = torch.softmax(scores, -1)
            d_scores = weights * (asked - (weights * asked).sum(-1, keepdim=True))
            table[d_k, scaled] = {
                "max_weight": weights.amax(-1).mean().item(),
                "entropy": entropy(torch.special.entr(weights).sum(-1)).item(),
                "gradient": gradient(d_scores.norm(dim=-1)).item(),
            }
    return table


def _scaling_slips() -> Iterator[_Slip]:
    seen = "With and without the scale you measure the same."
    yield from_catalogue("scale_missing", seen), _measured(lambda d_k, scaled: 1.0)
    seen = "What you call scaled is unscaled, and the other way round."
    yield from_catalogue("scale_flag_inverted", seen), _measured(lambda d_k, scaled: 1.0 if scaled else d_k**-0.5)
    seen = "You divide by d_k, not by its root: the softmax gets flatter and flatter."
    yield from_catalogue("scale_by_key_size", seen), _measured(lambda d_k, scaled: 1 / d_k if scaled else 1.0)
    seen = "You multiply by the root of d_k: the softmax gets harder and harder."
    yield from_catalogue("scale_multiplied", seen), _measured(lambda d_k, scaled: d_k**0.5 if scaled else 1.0)
    bits = _measured(entropy=lambda rows: rows.mean() / math.log(2))
    yield from_catalogue("entropy_in_bits", "Your entropy is in bits."), bits
    yield _MEAN_NOT_MEDIAN, _measured(gradient=lambda lengths: lengths.mean())
    yield _OTHER_NUMBER_OF_KEYS, _measured(num_keys=64)


_MEAN_NOT_MEDIAN = Mistake(
    "mean_not_median",
    symptom="Your gradient is the mean over the draws; a few undecided rows make up nearly all of it.",
    question="What does the typical row look like?",
    pointer="Take the median.",
    fix="lengths.median()",
)
_OTHER_NUMBER_OF_KEYS = Mistake(
    "other_number_of_keys",
    symptom="Your weights are spread over about 64 keys.",
    question="How large is an even share?",
    pointer="Use 4 keys, as NUM_KEYS says.",
    fix="K = torch.randn(NUM_DRAWS, NUM_KEYS, d_k)",
)


def _shares(first: int, last: int) -> dict[str, float]:
    """Return the shares when each query sees its own place, and what lies `first`: from there on, `last`: all."""
    shares: dict[str, float] = {place: 0.0 for place in _PLACES}
    for query in range(_TOKENS):
        seen = range(_TOKENS) if last else range(query, _TOKENS) if first else range(query + 1)
        for key in seen:
            place = "past" if key < query else "self" if key == query else "future"
            shares[place] += 1 / len(seen) / _TOKENS
    return shares


def _masking_slips(expected: Measured) -> Iterator[_Slip]:
    causal, none, reverse = (expected[(name,)] for name in ("causal", "none", "reverse"))
    inverted = {("causal",): reverse, ("none",): none, ("reverse",): causal}
    yield from_catalogue("mask_inverted", "What you call causal looks ahead."), inverted
    ignored = {("causal",): none, ("none",): none, ("reverse",): none}
    yield from_catalogue("mask_ignored", "All three look the same."), ignored
    sides = (("past", "tril(diagonal=-1)"), ("future", "triu(diagonal=1)"))
    for twice, fix in sides:
        both = {row: {**shares, twice: shares[twice] + shares["self"]} for row, shares in expected.items()}
        yield _self_counted_twice(twice, fix), both
    for factor, name, symptom in ((100.0, "percent", "percent"), (float(_TOKENS), "summed", "sums over the queries")):
        table = {row: {place: share * factor for place, share in shares.items()} for row, shares in expected.items()}
        yield _no_shares(name, symptom), table


def _self_counted_twice(side: str, fix: str) -> Mistake:
    return Mistake(
        "self_counted_twice",
        symptom=f"The weight on a query's own place counts as {side}, too.",
        question="What should the three numbers of a mask sum to?",
        pointer="The diagonal belongs to self alone: leave it out on both sides.",
        fix=f"weights.{fix}.sum(-1).mean()",
    )


def _no_shares(name: str, what: str) -> Mistake:
    return Mistake(
        name,
        symptom=f"Your numbers are {what}, not shares.",
        question="What should the three numbers of a mask sum to?",
        pointer="Take the mean over the queries, from 0 to 1.",
        fix="weights[:, past].sum(-1).mean()",
    )
