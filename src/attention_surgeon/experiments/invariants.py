"""The plain statements of the course about shapes, sums and agreement, each tested on drawn numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.result import Drawings, Record, Result
from attention_surgeon.masks import causal_mask, create_causal_mask, create_reverse_mask, padding_mask
from attention_surgeon.nn import (
    CrossAttention,
    GroupedQueryAttention,
    MultiHeadAttention,
    MultiQueryAttention,
    SimpleAttention,
)
from attention_surgeon.ops import attention
from attention_surgeon.plots import plot_mask
from attention_surgeon.require import require_count

_BATCH, _TOKENS, _WIDTH, _HEADS = 3, 7, 20, 5


@dataclass(frozen=True)
class InvariantsConfig:
    """Settings of the invariants.

    Attributes:
        num_draws: Draws of inputs for each statement; the worst one counts.
        seed: Seed of the draws.
    """

    num_draws: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        require_count(self.num_draws, "num_draws", "promises")


def run(config: InvariantsConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per statement: `promise` (its name), `measured` (the worst over the draws) and `allowed` (the most it
        may be), `kept` (whether it is not more), `statement`.
    """
    bench.plan({name: config.num_draws for name in _INVARIANTS})
    records = []
    for name, (statement, allowed, measure) in _INVARIANTS.items():
        worst = 0.0
        for draw in range(config.num_draws):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed * 1_000_003 + draw)
                worst = max(worst, float(measure()))
            bench.tell(name, draw + 1, config.num_draws)
        kept = worst <= allowed
        records.append({"promise": name, "measured": worst, "allowed": allowed, "kept": kept, "statement": statement})
    return Result("promises", as_plain(config), tuple(records), _verdict(records), figures=Drawings(_draw))


def _input() -> Tensor:
    return torch.randn(_BATCH, _TOKENS, _WIDTH)


def _pair(attended: Any) -> tuple[Tensor, Tensor]:
    assert isinstance(attended, tuple)
    return attended


@torch.no_grad()
def _row_sums() -> float:
    _, weights = _pair(SimpleAttention(_WIDTH)(_input(), return_weights=True))
    return (weights.sum(-1) - 1).abs().max().item()


@torch.no_grad()
def _same_shape() -> float:
    x = _input()
    return float(SimpleAttention(_WIDTH)(x).shape != x.shape)  # pyright: ignore[reportAttributeAccessIssue]


@torch.no_grad()
def _everybody() -> float:
    _, weights = _pair(MultiHeadAttention(_WIDTH, _HEADS).eval()(_input(), return_weights=True))
    return float((weights == 0).sum())


@torch.no_grad()
def _lengths() -> float:
    layer = SimpleAttention(_WIDTH)
    shapes = [layer(torch.randn(_BATCH, n, _WIDTH)).shape for n in (1, 2, 31)]  # pyright: ignore
    return float(shapes != [(_BATCH, n, _WIDTH) for n in (1, 2, 31)])


def _disagreement(query: Tensor, key: Tensor) -> float:
    """Return the share of queries whose largest dot product is not with the key at the smallest angle."""
    angles = torch.nn.functional.normalize(query, dim=-1) @ torch.nn.functional.normalize(key, dim=-1).T
    return ((query @ key.T).argmax(-1) != angles.argmax(-1)).double().mean().item()


def _similarity() -> float:
    key = torch.nn.functional.normalize(torch.randn(40, _WIDTH), dim=-1)
    return _disagreement(torch.randn(40, _WIDTH), key)


def _unlike_lengths() -> float:
    """Return 1 if no query is drawn to a longer key that lies at a larger angle."""
    return float(_disagreement(torch.randn(40, _WIDTH), torch.randn(40, _WIDTH)) == 0)


