"""What attention dropout does: to one set of weights over many draws, and to a model that is trained with it."""

from dataclasses import dataclass, field

import torch
from matplotlib.figure import Figure

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.experiment import Experiment, as_plain
from attention_surgeon.experiments.language import (
    QUICK_LANGUAGE,
    SHIPPED,
    LanguageConfig,
    Variant,
    last_bits,
    load_corpus,
    loss_rows,
    train_variant,
)
from attention_surgeon.experiments.result import Drawings, Record, Records, Result
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import Corpus, bits, teacher_forced_loss
from attention_surgeon.ops import attention_dropout, softmax
from attention_surgeon.plots import Bars, Chart, Line, plot_charts
from attention_surgeon.require import require_count

_NUM_KEYS, _VALUE_SIZE = 16, 8


@dataclass(frozen=True)
class DropoutConfig:
    """Settings of the experiment on attention dropout.

    Attributes:
        probabilities: Probabilities of dropping a weight.
        num_draws: Draws for one set of weights.
        text: The text to learn from; None is the one that ships with the package.
        source: Where the text is from, in words.
        seed: Draw of everything.
        language: Sizes and training of the decoder.
    """

    probabilities: tuple[float, ...] = (0.0, 0.2, 0.5)
    num_draws: int = 4000
    text: str | None = None
    source: str = SHIPPED
    seed: int = 0
    language: LanguageConfig = field(
        default_factory=lambda: LanguageConfig(num_steps=200, context_len=48, embed_dim=48)
    )

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be measured."""
        require_count(self.num_draws, "num_draws", "dropout", least=2)


def run(config: DropoutConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per probability: `probability`; of one set of weights over many draws: `row_sum` (mean of the sums of
        the rows), `row_sum_std` (its standard deviation), `bias` (how far the mean output is from the output without
        dropout, as a share of its length), `noise` (how far a single one is); of a model trained with it:
        `training_bits` (with dropout, the last twentieth of the steps), `held_out_bits` (without).
        Table `losses`.
    """
    corpus = load_corpus(config.text, config.source, config.language)
    bench.plan({f"dropout {p:g}": config.language.num_steps for p in config.probabilities})
    made = [bench.part(f"dropout {p:g}", lambda p=p: _examine(p, corpus, config, bench)) for p in config.probabilities]
    records = tuple(part["record"] for part in made)
    losses = tuple(row for part in made for row in part["losses"])
    figures = Drawings(lambda: {"dropout": _draw(records, losses)})
    return Result("dropout", as_plain(config), records, _verdict(records), {"losses": losses}, figures)


def _examine(p: float, corpus: Corpus, config: DropoutConfig, bench: Bench) -> dict[str, object]:
    sizes = LanguageConfig(**{**vars(config.language), "dropout": p})
    model, steps = train_variant(Variant(f"dropout {p:g}"), corpus, sizes, config.seed, bench)
    windows = corpus.held_out_windows(sizes.context_len)
    held_out = bits(teacher_forced_loss(model, windows, causal_mask))
    reached = {"training_bits": last_bits(steps), "held_out_bits": held_out}
    return {"record": {"probability": p, **_drawn(p, config), **reached}, "losses": loss_rows(f"dropout {p:g}", steps)}


def _drawn(p: float, config: DropoutConfig) -> dict[str, float]:
    seeded = torch.Generator().manual_seed(config.seed)
    weights = softmax(torch.randn(_NUM_KEYS, generator=seeded, dtype=torch.float64))
    value = torch.randn(_NUM_KEYS, _VALUE_SIZE, generator=seeded, dtype=torch.float64)
    kept = attention_dropout(weights.expand(config.num_draws, -1).contiguous(), p, seeded)
    outputs, whole = kept @ value, weights @ value
    return {
        "row_sum": kept.sum(-1).mean().item(),
        "row_sum_std": kept.sum(-1).std().item(),
        "bias": ((outputs.mean(0) - whole).norm() / whole.norm()).item(),
        "noise": ((outputs - whole).norm(dim=-1).mean() / whole.norm()).item(),
    }


def _verdict(records: Records) -> str:
    most = max(records, key=lambda row: row["probability"])
    best = min(records, key=lambda row: row["held_out_bits"])
    trained = "; ".join(
        f"{row['probability']:g}: {row['training_bits']:.2f} and {row['held_out_bits']:.2f}" for row in records
    )
    return (
        f"With probability {most['probability']:g} the rows sum to {most['row_sum']:.2f} in the mean, give or take "
        f"{most['row_sum_std']:.2f}: a single output is off by {most['noise']:.0%} of its length, the mean of all "
        f"draws by {most['bias']:.1%}. Trained with it (bits per character in training, and on unseen text without "
        f"it): {trained}. On unseen text {best['probability']:g} did best after so many steps."
    )


def _draw(records: Records, losses: Records) -> Figure:
    names = [f"dropout {row['probability']:g}" for row in records]

    def curve(name: str) -> Line:
        rows: list[Record] = [row for row in losses if row["model"] == name]
        return Line(name, [row["step"] for row in rows], [row["bits"] for row in rows])

    charts = [
        Bars("one set of weights, many draws", names, {k: [r[k] for r in records] for k in ("row_sum_std", "noise")}),
        Chart("training loss\n(bits per character)", "step", [curve(name) for name in names]),
        Bars("at the end", names, {k: [r[k] for r in records] for k in ("training_bits", "held_out_bits")}),
    ]
    return plot_charts(charts, title="Attention dropout")


EXPERIMENT = Experiment(
    name="dropout",
    question="What does attention dropout change, in one row and in a trained model?",
    config=DropoutConfig,
    run=run,
    quick={"num_draws": 200, "probabilities": (0.0, 0.5), "language": QUICK_LANGUAGE},
    seconds=30,
)
