"""Whether heads learn different things: two decoders of the same width, with one head and with four, on the same text.

Of each head it is measured where it looks, how much its map differs from those beside it, and what the model loses when
that head is knocked out: a strong pattern need not be an important one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.language import (
    QUICK_LANGUAGE,
    SHIPPED,
    LanguageConfig,
    Variant,
    load_corpus,
    loss_rows,
    train_variant,
)
from attention_surgeon.experiments.result import Drawings, Record, Records, Result
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import Corpus, Decoder, bits, teacher_forced_loss
from attention_surgeon.nn import MultiHeadAttention
from attention_surgeon.plots import plot_multihead_attention
from attention_surgeon.require import require_count

_WINDOWS = 16
_DRAWN = 24


@dataclass(frozen=True)
class HeadsConfig:
    """Settings of the experiment on heads.

    Attributes:
        num_heads_values: Numbers of heads to compare, divisors of the width.
        text: The text to learn from; None is the one that ships with the package.
        source: Where the text is from, in words.
        seed: Draw of parameters and windows.
        language: Sizes and training of the decoder.
    """

    num_heads_values: tuple[int, ...] = (1, 4)
    text: str | None = None
    source: str = SHIPPED
    seed: int = 0
    language: LanguageConfig = field(
        default_factory=lambda: LanguageConfig(num_steps=300, context_len=48, embed_dim=48)
    )

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be compared."""
        for heads in self.num_heads_values:
            require_count(heads, "num_heads", "heads")


