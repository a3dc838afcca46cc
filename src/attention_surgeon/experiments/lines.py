"""What the lines in a heat map mean: rows are queries and columns are keys, so which way does information flow?

One column of a map is made strong (every query attends to that key), then one row is made even (that query attends to
every key). Then the token of that column, or of that row, is given another value, and every output is looked at.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Drawings, Record, Result
from attention_surgeon.ops import attention
from attention_surgeon.plots import plot_multihead_attention
from attention_surgeon.require import require_count

_STRENGTH = 4.0
_SIZE = 16


@dataclass(frozen=True)
class LinesConfig:
    """Settings of the experiment on lines.

    Attributes:
        num_tokens: Queries and keys.
        seed: Seed of the draws.
    """

    num_tokens: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        require_count(self.num_tokens, "num_tokens", "lines", least=4)


def run(config: LinesConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per line: `line` ("vertical", "horizontal"), `in_column` and `in_row` (weight in the column and in
        the row of the chosen token, averaged over the others), `reads` (keys that its own query gives more than half of
        an even share), `moved` (how far the outputs of the others move when its value is turned around, as a share of
        their length).
    """
    bench.plan({"vertical": 1, "horizontal": 1})
    seeded = torch.Generator().manual_seed(config.seed)
    Q, K, V = torch.randn(3, config.num_tokens, _SIZE, generator=seeded, dtype=torch.float64)
    chosen = config.num_tokens // 3
    heard = K.clone()  # every query has something in common, and this key answers to it
    shared = torch.nn.functional.normalize(torch.randn(_SIZE, generator=seeded, dtype=torch.float64), dim=0)
    heard[chosen] = _STRENGTH * shared
    even = Q.clone()
    even[chosen] = 0  # scores of 0 with every key
    cases = {"vertical": (Q + _STRENGTH * shared, heard, V), "horizontal": (2 * even, K, V)}
    records, maps = [], []
    for line, operands in cases.items():
        records.append(_measure(line, *operands, chosen))
        maps.append(attention(*operands)[1])
        bench.tell(line, 1, 1)
    title = f"Head 0: a vertical line at {chosen}. Head 1: a horizontal line at {chosen}."
    figures = Drawings(lambda: {"lines": plot_multihead_attention(torch.stack(maps), None, 2, title=title)})
    return Result("lines", as_plain(config), tuple(records), _verdict(records), figures=figures)


def _measure(line: str, Q: Tensor, K: Tensor, V: Tensor, chosen: int) -> Record:
    before, weights = attention(Q, K, V)
    turned = V.clone()
    turned[chosen] = -V[chosen]
    after, _ = attention(Q, K, turned)
    moved = (after - before).norm(dim=-1) / before.norm(dim=-1)
    others = torch.arange(len(Q)) != chosen
    return {
        "line": line,
        "in_column": weights[others, chosen].mean().item(),
        "in_row": weights[chosen, others].mean().item(),
        "reads": int((weights[chosen] > 0.5 / len(Q)).sum()),
        "moved": moved[others].mean().item(),
    }


def _verdict(records: list[Record]) -> str:
    column, row = records
    return (
        f"A vertical line is a key that every query attends to (the others give it {column['in_column']:.2f}): turn "
        f"its value around, and their outputs move by {column['moved']:.2f} of their length. A horizontal line is a "
        f"query that attends to all keys alike (to {row['reads']} of them at least half an even share): turn its "
        f"token's value around, and the outputs of the others move by {row['moved']:.2f}. So the "
        f"{'vertical' if column['moved'] > row['moved'] else 'horizontal'} line sends out, and the other one gathers."
    )


EXPERIMENT = Experiment(
    name="lines",
    question="Does a horizontal line in a heat map send information out, or does a vertical one?",
    config=LinesConfig,
    run=run,
    quick={"num_tokens": 9},
    seconds=1,
)
