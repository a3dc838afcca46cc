"""Whether the output can hold more than the inputs: the rank of every matrix on the way, and the hull of the values.

One head mixes the values it is given, so each output row lies among them, and their rank is the most that the output
can have. Several heads mix the same inputs with different weights, and their sum is no mixture any more.
"""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Drawings, Record, Result
from attention_surgeon.nn import MultiHeadAttention
from attention_surgeon.ops import attention
from attention_surgeon.plots import Chart, Line, plot_charts
from attention_surgeon.require import require_count

_WIDTH = 24
_SMALLEST = 1e-10  # singular values count that are not smaller than this share of the largest


@dataclass(frozen=True)
class RankConfig:
    """Settings of the experiment on ranks.

    Attributes:
        input_ranks: Ranks of the inputs to try, at most 24, their width.
        num_heads_values: Numbers of heads to try, divisors of 24; 0 stands for attention without any projection.
        num_tokens: Positions.
        seed: Seed of inputs and parameters.
    """

    input_ranks: tuple[int, ...] = (1, 2, 4, 8, 16, 24)
    num_heads_values: tuple[int, ...] = (0, 1, 2, 4, 8)
    num_tokens: int = 37
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        for rank in self.input_ranks:
            require_count(rank, "input_rank", "rank")
        for heads in self.num_heads_values:
            require_count(heads, "num_heads", "rank", least=0)
        require_count(self.num_tokens, "num_tokens", "rank", least=2)


def run(config: RankConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per number of heads and rank of the inputs (37 x 24): `heads` (0: no projections), `input_rank`,
        `scores_rank` and `weights_rank` of the first head, `output_rank`, and `outside`: how far the output leaves the
        range of the values it is made of, entry by entry (None with several heads, which have no common values).
        No biases, double precision.
    """
    bench.plan({f"{heads} heads": len(config.input_ranks) for heads in config.num_heads_values})
    records = []
    for heads in config.num_heads_values:
        for done, rank in enumerate(config.input_ranks, start=1):
            records.append(_measure(heads, rank, config))
            bench.tell(f"{heads} heads", done, len(config.input_ranks))
    figures = Drawings(lambda: {"rank": _draw(records)})
    return Result("rank", as_plain(config), tuple(records), _verdict(records), figures=figures)


def _measure(heads: int, rank: int, config: RankConfig) -> Record:
    seeded = torch.Generator().manual_seed(config.seed * 1_000_003 + rank)
    shapes = (config.num_tokens, rank), (rank, _WIDTH)
    tall, wide = (torch.randn(shape, generator=seeded, dtype=torch.float64) for shape in shapes)
    x = tall @ wide
    if heads == 0:
        Q, K, V = x, x, x
        output, weights = attention(x, x, x)
    else:
        layer = _layer(heads, config.seed)
        Q, K, V = (part[0] for part in layer.project(x))
        attended = layer(x, return_weights=True)
        assert isinstance(attended, tuple)
        output, weights = attended[0], attended[1][0]
    mixed = weights @ V  # what the first head makes of its values
    outside = torch.maximum(mixed - V.amax(0), V.amin(0) - mixed).clamp(min=0).max().item()
    return {
        "heads": heads,
        "input_rank": _rank(x),
        "scores_rank": _rank(Q @ K.T),
        "weights_rank": _rank(weights),
        "output_rank": _rank(output),
        "outside": outside,
    }


@torch.no_grad()
def _layer(heads: int, seed: int) -> MultiHeadAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MultiHeadAttention(_WIDTH, heads, dropout=0.0, bias=False).double().eval()


def _rank(matrix: Tensor) -> int:
    return int(torch.linalg.matrix_rank(matrix.detach(), rtol=_SMALLEST))


def _verdict(records: list[Record]) -> str:
    one, many = ([row for row in records if (row["heads"] > 1) is several] for several in (False, True))
    above = [row for row in one if row["output_rank"] > row["input_rank"]]
    told = (
        f"Without heads and with one, the output had a higher rank than the inputs in {len(above)} of {len(one)} "
        f"cases, and no entry left the range of the values by more than {max(row['outside'] for row in one):.0e}."
    )
    higher = [row for row in many if row["output_rank"] > row["input_rank"]]
    if not higher:
        return told
    most = max(higher, key=lambda row: row["output_rank"] / row["input_rank"])
    return (
        f"{told} With several heads it had in {len(higher)} of {len(many)}: inputs of rank {most['input_rank']} became "
        f"an output of rank {most['output_rank']} with {most['heads']} heads, because each head mixes with weights of "
        f"its own. The softmax itself raises ranks too: scores of rank {most['scores_rank']} became weights of rank "
        f"{most['weights_rank']}."
    )


def _draw(records: list[Record]) -> Figure:
    names = {heads: f"{heads} heads" if heads else "no projections" for heads in (row["heads"] for row in records)}

    def lines(measure: str) -> list[Line]:
        groups = {name: [row for row in records if row["heads"] == heads] for heads, name in names.items()}
        return [
            Line(name, [r["input_rank"] for r in rows], [r[measure] for r in rows]) for name, rows in groups.items()
        ]

    charts = [
        Chart("rank of the output", "rank of the inputs", lines("output_rank")),
        Chart("rank of the first head's weights", "rank of the inputs", lines("weights_rank")),
    ]
    return plot_charts(charts, title="Can attention make more of its inputs than there is in them?")


EXPERIMENT = Experiment(
    name="rank",
    question="Can the output have a higher rank than the inputs?",
    config=RankConfig,
    run=run,
    quick={"input_ranks": (1, 4), "num_heads_values": (0, 1, 4)},
    seconds=2,
)