@torch.no_grad()
def _future() -> float:
    layer, x = MultiHeadAttention(_WIDTH, _HEADS).eval(), _input()
    changed = torch.cat([x[:, :4], torch.randn(_BATCH, _TOKENS - 4, _WIDTH)], dim=1)
    before, after = (layer(given, causal_mask(_TOKENS)) for given in (x, changed))
    return (before - after)[:, :4].abs().max().item()  # pyright: ignore[reportOperatorIssue]


@torch.no_grad()
def _padding() -> float:
    layer, x = MultiHeadAttention(_WIDTH, _HEADS).eval(), _input()
    lengths = [_TOKENS, 4, 2]
    mask = padding_mask(lengths, n_k=_TOKENS)
    changed = x.clone()
    for row, length in enumerate(lengths):
        changed[row, length:] = torch.randn(_TOKENS - length, _WIDTH)
    before, after = layer(x, mask), layer(changed, mask)
    real = torch.arange(_TOKENS) < torch.tensor(lengths)[:, None]
    return (before - after)[real].abs().max().item()  # pyright: ignore[reportOperatorIssue]


@torch.no_grad()
def _pytorch() -> float:
    theirs = torch.nn.MultiheadAttention(_WIDTH, _HEADS, batch_first=True).eval()
    x = _input()
    ours = MultiHeadAttention.from_torch(theirs).eval()(x)
    return (theirs(x, x, x)[0] - ours).abs().max().item()


@torch.no_grad()
def _functional() -> float:
    Q, K, V = torch.randn(3, _BATCH, _TOKENS, _WIDTH)
    theirs = torch.nn.functional.scaled_dot_product_attention(Q, K, V)
    return (theirs - attention(Q, K, V)[0]).abs().max().item()


@torch.no_grad()
def _cross() -> float:
    output, weights = _pair(
        CrossAttention(_WIDTH, _HEADS).eval()(_input(), torch.randn(_BATCH, 11, _WIDTH), return_weights=True)
    )
    return float(output.shape != (_BATCH, _TOKENS, _WIDTH) or weights.shape != (_BATCH, _HEADS, _TOKENS, 11))


def _shared() -> float:
    """Return the share of key and value parameters that a layer with one shared head still has."""
    many, one = MultiHeadAttention(_WIDTH, _HEADS), MultiQueryAttention(_WIDTH, _HEADS)
    return one.key.weight.numel() / many.key.weight.numel()


@torch.no_grad()
def _as_cheap() -> float:
    """Return by how many parameters heads differ from one wide head."""
    counts = {sum(p.numel() for p in MultiHeadAttention(_WIDTH, heads).parameters()) for heads in (1, 2, 5, 10)}
    return float(max(counts) - min(counts))


@torch.no_grad()
def _hard_lookup() -> float:
    """Return how far the output of a query much longer than the others is from the value of its key."""
    key = torch.nn.functional.normalize(torch.randn(_TOKENS, _WIDTH), dim=-1)
    value = torch.randn(_TOKENS, 4)
    output, _ = attention(1000 * math.sqrt(_WIDTH) * key, key, value)
    return (output - value).abs().max().item()


def _overflow() -> float:
    """Return 1 if subtracting the largest score first does not save the softmax of scores above 89."""
    scores = torch.tensor([0.0, 100.0, 200.0])
    naive = scores.exp() / scores.exp().sum()
    stable = (scores - scores.max()).exp() / (scores - scores.max()).exp().sum()
    return float(not (naive.isnan().any() and torch.isfinite(stable).all()))


def _additive_is_not_zero_one() -> float:
    """Return the share of the past that stays visible when the course's fill meets the course's own causal mask.

    `create_causal_mask` returns 0 for the past and -inf for the future; `masked_fill(mask == 0, -inf)` then hides the
    past, and shows the future.
    """
    mask = create_causal_mask(_TOKENS)
    shown = mask != 0
    return shown.tril().double().mean().item()


def _triangle() -> float:
    return float(not torch.equal(causal_mask(_TOKENS).dense(), torch.ones(_TOKENS, _TOKENS, dtype=torch.bool).tril()))


