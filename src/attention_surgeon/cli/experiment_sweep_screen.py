"""How a sweep stands in a table: each measure with its spread in one cell, without the columns that say nothing."""

from attention_surgeon.experiments.result import Record, Records
from attention_surgeon.experiments.sweep_config import SUFFIX
from attention_surgeon.experiments.sweep_summary import SPREAD, is_spread, labels_of
from attention_surgeon.experiments.value_text import value_text


def experiment_of(name: str) -> str:
    """Return which experiment a run is of, or a sweep.

    >>> experiment_of("scaling-sweep"), experiment_of("scaling")
    ('scaling', 'scaling')
    """
    return name.removesuffix(SUFFIX)


def is_sweep(name: str) -> bool:
    """Return whether a run is a sweep."""
    return name.endswith(SUFFIX)


def spread_records(records: Records) -> Records:
    """Return the rows of a sweep with each mean and its standard deviation in one cell.

    What is the same in every row and was not measured is left away, but for the number of seeds.

    >>> spread_records(({"d_k": 16, "seeds": 2, "loss": 2.0, "loss_std": 0.5}, {"d_k": 64, "seeds": 2, "loss": None}))
    ({'d_k': 16, 'seeds': 2, 'loss': '2.000 ± 0.500'}, {'d_k': 64, 'seeds': 2, 'loss': ''})
    """
    same = {name for name in labels_of(records[0]) if len({row[name] for row in records}) == 1 and len(records) > 1}
    return tuple(
        {
            name: value if name in labels_of(row) or name == "seeds" else _with_spread(row, name)
            for name, value in row.items()
            if name not in same and not is_spread(name, row)
        }
        for row in records
    )


def _with_spread(row: Record, name: str) -> str:
    spread = row.get(name + SPREAD)
    return value_text(row[name]) if spread is None else f"{value_text(row[name])} ± {value_text(float(spread))}"
