"""See what your bug does: a tiny language model with one fault of the catalogue, trained beside the healthy one."""

from dataclasses import dataclass, field
from typing import Any

import torch
from matplotlib.figure import Figure

from attention_surgeon.errors import OptionError
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
from attention_surgeon.faults import Fault, find_fault, with_faults
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import (
    Corpus,
    Decoder,
    bits,
    loss_without_future,
    no_mask,
    teacher_forced_loss,
    write_text,
)
from attention_surgeon.ops import Circuit
from attention_surgeon.plots import Chart, Line, plot_charts

_NUM_CHARACTERS, _NUM_WINDOWS = 120, 8
_HEALTHY = "healthy"
_SEEN = 0.05  # bits per character; less is noise between two seeds


@dataclass(frozen=True)
class FaultConfig:
    """Settings of the experiment.

    Attributes:
        name: Of the fault; `surgeon faults` lists them.
        text: The text to learn from; None is the one that ships with the package.
        source: Where the text is from, in words.
        seed: Draw of everything.
        language: Sizes and training of the two models.
    """

    name: str = "softmax_over_queries"
    text: str | None = None
    source: str = SHIPPED
    seed: int = 0
    language: LanguageConfig = field(
        default_factory=lambda: LanguageConfig(num_steps=120, batch_size=24, context_len=48, embed_dim=48)
    )

    def __post_init__(self) -> None:
        """Refuse what no model can be trained with."""
        fault = find_fault(self.name)
        if fault.operate is None or not {"layer", "causal"} & fault.families:
            raise OptionError(
                f"fault: {self.name} is a fault of {', '.join(sorted(fault.families))}, not of what a layer computes, "
                f"so no model can be trained with it; surgeon faults --family layer lists those."
            )


def run(config: FaultConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per model, `healthy` and the fault's name: `training_bits` (the last twentieth of the steps),
        `held_out_bits`, `written_bits` (unseen text without a future, as when it writes), `entropy` (mean over the rows
        of the first layer, in nats), `sample`. Table `losses`.
    """
    corpus = load_corpus(config.text, config.source, config.language)
    fault = find_fault(config.name)
    variants = (Variant(_HEALTHY, no_mask, _put_in(())), Variant(config.name, no_mask, _put_in((fault,))))
    bench.plan({variant.name: config.language.num_steps for variant in variants})
    made = [bench.part(variant.name, lambda v=variant: _examine(v, corpus, config, bench)) for variant in variants]
    records = tuple(part["record"] for part in made)
    losses = tuple(row for part in made for row in part["losses"])
    figures = Drawings(lambda: {"losses": _draw(losses, config.name)})
    return Result("fault", as_plain(config), records, _verdict(records, fault), {"losses": losses}, figures)


def _put_in(faults: tuple[Fault, ...]) -> Any:
    """Return what gives every layer of a model a causal circuit with these faults."""

    def prepare(model: Decoder) -> None:
        for layer in model.attention_layers():
            layer.circuit = with_faults(Circuit(layer.mechanism, pattern=_causal), faults)

    return prepare


def _causal(n_q: int, n_k: int) -> torch.Tensor:
    return causal_mask(n_q, n_k).dense()


def _examine(variant: Variant, corpus: Corpus, config: FaultConfig, bench: Bench) -> dict[str, Any]:
    model, steps = train_variant(variant, corpus, config.language, config.seed, bench)
    windows = corpus.held_out_windows(config.language.context_len)
    prompt = corpus.tokenizer.decode(windows[0][: config.language.context_len // 2])
    sample = write_text(model, corpus.tokenizer, prompt, _NUM_CHARACTERS, mask=variant.mask, seed=config.seed)
    record = {
        "model": variant.name,
        "training_bits": last_bits(steps),
        "held_out_bits": bits(teacher_forced_loss(model, windows, variant.mask)),
        "written_bits": bits(loss_without_future(model, windows[:_NUM_WINDOWS], variant.mask)),
        "entropy": _entropy(model, windows[:_NUM_WINDOWS]),
        "sample": sample,
    }
    return {"record": record, "losses": loss_rows(variant.name, steps)}


def _entropy(model: Decoder, windows: torch.Tensor) -> float:
    """Return the mean entropy of the rows of the first layer, in nats; NaN where they are no weights."""
    layer = next(iter(model.attention_layers()))
    kept: list[torch.Tensor] = []
    usual = layer.circuit.mechanism.normalise

    def normalise(masked: torch.Tensor, operands: Any) -> torch.Tensor:
        kept.append(usual(masked, operands))
        return kept[-1]

    before = layer.circuit
    layer.circuit = before.replace(normalise=normalise)
    with torch.no_grad():
        model.eval()
        model(windows[:, :-1], None)
    layer.circuit = before
    weights = kept[0]
    return float(-torch.special.xlogy(weights, weights).sum(-1).mean())


def _verdict(records: Records, fault: Fault) -> str:
    healthy, faulty = records
    gap = faulty["held_out_bits"] - healthy["held_out_bits"]
    if abs(gap) < _SEEN:
        compared = "as well as the healthy one: after so few steps the loss does not show it"
    elif gap > 0:
        compared = f"{gap:.2f} bits per character worse than the healthy one"
    else:
        cheats = faulty["written_bits"] - faulty["held_out_bits"] > _SEEN
        why = "it sees what it should not" if cheats else "so few steps say little"
        compared = f"{-gap:.2f} bits per character better than the healthy one: {why}"
    read, written = (f"{faulty[what]:.2f} ({healthy[what]:.2f})" for what in ("held_out_bits", "written_bits"))
    spread = f"{faulty['entropy']:.2f} nats ({healthy['entropy']:.2f})"
    return (
        f"With {fault.name} the model reads unseen text {compared}: {read} bits per character. Without a future, as "
        f"when it writes: {written}. Entropy of its rows: {spread}. {fault.in_training}"
    )


def _draw(losses: Records, name: str) -> Figure:
    def curve(model: str) -> Line:
        rows: list[Record] = [row for row in losses if row["model"] == model]
        return Line(model, [row["step"] for row in rows], [row["bits"] for row in rows])

    chart = Chart("training loss\n(bits per character)", "step", [curve(_HEALTHY), curve(name)])
    return plot_charts([chart], title=f"What {name} does")


EXPERIMENT = Experiment(
    name="fault",
    question="Any fault of the catalogue (--name), trained beside the healthy model: what does your bug do?",
    config=FaultConfig,
    run=run,
    quick={"language": QUICK_LANGUAGE},
    seconds=30,
)