def run(config: HeadsConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per head of the trained models: `heads` (of its model), `layer`, `head`, and as means over held-out
        text: `distance` (positions it looks back), `itself`, `previous`, `first` (weight on its own, the previous and
        the first position), `entropy` (nats), `apart` (distance of its map from the other heads' of its layer, from 0
        to 1; None for a single head) and `apart_before` (the same before the training), `needed` (bits per character
        lost without it). Tables: `models` (`heads`, `held_out_bits`), `losses`.
    """
    corpus = load_corpus(config.text, config.source, config.language)
    bench.plan({_name(heads): config.language.num_steps for heads in config.num_heads_values})
    made = [
        bench.part(_name(heads), lambda h=heads: _examine(h, corpus, config, bench))
        for heads in config.num_heads_values
    ]
    records = tuple(row for part in made for row in part["heads"])
    models = tuple(part["model"] for part in made)
    tables = {"models": models, "losses": tuple(row for part in made for row in part["losses"])}
    figures = Drawings(lambda: {f"maps_{part['model']['heads']}_heads": _draw(part["maps"]) for part in made})
    return Result("heads", as_plain(config), records, _verdict(records, models), tables, figures)


def _name(heads: int) -> str:
    return f"{heads} head{'' if heads == 1 else 's'}"


def _examine(heads: int, corpus: Corpus, config: HeadsConfig, bench: Bench) -> dict[str, object]:
    sizes = LanguageConfig(**{**vars(config.language), "num_heads": heads})
    windows = corpus.held_out_windows(sizes.context_len)[:_WINDOWS]
    fresh = Decoder(sizes.decoder(corpus.tokenizer.size), config.seed)
    before = [_apart(maps) for maps in _maps(fresh, windows)]
    model, steps = train_variant(Variant(_name(heads)), corpus, sizes, config.seed, bench)
    whole = teacher_forced_loss(model, windows, causal_mask)
    maps = _maps(model, windows)
    rows = []
    for layer, (weights, untrained) in enumerate(zip(maps, before, strict=True)):
        for head, (apart, apart_before) in enumerate(zip(_apart(weights), untrained, strict=True)):
            with knocked_out(list(model.attention_layers())[layer], head):
                needed = bits(teacher_forced_loss(model, windows, causal_mask) - whole)
            place = {"heads": heads, "layer": layer, "head": head}
            rows.append(
                {**place, "needed": needed, **_pattern(weights[:, head]), "apart": apart, "apart_before": apart_before}
            )
    tokens = list(corpus.tokenizer.decode(windows[0, :-1][:_DRAWN]))
    drawn = [weights[0, :, :_DRAWN, :_DRAWN].tolist() for weights in maps]
    return {
        "heads": rows,
        "model": {"heads": heads, "held_out_bits": bits(whole)},
        "losses": loss_rows(_name(heads), steps),
        "maps": {"tokens": tokens, "layers": drawn},
    }


@torch.no_grad()
def _maps(model: Decoder, windows: Tensor) -> list[Tensor]:
    """Return the weights of each layer, `(windows, heads, n, n)`."""
    model.eval()
    x = model.embed(windows[:, :-1])
    mask = causal_mask(x.shape[1])
    maps = []
    for block in model.blocks:
        attended = block.attention(block.attention_norm(x), mask, return_weights=True)  # pyright: ignore
        maps.append(attended[1])
        x = block(x, mask)
    return maps


def _pattern(weights: Float[Tensor, "windows n n"]) -> dict[str, float]:
    """Return where one head looks; the first position, which can look at itself alone, does not count."""
    n = weights.shape[-1]
    back = (torch.arange(n)[:, None] - torch.arange(n)).clamp(min=0)
    rows = weights[:, 1:]
    return {
        "distance": (rows * back[1:]).sum(-1).mean().item(),
        "itself": weights.diagonal(dim1=-2, dim2=-1)[:, 1:].mean().item(),
        "previous": weights.diagonal(-1, dim1=-2, dim2=-1).mean().item(),
        "first": rows[..., 0].mean().item(),
        "entropy": -torch.special.xlogy(rows, rows).sum(-1).mean().item(),
    }


def _apart(weights: Float[Tensor, "windows heads n n"]) -> list[float | None]:
    """Return of each head how far its rows are from the other heads' rows: the mean total variation distance."""
    heads = weights.shape[1]
    if heads == 1:
        return [None]
    rows = weights[:, :, 1:]
    distances = (rows[:, :, None] - rows[:, None]).abs().sum(-1).mean((0, 3)) / 2  # (w, h, h, n, n) -> (h, h)
    return (distances.sum(-1) / (heads - 1)).tolist()


@contextmanager
def knocked_out(layer: MultiHeadAttention, head: int) -> Iterator[None]:
    """Let one head of a layer say nothing: what it puts out is multiplied by 0 before the output projection."""
    size = layer.head_dim
    projection = layer.output.weight
    assert isinstance(projection, Tensor)
    kept = projection[:, head * size : (head + 1) * size].clone()
    with torch.no_grad():
        projection[:, head * size : (head + 1) * size] = 0
        try:
            yield
        finally:
            projection[:, head * size : (head + 1) * size] = kept


def _verdict(records: Records, models: Records) -> str:
    losses = " and ".join(f"{model['held_out_bits']:.2f} with {_name(model['heads'])}" for model in models)
    several = [row for row in records if row["apart"] is not None]
    told = f"On text not trained on, the same width came to bits per character of {losses}."
    if not several:
        return told
    after, before = (sum(row[name] for row in several) / len(several) for name in ("apart", "apart_before"))
    near, far = (end(several, key=lambda row: row["distance"]) for end in (min, max))
    most = max(several, key=lambda row: row["needed"])
    least = min(several, key=lambda row: row["needed"])
    return (
        f"{told} The maps of the heads of one layer are {after:.2f} apart after the training, {before:.2f} before (0: "
        f"alike, 1: no key in common). {_place(near)} looks {near['distance']:.1f} positions back, "
        f"{_place(far).lower()} {far['distance']:.1f}. Without {_place(most).lower()} the model loses "
        f"{most['needed']:.2f} bits per character, without {_place(least).lower()} {least['needed']:.2f}."
    )


def _place(row: Record) -> str:
    return f"Head {row['head']} of layer {row['layer']}"


def _draw(maps: dict[str, list]) -> Figure:
    weights = torch.tensor([head for layer in maps["layers"] for head in layer])
    title = f"Layer by layer, {len(maps['layers'][0])} in each, on text not trained on"
    return plot_multihead_attention(weights, maps["tokens"], len(weights), title=title)


EXPERIMENT = Experiment(
    name="heads",
    question="Do different heads learn different patterns, and does it help?",
    config=HeadsConfig,
    run=run,
    quick={"num_heads_values": (1, 2), "language": QUICK_LANGUAGE},
    seconds=30,
)
