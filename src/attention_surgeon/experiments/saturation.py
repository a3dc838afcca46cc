"""What a saturated softmax does to learning: how strongly it answers to its scores, and a lookup to be learnt.

The lookup: n queries are to be learnt, each of which is to find its own key among n, so that its value comes out. Keys
and values are given. The gradient reaches the queries through the softmax alone, so what it swallows is not learnt.
"""

import math
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Drawings, Record, Records, Result
from attention_surgeon.experiments.spread import spread
from attention_surgeon.ops import Mechanism, leave_unscaled, softmax, softmax_jacobian
from attention_surgeon.plots import Chart, Line, plot_charts
from attention_surgeon.require import require_count

_VALUE_SIZE = 16
_TOLD_EVERY = 20
_MECHANISMS = {True: Mechanism(), False: Mechanism(scale=leave_unscaled)}


@dataclass(frozen=True)
class SaturationConfig:
    """Settings of the experiment on saturation.

    Attributes:
        spreads: Standard deviations of the scores to try.
        num_keys: Keys of each query.
        num_draws: Rows of scores per spread.
        d_k_values: Widths at which the lookup is learnt.
        num_steps: Steps of gradient descent.
        learning_rates: Steps' sizes to try, times √d_k; the one that ends lowest counts, with and without the scale.
        seed: Seed of the draws.
    """

    spreads: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    num_keys: int = 16
    num_draws: int = 2000
    d_k_values: tuple[int, ...] = (4, 16, 64, 256)
    num_steps: int = 300
    learning_rates: tuple[float, ...] = (0.003, 0.03, 0.3, 3.0)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        for name in ("num_draws", "num_steps"):
            require_count(getattr(self, name), name, "saturation")
        require_count(self.num_keys, "num_keys", "saturation", least=2)
        for d_k in self.d_k_values:
            require_count(d_k, "d_k", "saturation")


def run(config: SaturationConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per spread of the scores: `spread`, and with their percentiles `largest` (largest weight of a row)
        and `answer` (Frobenius norm of the softmax Jacobian).
        Table `lookup`: for each `d_k`, with and without the scale (`scaled`), at the `learning_rate` that suits it
        best, the `loss` at some steps (mean square, about 1 for an output of 0) and `found`, the share of queries whose
        own key has the largest weight.
    """
    rows = {_row(d_k, scaled): config.num_steps for d_k in config.d_k_values for scaled in _MECHANISMS}
    bench.plan({"answer": len(config.spreads), **rows})
    records = []
    for done, width in enumerate(config.spreads, start=1):
        records.append(_answer(width, config))
        bench.tell("answer", done, len(config.spreads))
    lookups = tuple(
        row for d_k in config.d_k_values for scaled in _MECHANISMS for row in _learn_best(d_k, scaled, config, bench)
    )
    figures = Drawings(lambda: {"saturation": _draw(records, lookups)})
    verdict = _verdict(records, lookups, len(config.learning_rates))
    return Result("saturation", as_plain(config), tuple(records), verdict, {"lookup": lookups}, figures)


def _row(d_k: int, scaled: bool) -> str:
    return f"d_k {d_k}, {'scaled' if scaled else 'plain'}"


def _answer(width: float, config: SaturationConfig) -> Record:
    seeded = torch.Generator().manual_seed(config.seed)
    scores = torch.randn(config.num_draws, config.num_keys, generator=seeded, dtype=torch.float64)
    weights = softmax(scores * width)
    answer = softmax_jacobian(weights).norm(dim=(-2, -1))
    return {"spread": width, **spread("largest", weights.amax(-1)), **spread("answer", answer)}


def _learn_best(d_k: int, scaled: bool, config: SaturationConfig, bench: Bench) -> list[Record]:
    tries = [_learn(d_k, scaled, rate, config) for rate in config.learning_rates]
    best = min(tries, key=lambda rows: rows[-1]["loss"])
    for row in best:
        bench.tell(_row(d_k, scaled), row["step"], config.num_steps, loss=row["loss"])
    return best


def _learn(d_k: int, scaled: bool, rate: float, config: SaturationConfig) -> list[Record]:
    """Learn the lookup by plain gradient descent and return what was reached on the way."""
    seeded = torch.Generator().manual_seed(config.seed * 1_000_003 + d_k)
    n = config.num_keys
    query, key = (torch.randn(n, d_k, generator=seeded) for _ in range(2))
    value = torch.randn(n, _VALUE_SIZE, generator=seeded)
    query.requires_grad_()
    rows = []
    for step in range(config.num_steps + 1):
        output, weights = _MECHANISMS[scaled](query, key, value)
        loss = (output - value).square().mean()
        if step % _TOLD_EVERY == 0 or step == config.num_steps:
            found = (weights.argmax(-1) == torch.arange(n)).double().mean().item()
            reached = {"step": step, "loss": loss.item(), "found": found}
            rows.append({"d_k": d_k, "scaled": scaled, "learning_rate": rate, **reached})
        (gradient,) = torch.autograd.grad(loss * n, query)
        with torch.no_grad():
            query -= rate * math.sqrt(d_k) * gradient
    return rows


def _verdict(records: list[Record], lookups: Records, rates: int) -> str:
    best = max(records, key=lambda row: row["answer"])
    last = records[-1]
    ends = {(row["d_k"], row["scaled"]): row for row in lookups}
    widest = max(d_k for d_k, _ in ends)
    scaled, plain = ends[widest, True], ends[widest, False]
    return (
        f"The softmax answers most strongly to scores of spread {best['spread']:g}, and {_ratio(best, last):.0f} times "
        f"more weakly at {last['spread']:g} in the mean (in the median row: {last['answer_median']:.0e}). A lookup at "
        f"d_k = {widest}, learnt by gradient descent at the best of {rates} rates, found {scaled['found']:.0%} of its "
        f"keys with the scale (loss {scaled['loss']:.2f}) and {plain['found']:.0%} without (loss {plain['loss']:.2f})."
    )


def _ratio(best: Record, last: Record) -> float:
    return best["answer"] / max(last["answer"], 1e-300)


def _draw(records: list[Record], lookups: Records) -> Figure:
    x = [row["spread"] for row in records]

    def line(measure: str, middle: str) -> Line:
        low, high = ([row[f"{measure}_{end}"] for row in records] for end in ("low", "high"))
        return Line("softmax", x, [row[middle] for row in records], low, high)

    charts = [
        Chart("largest weight of a row", "spread of the scores", [line("largest", "largest")], is_log_x=True),
        Chart(
            "how strongly weights answer to scores\n(median row)",
            "spread of the scores",
            [line("answer", "answer_median")],
            is_log_x=True,
            is_log_y=True,
            lowest=1e-8,
        ),
    ]
    for d_k in dict.fromkeys(row["d_k"] for row in lookups):
        lines = []
        for scaled, name in ((True, "with 1/√d_k"), (False, "without")):
            rows = [row for row in lookups if (row["d_k"], row["scaled"]) == (d_k, scaled)]
            lines.append(Line(name, [row["step"] for row in rows], [row["loss"] for row in rows]))
        charts.append(Chart(f"loss of the lookup, d_k = {d_k}", "step", lines))
    return plot_charts(charts, title="A saturated softmax does not learn")


EXPERIMENT = Experiment(
    name="saturation",
    question="Does a saturated softmax stop the learning?",
    config=SaturationConfig,
    run=run,
    quick={"num_draws": 50, "d_k_values": (4, 64), "num_steps": 40},
    seconds=8,
)
