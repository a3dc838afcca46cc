"""Whether attention knows in which order its inputs come: shuffle them, and see what becomes of the output."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Drawings, Record, Result
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import Decoder, DecoderConfig, MaskBuilder, no_mask
from attention_surgeon.plots import Bars, plot_charts
from attention_surgeon.require import require_count

_VOCABULARY = 40
_SETTINGS: Mapping[str, tuple[bool, MaskBuilder]] = {
    "nothing": (False, no_mask),
    "positions": (True, no_mask),
    "causal mask": (False, causal_mask),
    "both": (True, causal_mask),
}


@dataclass(frozen=True)
class OrderConfig:
    """Settings of the experiment on order.

    Attributes:
        num_tokens: Positions.
        num_draws: Texts, each shuffled once.
        seed: Seed of texts, shuffles and parameters.
    """

    num_tokens: int = 23
    num_draws: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        require_count(self.num_tokens, "num_tokens", "order", least=2)
        require_count(self.num_draws, "num_draws", "order")


def run(config: OrderConfig, bench: Bench) -> Result:
    """Run the experiment on a fresh decoder of two blocks, in double precision.

    Returns:
        One record per what tells the order (`given`: "nothing", "positions", "causal mask", "both"), with distances as
        a share of the outputs' length: `moved_along` (of the shuffled text's outputs from the text's outputs, shuffled
        alike: 0 = equivariant), `unmoved` (from the outputs as they stood: 0 = invariant), `averaged` (the same for
        the mean over all positions).
    """
    bench.plan(dict.fromkeys(_SETTINGS, 1))
    records = []
    for given, (use_positions, mask) in _SETTINGS.items():
        records.append({"given": given, **_measure(use_positions, mask, config)})
        bench.tell(given, 1, 1)
    figures = Drawings(lambda: {"order": _draw(records)})
    return Result("order", as_plain(config), tuple(records), _verdict(records), figures=figures)


@torch.no_grad()
def _measure(use_positions: bool, mask: MaskBuilder, config: OrderConfig) -> Record:
    sizes = DecoderConfig(_VOCABULARY, config.num_tokens, embed_dim=32, use_positions=use_positions)
    model = Decoder(sizes, config.seed).double().eval()
    for embedding in filter(None, (model.token_embedding, model.position_embedding)):
        torch.nn.init.normal_(embedding.weight, generator=torch.Generator().manual_seed(config.seed))
    seeded = torch.Generator().manual_seed(config.seed)
    tokens = torch.randint(_VOCABULARY, (config.num_draws, config.num_tokens), generator=seeded)
    order = torch.randperm(config.num_tokens, generator=seeded)

    def outputs(given: Tensor) -> Tensor:
        return model.run_blocks(model.embed(given), mask(config.num_tokens))

    before, after = outputs(tokens), outputs(tokens[:, order])
    return {
        "moved_along": _distance(after, before[:, order]),
        "unmoved": _distance(after, before),
        "averaged": _distance(after.mean(1), before.mean(1)),
    }


def _distance(one: Tensor, other: Tensor) -> float:
    return ((one - other).norm() / other.norm()).item()


def _verdict(records: list[Record]) -> str:
    at = {row["given"]: row for row in records}
    nothing = at["nothing"]
    others = ", ".join(f"{name}: {row['moved_along']:.2f}" for name, row in at.items() if name != "nothing")
    return (
        f"Without positions and without a mask, shuffling the inputs shuffles the outputs alike, to {_power(nothing)}: "
        f"attention is equivariant. It is not invariant: position by position the outputs differ by "
        f"{nothing['unmoved']:.2f} of their length, and only their mean stays ({nothing['averaged']:.0e}). What tells "
        f"the order apart (distance after shuffling): {others}."
    )


def _power(row: Record) -> str:
    return f"{row['moved_along']:.0e}"


def _draw(records: list[Record]) -> Figure:
    names = [row["given"] for row in records]
    measures: Mapping[str, Callable[[Record], float]] = {
        "outputs shuffled alike": lambda row: row["moved_along"],
        "outputs as they stood": lambda row: row["unmoved"],
        "mean of all outputs": lambda row: row["averaged"],
    }
    series = {name: [measure(row) for row in records] for name, measure in measures.items()}
    return plot_charts([Bars("distance after shuffling the inputs\n(share of the length)", names, series)])


EXPERIMENT = Experiment(
    name="order",
    question="Does attention know in which order its inputs come?",
    config=OrderConfig,
    run=run,
    quick={"num_draws": 5},
    seconds=2,
)
