"""Why the output is d_v wide: it is made of values, and queries and keys only say how much of each."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Drawings, Record, Result
from attention_surgeon.ops import attention
from attention_surgeon.plots import Chart, Line, plot_charts
from attention_surgeon.require import require_count

_NUM_QUERIES, _NUM_KEYS = 5, 7


@dataclass(frozen=True)
class ValueWidthConfig:
    """Settings of the experiment on the width of the output.

    Attributes:
        d_k_values: Widths of query and key to try.
        d_v_values: Widths of value to try.
        seed: Seed of the draws.
    """

    d_k_values: tuple[int, ...] = (1, 3, 16, 64)
    d_v_values: tuple[int, ...] = (1, 2, 11, 32)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        for name, values in (("d_k", self.d_k_values), ("d_v", self.d_v_values)):
            for value in values:
                require_count(value, name, "width")


def run(config: ValueWidthConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per pair of widths, each with 5 queries and 7 keys: `d_k`, `d_v`, `output_rows`, `output_width`,
        `weight_rows`, `weight_columns`, and `answers`: how many of the d_v columns of the output change when the
        query does.
    """
    bench.plan({f"d_k = {d_k}": len(config.d_v_values) for d_k in config.d_k_values})
    records = []
    for d_k in config.d_k_values:
        for done, d_v in enumerate(config.d_v_values, start=1):
            records.append(_measure(d_k, d_v, config.seed))
            bench.tell(f"d_k = {d_k}", done, len(config.d_v_values))
    figures = Drawings(lambda: {"width": _draw(records)})
    return Result("width", as_plain(config), tuple(records), _verdict(records), figures=figures)


def _measure(d_k: int, d_v: int, seed: int) -> Record:
    seeded = torch.Generator().manual_seed(seed)
    Q, K, V = (
        torch.randn(n, d, generator=seeded) for n, d in ((_NUM_QUERIES, d_k), (_NUM_KEYS, d_k), (_NUM_KEYS, d_v))
    )
    output, weights = attention(Q, K, V)
    moved, _ = attention(Q + 1, K, V)
    return {
        "d_k": d_k,
        "d_v": d_v,
        "output_rows": output.shape[0],
        "output_width": output.shape[1],
        "weight_rows": weights.shape[0],
        "weight_columns": weights.shape[1],
        "answers": int((moved != output).any(0).sum()),
    }


def _verdict(records: list[Record]) -> str:
    as_wide = sum(row["output_width"] == row["d_v"] for row in records)
    weights = sorted({(row["weight_rows"], row["weight_columns"]) for row in records})
    return (
        f"In {as_wide} of {len(records)} pairs of widths the output was as wide as a value, and in "
        f"{sum(row['output_width'] == row['d_k'] for row in records)} as wide as a key, which is where the two agree. "
        f"Queries and keys meet in the scores, whose shape was {' and '.join(f'{q} x {k}' for q, k in weights)} "
        f"throughout, and d_k is summed away there; what is added up afterwards are the values."
    )


def _draw(records: list[Record]) -> Figure:
    widths = list(dict.fromkeys(row["d_k"] for row in records))
    lines = [
        Line(f"d_k = {d_k}", [row["d_v"] for row in group], [row["output_width"] for row in group])
        for d_k in widths
        if (group := [row for row in records if row["d_k"] == d_k])
    ]
    return plot_charts([Chart("width of the output", "d_v (width of a value)", lines, is_log_x=True)])


EXPERIMENT = Experiment(
    name="width",
    question="Why is the output as wide as a value, and not as a key?",
    config=ValueWidthConfig,
    run=run,
    quick={"d_k_values": (1, 3), "d_v_values": (1, 2, 11)},
    seconds=1,
)
