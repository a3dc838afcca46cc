"""What a mask has to put in the place of a hidden score: -inf, a large negative number, 0, or nothing at all.

The same scores, the same causal mask, seven ways to hide. Measured is what still reaches a hidden key, what the rows
sum to, and what a query gets that has no key at all, in the weights and in the gradient.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Drawings, Record, Result
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import softmax
from attention_surgeon.plots import Bars, plot_charts
from attention_surgeon.require import require_count

_Hide = Callable[[Tensor, Tensor], Tensor]


def _with(fill: float) -> _Hide:
    return lambda scores, hidden: torch.softmax(scores.masked_fill(hidden, fill), dim=-1)


def _nan_to_zero(scores: Tensor, hidden: Tensor) -> Tensor:
    weights = torch.softmax(scores.masked_fill(hidden, -math.inf), dim=-1)
    return weights.masked_fill(torch.isnan(weights), 0.0)


def _added(scores: Tensor, hidden: Tensor) -> Tensor:
    weights = torch.softmax(scores + torch.zeros_like(scores).masked_fill(hidden, -math.inf), dim=-1)
    return weights.masked_fill(torch.isnan(weights), 0.0)


def _multiplied(scores: Tensor, hidden: Tensor) -> Tensor:
    return torch.softmax(scores, dim=-1) * ~hidden


FILLS: Mapping[str, _Hide] = {
    "-inf, ours": lambda scores, hidden: softmax(scores.masked_fill(hidden, -math.inf), dim=-1),
    "-inf": _with(-math.inf),
    "-inf, NaN to 0": _nan_to_zero,
    "plus -inf, NaN to 0": _added,
    "-1e9": _with(-1e9),
    "0": _with(0.0),
    "weights x 0": _multiplied,
}

_MENDED = ("-inf, NaN to 0", "plus -inf, NaN to 0")


@dataclass(frozen=True)
class MaskFillConfig:
    """Settings of the experiment on fills.

    Attributes:
        num_tokens: Queries and keys.
        num_draws: Score matrices.
        seed: Seed of the draws.
    """

    num_tokens: int = 16
    num_draws: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        require_count(self.num_tokens, "num_tokens", "fills", least=2)
        require_count(self.num_draws, "num_draws", "fills")


def run(config: MaskFillConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per fill: `fill`, `hidden_weight` (weight that hidden keys still get, of 1, averaged over the rows
        that hide any), `second_row` (of the second row, which hides the most beside the first), `row_sum` (smallest
        sum of a row), `empty_row` (each weight of a query without keys: a number or "NaN"), `empty_gradient` (largest
        gradient that comes back from it through the weights to the scores).
    """
    bench.plan({fill: 1 for fill in FILLS})
    seeded = torch.Generator().manual_seed(config.seed)
    n = config.num_tokens
    scores = torch.randn(config.num_draws, n, n, generator=seeded, dtype=torch.float64)
    hidden = ~causal_mask(n).dense()
    records = []
    for fill, hide in FILLS.items():
        records.append(_measure(fill, hide, scores, hidden))
        bench.tell(fill, 1, 1)
    figures = Drawings(lambda: {"fills": _draw(records)})
    return Result("fills", as_plain(config), tuple(records), _verdict(records, n), figures=figures)


def _measure(fill: str, hide: _Hide, scores: Tensor, hidden: Tensor) -> Record:
    weights = hide(scores, hidden)
    leaked = (weights * hidden).sum(-1).mean(0)[:-1]  # per query; the last one hides nothing
    empty = torch.zeros(1, scores.shape[-1], dtype=scores.dtype, requires_grad=True)
    given = hide(empty, torch.ones_like(empty, dtype=torch.bool))
    (gradient,) = torch.autograd.grad((given * torch.arange(scores.shape[-1])).sum(), empty)
    return {
        "fill": fill,
        "hidden_weight": leaked.mean().item(),
        "second_row": leaked[min(1, len(leaked) - 1)].item(),
        "row_sum": weights.sum(-1).min().item(),
        "empty_row": _number(given[0, 0]),
        "empty_gradient": _number(gradient.abs().max()),
    }


def _number(value: Tensor) -> float | str:
    """Return a number, or its name where JSON has none for it."""
    return "NaN" if torch.isnan(value) else value.item()


def _told(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _verdict(records: list[Record], n: int) -> str:
    at = {row["fill"]: row for row in records}
    zero, infinite, mended, added, ours = (at[name] for name in ("0", "-inf", *_MENDED, "-inf, ours"))
    return (
        f"e⁰ is 1, so a hidden score of 0 is a score like another: with {n} keys hidden ones keep "
        f"{zero['hidden_weight']:.0%} of the weight ({zero['second_row']:.0%} in the second row); with -inf "
        f"{infinite['hidden_weight']:.0%}. Weights multiplied by 0 leak nothing, but a row then sums to as little as "
        f"{at['weights x 0']['row_sum']:.3f}. A query without any key gets {infinite['empty_row']} from the plain "
        f"softmax. Replacing that by 0 mends the weights, and the gradient of the scores too where they were filled "
        f"({_told(mended['empty_gradient'])}), but not where -inf was added to them ({_told(added['empty_gradient'])});"
        f" -1e9 gives each hidden key {_told(at['-1e9']['empty_row'])}; ours gives {_told(ours['empty_row'])}, with "
        f"gradient {_told(ours['empty_gradient'])}."
    )


def _draw(records: list[Record]) -> Figure:
    names = [row["fill"] for row in records]
    charts = [
        Bars("weight that hidden keys still get", names, {"all rows": [row["hidden_weight"] for row in records]}),
        Bars("smallest sum of a row", names, {"all rows": [row["row_sum"] for row in records]}),
    ]
    return plot_charts(charts, title="Seven ways to hide a key")


EXPERIMENT = Experiment(
    name="fills",
    question="Why is a hidden score set to -inf, and not to 0?",
    config=MaskFillConfig,
    run=run,
    quick={"num_draws": 20},
    seconds=1,
)
