"""Many runs as one table: for each combination of swept values, every measure as mean and spread over the seeds.

Runs that differ only in their seed have the same rows. What is the same in all of them names the row (the number of
keys, with or without the scale); what differs was measured, and becomes its mean and its standard deviation.
"""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from attention_surgeon.experiments.result import Record, Records
from attention_surgeon.experiments.sweep_config import value_text
from attention_surgeon.experiments.value_text import value_text as cell_text

SPREAD = "_std"
"""What the name of a column ends with that holds the standard deviation over the seeds."""

_WITHIN_RUNS = ("_low", "_median", "_high")


def all_rows(runs: Sequence[tuple[Mapping[str, Any], int, Records]]) -> list[dict[str, Any]]:
    """Return every row of every run behind its swept values, its seed and its number in the run.

    What a row says itself of a swept setting stays away where it is the same, and is called `<name>_of_row` if not.

    Args:
        runs: Swept values, seed and records of each run.
    """
    rows = [
        ({name: _plain(value) for name, value in swept.items()} | {"seed": seed, "row": number}, dict(record))
        for swept, seed, records in runs
        for number, record in enumerate(records)
    ]
    told = {name for name in rows[0][0] if all(name in row and row[name] == place[name] for place, row in rows)}
    return [
        {**place, **{f"{name}_of_row" if name in place else name: x for name, x in row.items() if name not in told}}
        for place, row in rows
    ]


def summarise(rows: Sequence[Record], swept: Sequence[str], measures: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return one row for each combination of swept values and row of a run.

    Args:
        rows: As `all_rows` returns them.
        swept: Names of the swept settings.
        measures: Those wanted, in order; none: all.

    Returns:
        The swept values, what names the row, `seeds` (how many runs), and each measure as mean and, under its name
        with `_std`, standard deviation (of a sample; None with one seed).

    >>> rows = [{"d_k": 16, "seed": seed, "row": 0, "scaled": True, "loss": 1.0 + seed} for seed in (0, 2)]
    >>> summarise(rows, ["d_k"])
    [{'d_k': 16, 'scaled': True, 'seeds': 2, 'loss': 2.0, 'loss_std': 1.4142135623730951}]
    """
    place = (*swept, "row")
    together: dict[tuple[Any, ...], list[Record]] = {}
    for row in rows:
        together.setdefault(tuple(row[name] for name in place), []).append(row)
    groups = list(together.values())
    columns = [name for name in rows[0] if name not in (*place, "seed")]
    labels = [name for name in columns if all(_is_label(name, group) for group in groups)]
    measured = [name for name in columns if name not in labels and all(map(_is_number, _values(name, rows)))]
    wanted = [name for name in measures if name in measured] or _main(measured)
    return [
        {
            **{name: group[0][name] for name in (*swept, *labels)},
            "seeds": len(group),
            **{key: value for name in wanted for key, value in _spread(name, group).items()},
        }
        for group in groups
    ]


def labels_of(row: Record) -> dict[str, Any]:
    """Return what names a row of the summary: all that stands before the number of seeds."""
    return dict(itertools.takewhile(lambda item: item[0] != "seeds", row.items()))


def measures_of(records: Records) -> list[str]:
    """Return the names of the measures of a summary, without their spreads."""
    names = list(records[0])
    return [name for name in names[names.index("seeds") + 1 :] if not is_spread(name, records[0])]


def is_spread(name: str, row: Record) -> bool:
    """Return whether a column holds the spread of another one; a measure may be called `score_std` itself."""
    return name.endswith(SPREAD) and name.removesuffix(SPREAD) in row


def tell_sweep(records: Records, num_runs: int, num_seeds: int) -> str:
    """Return what a summary says: where its first measure is lowest and highest, and how far apart the seeds are."""
    counted = f"{num_runs} runs, {num_seeds} of each combination of values."
    measures = measures_of(records)
    if not measures:
        return f"{counted} No measure differs between them."
    name = measures[0]
    known = [row for row in records if row[name] is not None]
    if not known:
        return f"{counted} {name} could not be measured in any of them."
    lowest, highest = (choose(known, key=lambda row: row[name]) for choose in (min, max))
    if lowest is highest:
        told = f"{counted} {name} is {_told(lowest, name)}."
    else:
        told = f"{counted} {name} is lowest, {_told(lowest, name)}, at {row_name(lowest, records)}, and highest, "
        told += f"{_told(highest, name)}, at {row_name(highest, records)}."
    spreads = [row[name + SPREAD] for row in known if row[name + SPREAD] is not None]
    return f"{told} Its standard deviation over the seeds is at most {max(spreads):.2g}." if spreads else told


def _told(row: Record, name: str) -> str:
    spread = row[name + SPREAD]
    return f"{row[name]:.4g}" if spread is None else f"{row[name]:.4g} ± {spread:.2g}"


def row_name(row: Record, records: Records, without: str | None = None) -> str:
    """Return what tells a row from the others: `d_k 16, scaled yes`."""
    labels = {name: value for name, value in labels_of(row).items() if any(x[name] != value for x in records)}
    return ", ".join(f"{name} {cell_text(value)}" for name, value in labels.items() if name != without)


def _spread(name: str, group: Sequence[Record]) -> dict[str, float | None]:
    values = [float(value) for value in _values(name, group) if value is not None]
    return {
        name: statistics.fmean(values) if values else None,
        name + SPREAD: statistics.stdev(values) if len(values) > 1 else None,
    }


def _main(measured: Sequence[str]) -> list[str]:
    """Leave out the quantiles over the draws of one run, where their mean is there."""
    return [
        name
        for name in measured
        if not any(name.endswith(end) and name.removesuffix(end) in measured for end in _WITHIN_RUNS)
    ]


def _is_label(name: str, group: Sequence[Record]) -> bool:
    first, *others = _values(name, group)
    return not isinstance(first, float) and all(value == first for value in others)


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _values(name: str, rows: Sequence[Record]) -> list[Any]:
    return [row.get(name) for row in rows]


def _plain(value: Any) -> Any:
    return value_text(value) if isinstance(value, tuple) else value
