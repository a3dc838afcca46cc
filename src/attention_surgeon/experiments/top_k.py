"""How much of the output is lost when each query attends only to its k best keys.

Three kinds of scores: of random vectors with the scale, the same without it, and those of a text through the untrained
spelling attention. The more the weight is gathered on few keys, the fewer are needed.
"""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.language import SHIPPED
from attention_surgeon.experiments.result import Drawings, Record, Result
from attention_surgeon.models import shipped_corpus, tokenize, trace_text
from attention_surgeon.ops import attention, topk_attention
from attention_surgeon.plots import Chart, Line, plot_charts
from attention_surgeon.require import require_count

_ENOUGH = 0.1
_SIZE = 64


@dataclass(frozen=True)
class TopKConfig:
    """Settings of the experiment on top-k attention.

    Attributes:
        k_values: Numbers of keys that each query keeps.
        num_keys: Keys in all, and tokens of the text.
        text: A text; None is the one that ships with the package.
        source: Where the text is from, in words.
        seed: Seed of the draws.
    """

    k_values: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    num_keys: int = 256
    text: str | None = None
    source: str = SHIPPED
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        for k in self.k_values:
            require_count(k, "k", "topk")
        require_count(self.num_keys, "num_keys", "topk", least=2)


def run(config: TopKConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per kind of scores and k: `scores` ("random", "unscaled", "text"), `k`, `kept` (share of the full
        weights on the k best keys, averaged over queries), `lost` (distance of the output from the full
        one, of its length, over all queries).
    """
    kinds = _kinds(config)
    bench.plan(dict.fromkeys(kinds, len(config.k_values)))
    records = []
    for kind, (Q, K, V, scale) in kinds.items():
        full, weights = attention(Q, K, V, scale=scale)
        for done, k in enumerate(config.k_values, start=1):
            few, _ = topk_attention(Q, K, V, k, scale=scale)
            kept = weights.topk(min(k, weights.shape[-1]), dim=-1).values.sum(-1).mean().item()
            lost = ((few - full).norm() / full.norm()).item()
            records.append({"scores": kind, "k": k, "kept": kept, "lost": lost})
            bench.tell(kind, done, len(config.k_values), lost=lost)
    figures = Drawings(lambda: {"topk": _draw(records)})
    return Result("topk", as_plain(config), tuple(records), _verdict(records, config), figures=figures)


def _kinds(config: TopKConfig) -> dict[str, tuple[Tensor, Tensor, Tensor, bool]]:
    seeded = torch.Generator().manual_seed(config.seed)
    Q, K, V = torch.randn(3, config.num_keys, _SIZE, generator=seeded)
    trace = trace_text(tokenize(shipped_corpus() if config.text is None else config.text)[: config.num_keys])
    return {
        "random": (Q, K, V, True),
        "unscaled": (Q, K, V, False),
        "text": (trace.query, trace.key, trace.value, True),
    }


def _verdict(records: list[Record], config: TopKConfig) -> str:
    told = []
    for kind in dict.fromkeys(row["scores"] for row in records):
        rows = [row for row in records if row["scores"] == kind]
        enough = [row["k"] for row in rows if row["lost"] <= _ENOUGH]
        needed = f"{min(enough)} keys" if enough else f"more than {max(config.k_values)}"
        told.append(f"{kind} {needed} (the single best is off by {rows[0]['lost']:.2f} of its length)")
    return f"To lose no more than {_ENOUGH:.0%} of the output with {config.num_keys} keys, it takes: {'; '.join(told)}."


def _draw(records: list[Record]) -> Figure:
    def lines(measure: str) -> list[Line]:
        kinds = dict.fromkeys(row["scores"] for row in records)
        groups = {kind: [row for row in records if row["scores"] == kind] for kind in kinds}
        return [Line(kind, [r["k"] for r in rows], [r[measure] for r in rows]) for kind, rows in groups.items()]

    charts = [
        Chart("output lost (share of its length)", "k (keys kept)", lines("lost"), {"a tenth": _ENOUGH}, is_log_x=True),
        Chart("weight kept", "k (keys kept)", lines("kept"), is_log_x=True),
    ]
    return plot_charts(charts, title="Attending to the k best keys only")


EXPERIMENT = Experiment(
    name="topk",
    question="How much of the output is lost when a query attends to its k best keys only?",
    config=TopKConfig,
    run=run,
    quick={"num_keys": 48, "k_values": (1, 4, 16, 48)},
    seconds=2,
)