def _reverse_is_transpose() -> float:
    shown = create_reverse_mask(_TOKENS) == 0
    return float(not torch.equal(shown, (create_causal_mask(_TOKENS) == 0).T))


@torch.no_grad()
def _grouped() -> float:
    """Return the difference between as many shared heads as heads, and none shared, with the same parameters."""
    grouped, plain = GroupedQueryAttention(_WIDTH, _HEADS, _HEADS).eval(), MultiHeadAttention(_WIDTH, _HEADS).eval()
    plain.load_state_dict(grouped.state_dict())
    x = _input()
    return (grouped(x) - plain(x)).abs().max().item()  # pyright: ignore[reportOperatorIssue]


_INVARIANTS: dict[str, tuple[str, float, Callable[[], float]]] = {
    "rows": ("the weights of a query sum to 1 over the keys", 1e-6, _row_sums),
    "shape": ("the output has the shape of the input", 0.0, _same_shape),
    "lengths": ("it takes sequences of 1, 2 and 31 tokens alike", 0.0, _lengths),
    "everybody": ("without a mask no weight is 0", 0.0, _everybody),
    "similarity": ("among keys of one length the largest dot product is the smallest angle", 0.0, _similarity),
    "unlike lengths": ("among keys of unlike lengths it need not be", 0.0, _unlike_lengths),
    "future": ("under the causal mask later tokens change nothing earlier", 0.0, _future),
    "padding": ("what stands in padded places changes nothing that is real", 0.0, _padding),
    "torch layer": ("MultiHeadAttention agrees with torch.nn.MultiheadAttention", 1e-5, _pytorch),
    "torch function": ("attention agrees with scaled_dot_product_attention", 1e-5, _functional),
    "cross": ("queries and keys may come from two sequences of different lengths", 0.0, _cross),
    "shared heads": ("one shared key and value head needs 1/heads of their parameters", 1 / _HEADS, _shared),
    "grouped": ("as many shared heads as heads is plain multi-head attention", 1e-6, _grouped),
    "cost of heads": ("several heads cost as many parameters as one", 0.0, _as_cheap),
    "lookup": (
        "attention is a soft lookup: a query far longer than the rest returns its key's value",
        1e-5,
        _hard_lookup,
    ),
    "overflow": (
        "exp of scores above 89 overflows float32; subtracting the largest first saves it, scaled or not",
        0.0,
        _overflow,
    ),
    "fill and mask": (
        "masked_fill(mask == 0, -inf) on a mask of 0 and -inf hides all of the past",
        0.0,
        _additive_is_not_zero_one,
    ),
    "triangle": ("the causal mask shows the lower triangle, the diagonal with it", 0.0, _triangle),
    "reverse": ("the reverse mask shows the future, mirror image of the causal one", 0.0, _reverse_is_transpose),
}


def _verdict(records: list[Record]) -> str:
    broken = [row["promise"] for row in records if not row["kept"]]
    at = {row["promise"]: row["measured"] for row in records}
    told = "all hold" if not broken else f"broken: {', '.join(broken)}"
    return (
        f"Of {len(records)} statements {told}. Our layer and PyTorch's differ by {at['torch layer']:.0e} at most; no "
        f"row sum is off by more than {at['rows']:.0e}; a changed future and changed padding move the rest by "
        f"{at['future']:g} and {at['padding']:g}."
    )


def _draw() -> dict[str, Figure]:
    return {
        "causal_mask": plot_mask(causal_mask(_TOKENS), title="The causal mask: no future"),
        "reverse_mask": plot_mask(~causal_mask(_TOKENS, _TOKENS), title="What masked_fill(mask == 0) makes of it"),
    }


EXPERIMENT = Experiment(
    name="promises",
    question="Do the plain statements about shapes, sums, masks and PyTorch hold?",
    config=InvariantsConfig,
    run=run,
    quick={"num_draws": 2},
    seconds=2,
)
