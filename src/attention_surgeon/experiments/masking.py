"""What a wrong mask does to a language model: the same tiny decoder under the causal, no, and the reversed mask.

Without a mask, or with the reversed one, a model that is to predict the next character has it before its eyes. It
learns to copy: its training loss, and the loss on held-out text too, fall far below what honest prediction can reach.
Asked to write, there is nothing to copy from.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch

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
from attention_surgeon.experiments.masking_figures import draw_masking
from attention_surgeon.experiments.result import Drawings, Record, Result
from attention_surgeon.masks import causal_mask, reverse_mask
from attention_surgeon.models import (
    Corpus,
    Decoder,
    bigram_loss,
    bits,
    future_gradients,
    loss_without_future,
    no_mask,
    teacher_forced_loss,
    uniform_loss,
    write_text,
)
from attention_surgeon.require import require_count

VARIANTS = (Variant("causal", causal_mask), Variant("none", no_mask), Variant("reverse", reverse_mask))
_LEAK_WINDOWS = 8
_PROMPT = 24


@dataclass(frozen=True)
class MaskingConfig:
    """Settings of the masking experiment.

    Attributes:
        text: The text to learn from; None is the one that ships with the package.
        source: Where the text is from, in words.
        seed: Draw of parameters, windows and samples, the same for all three models.
        num_written: Characters that each model writes.
        language: Sizes and training of the decoder.
    """

    text: str | None = None
    source: str = SHIPPED
    seed: int = 0
    num_written: int = 160
    language: LanguageConfig = field(default_factory=LanguageConfig)

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be shown."""
        require_count(self.num_written, "num_written", "masking")


def compare_masking(text: str | None = None, *, num_steps: int = 500, seed: int = 0) -> Result:
    """Train the same tiny decoder under the causal mask, no mask and the reversed mask, and compare.

    Args:
        text: What to learn from, at least some thousand characters; None: the text that ships with the package.
        num_steps: Steps of each training.
        seed: Draw of parameters and windows.

    Returns:
        A `Result`; `run` says what its records hold.

    Raises:
        FileFormatError, OptionError, ArgumentTypeError: a text that is too short, a count that is none.

    >>> compare_masking("the cat sat on the mat. " * 99, num_steps=2).records[0]["model"]
    'causal'
    """
    config = MaskingConfig(text, "the given text" if text else SHIPPED, seed, language=LanguageConfig(num_steps))
    return run(config, Bench())


def run(config: MaskingConfig, bench: Bench) -> Result:
    """Run the experiment.

    Returns:
        One record per mask, all losses in bits per character: `training_bits` (the last twentieth of the steps),
        `held_out_bits` (text not trained on, read under the same mask), `writing_bits` (the same text, when only what
        came before goes in), `future_share` (of all that a prediction answers to, how much lies ahead), `answer_share`
        (how much is the very character to be predicted), `but_last_bits` (as `held_out_bits`, but without the last
        position of each window, behind which even a cheat finds nothing), `sample` (what it writes).
        Tables: `baselines`, `losses` (every step), `answers` (what predictions answer to, over the distance).
    """
    corpus = load_corpus(config.text, config.source, config.language)
    bench.plan({variant.name: config.language.num_steps for variant in VARIANTS})
    made = [bench.part(variant.name, lambda c=variant: _examine(c, corpus, config, bench)) for variant in VARIANTS]
    for variant in VARIANTS:
        bench.tell(variant.name, config.language.num_steps, config.language.num_steps)
    baselines = (
        {"baseline": "uniform", "bits": bits(uniform_loss(corpus.tokenizer.size))},
        {"baseline": "bigram", "bits": bits(bigram_loss(corpus.train, corpus.held_out, corpus.tokenizer.size))},
    )
    records = tuple(part["record"] for part in made)
    tables = {
        "baselines": baselines,
        "losses": tuple(row for part in made for row in part["losses"]),
        "answers": tuple(row for part in made for row in _by_distance(part["record"]["model"], part["leak"])),
    }
    leaks = {part["record"]["model"]: part["leak"] for part in made}
    figures = Drawings(lambda: draw_masking(records, tables, leaks))
    return Result("masking", as_plain(config), records, _verdict(records, baselines), tables, figures)


