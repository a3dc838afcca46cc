"""How large a dot product gets: q·k of vectors with d_k entries, drawn independently, or not.

The hint of the course says √d_k. That is so for independent entries of mean 0; vectors that lean the same way have
scores that grow like d_k, which a division by √d_k does not undo.
"""

import math
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Drawings, Record, Result
from attention_surgeon.plots import Chart, Line, plot_charts
from attention_surgeon.require import require_count

_MEAN = 0.5
DRAWS = ("normal", "signs", "shifted", "alike")


@dataclass(frozen=True)
class ScoreGrowthConfig:
    """Settings of the experiment on the growth of scores.

    Attributes:
        d_k_values: Widths of query and key.
        num_draws: Pairs per width.
        seed: Seed of the draws.
    """

    d_k_values: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 4096)
    num_draws: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        for d_k in self.d_k_values:
            require_count(d_k, "d_k", "growth")
        require_count(self.num_draws, "num_draws", "growth", least=2)


def run(config: ScoreGrowthConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per way to draw and width: `drawn` ("normal": standard normal entries; "signs": +1 or -1; "shifted":
        normal with mean 0.5; "alike": the key is the query), `d_k`, `mean` and `std` of q·k, `size` (root of
        the mean square), and `over_root` and `over_width`: that size divided by √d_k and by d_k.
    """
    bench.plan({drawn: len(config.d_k_values) for drawn in DRAWS})
    records = []
    for drawn in DRAWS:
        for done, d_k in enumerate(config.d_k_values, start=1):
            records.append(_measure(drawn, d_k, config))
            bench.tell(drawn, done, len(config.d_k_values), size=math.log10(records[-1]["size"]))
    figures = Drawings(lambda: {"growth": _draw_figure(records)})
    return Result("growth", as_plain(config), tuple(records), _verdict(records), figures=figures)


def _measure(drawn: str, d_k: int, config: ScoreGrowthConfig) -> Record:
    seeded = torch.Generator().manual_seed(config.seed * 1_000_003 + d_k)
    query, key = _draw(drawn, (config.num_draws, d_k), seeded)
    scores = (query * key).sum(-1)
    size = scores.square().mean().sqrt().item()
    return {
        "drawn": drawn,
        "d_k": d_k,
        "mean": scores.mean().item(),
        "std": scores.std().item(),
        "size": size,
        "over_root": size / math.sqrt(d_k),
        "over_width": size / d_k,
    }


def _draw(drawn: str, shape: tuple[int, int], seeded: torch.Generator) -> tuple[Tensor, Tensor]:
    query, key = torch.randn(2, *shape, generator=seeded, dtype=torch.float64)
    if drawn == "signs":
        return query.sign(), key.sign()
    if drawn == "shifted":
        return query + _MEAN, key + _MEAN
    return query, query if drawn == "alike" else key


def _verdict(records: list[Record]) -> str:
    def ratios(drawn: str, measure: str) -> str:
        values = [row[measure] for row in records if row["drawn"] == drawn]
        return f"{min(values):.2f} and {max(values):.2f}"

    widths = [row["d_k"] for row in records]
    return (
        f"For independent entries of mean 0 the size of q·k divided by √d_k stays between "
        f"{ratios('normal', 'over_root')} from d_k = {min(widths)} to {max(widths)} (entries of +1 and -1: "
        f"{ratios('signs', 'over_root')}). It is the independence that makes it so: where all entries lean by {_MEAN}, "
        f"it is {_last(records, 'shifted')} times √d_k at the widest, and where the key is the query, "
        f"{_last(records, 'alike')} times."
    )


def _last(records: list[Record], drawn: str) -> str:
    return f"{[row for row in records if row['drawn'] == drawn][-1]['over_root']:.1f}"


def _draw_figure(records: list[Record]) -> Figure:
    def curve(drawn: str, measure: str) -> Line:
        rows = [row for row in records if row["drawn"] == drawn]
        return Line(drawn, [row["d_k"] for row in rows], [row[measure] for row in rows])

    charts = [
        Chart(title, "d_k", [curve(drawn, measure) for drawn in DRAWS], is_log_x=True, is_log_y=True, lowest=None)
        for title, measure in (
            ("size of q·k", "size"),
            ("divided by √d_k", "over_root"),
            ("divided by d_k", "over_width"),
        )
    ]
    return plot_charts(charts, title="How large a dot product gets")


EXPERIMENT = Experiment(
    name="growth",
    question="How large do the scores q·k get as the vectors grow wider?",
    config=ScoreGrowthConfig,
    run=run,
    quick={"num_draws": 200},
    measures=("over_root", "over_width", "size"),
    seconds=2,
)