def _examine(variant: Variant, corpus: Corpus, config: MaskingConfig, bench: Bench) -> dict[str, Any]:
    """Train one model and measure everything about it."""
    length = config.language.context_len
    model, steps = train_variant(variant, corpus, config.language, config.seed, bench)
    windows = corpus.held_out_windows(length)
    leak = future_gradients(model, windows[:_LEAK_WINDOWS], variant.mask)
    leak = leak / leak.sum(-1, keepdim=True)  # each row: the shares of what this prediction answers to
    record = {
        "model": variant.name,
        "training_bits": last_bits(steps) if steps else None,
        "held_out_bits": bits(teacher_forced_loss(model, windows, variant.mask)),
        "writing_bits": bits(loss_without_future(model, windows, variant.mask)),
        "future_share": leak.triu(1)[:-1].sum(-1).mean().item(),
        "answer_share": leak.diagonal(1).mean().item(),
        "but_last_bits": bits(teacher_forced_loss(model, windows, variant.mask, num_predicted=length - 1)),
        "sample": _sample(model, corpus, variant, config),
    }
    return {"record": record, "losses": loss_rows(variant.name, steps), "leak": leak.tolist()}


def _sample(model: Decoder, corpus: Corpus, variant: Variant, config: MaskingConfig) -> str:
    prompt = corpus.tokenizer.decode(corpus.held_out[:_PROMPT])
    written = write_text(model, corpus.tokenizer, prompt, config.num_written, mask=variant.mask, seed=config.seed)
    return prompt + written


def _by_distance(name: str, leak: list[list[float]]) -> list[Record]:
    """Return the mean share over the distance from the position that predicts: 1 is the answer, 0 itself."""
    gradients = torch.tensor(leak, dtype=torch.float64)
    n = len(gradients)
    means = {distance: gradients.diagonal(distance).mean().item() for distance in range(1 - n, n)}
    return [{"model": name, "distance": distance, "share": mean} for distance, mean in means.items()]


def _verdict(records: tuple[Record, ...], baselines: tuple[Record, ...]) -> str:
    causal, none, reverse = records
    uniform, bigram = (row["bits"] for row in baselines)
    return (
        f"Under the causal mask the model came to {causal['training_bits']:.2f} bits per character in training and "
        f"{causal['held_out_bits']:.2f} on text it had not seen, {_than(causal['held_out_bits'], bigram)} counting "
        f"pairs of letters at {bigram:.2f} (guessing: {uniform:.2f}){_too_few(causal['held_out_bits'], bigram)}, and "
        f"it writes as well as it reads; asked to write, the model without a mask scored {none['writing_bits']:.2f} "
        f"and the one with the mask reversed {reverse['writing_bits']:.2f}. "
        f"{_cheat('Without a mask', none, bigram)} {_cheat('With the mask reversed', reverse, bigram)}"
    )


def _cheat(how: str, row: Record, bigram: float) -> str:
    return (
        f"{how} it came to {row['training_bits']:.2f} in training and {row['held_out_bits']:.2f} on unseen text, while "
        f"{row['future_share']:.0%} of what its predictions answer to lies ahead of them; asked to write, with nothing "
        f"ahead, it scored {row['writing_bits']:.2f}, {_than(row['writing_bits'], bigram)} counting pairs."
    )


def _too_few(measured: float, baseline: float) -> str:
    return "" if measured < baseline else ", because so few steps cannot show what honest prediction reaches"


def _than(measured: float, baseline: float) -> str:
    return "better than" if measured < baseline else "worse than"


_QUICK = replace(QUICK_LANGUAGE, num_steps=450, embed_dim=48)
"""The fewest steps after which the honest model is better than counting pairs of letters: about 10 s of one core."""

EXPERIMENT = Experiment(
    name="masking",
    question="What does a language model learn that may look at the answer?",
    config=MaskingConfig,
    run=run,
    quick={"language": _QUICK, "num_written": 40},
    seconds=75,
)
