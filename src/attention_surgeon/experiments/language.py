"""What the experiments on language share: the tiny decoder is changed, trained, and examined.

A variant is the decoder with something about its attention changed: the mask, a step of the mechanism, the layers
themselves. The same text, seed and steps for each, so that only the change makes the difference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import (
    Corpus,
    Decoder,
    DecoderConfig,
    MaskBuilder,
    StepRecord,
    TrainingConfig,
    bits,
    shipped_corpus,
    train,
)

SHIPPED = "the text that ships with the package"


@dataclass(frozen=True)
class LanguageConfig:
    """Sizes and training of the tiny decoder; the attributes are those of `DecoderConfig` and `TrainingConfig`."""

    num_steps: int = 500
    batch_size: int = 32
    learning_rate: float = 3e-3
    context_len: int = 64
    embed_dim: int = 64
    num_heads: int = 4
    num_layers: int = 2
    dropout: float = 0.0
    use_positions: bool = True

    def decoder(self, vocabulary_size: int) -> DecoderConfig:
        """Return the sizes of the model for so many characters."""
        return DecoderConfig(
            vocabulary_size,
            self.context_len,
            self.embed_dim,
            self.num_heads,
            self.num_layers,
            dropout=self.dropout,
            use_positions=self.use_positions,
        )

    def training(self, seed: int) -> TrainingConfig:
        """Return the settings of the training."""
        every = max(self.num_steps // 20, 1)
        return TrainingConfig(
            self.num_steps, self.batch_size, self.learning_rate, seed=seed, evaluate_every=every, save_every=every
        )


QUICK_LANGUAGE = LanguageConfig(
    num_steps=60, batch_size=16, learning_rate=1e-2, context_len=32, embed_dim=32, num_heads=2, num_layers=1
)


def leave_healthy(model: Decoder) -> None:
    """Change nothing about a model."""


@final
@dataclass(frozen=True)
class Variant:
    """The tiny decoder with another way to attend.

    Attributes:
        name: Of the row in tables and figures.
        mask: Who may see whom.
        prepare: Changes the fresh model before it is trained, for example by `model.set_mechanism(...)`.
    """

    name: str
    mask: MaskBuilder = causal_mask
    prepare: Callable[[Decoder], None] = leave_healthy


def load_corpus(text: str | None, source: str, config: LanguageConfig) -> Corpus:
    """Return the text to learn from: the user's, or the shipped one.

    Raises:
        FileFormatError, OptionError: the text is empty or too short for the context.
    """
    corpus = Corpus.from_text(shipped_corpus() if text is None else text)
    corpus.require_length(config.context_len, source)
    return corpus


def train_variant(
    variant: Variant, corpus: Corpus, config: LanguageConfig, seed: int, bench: Bench
) -> tuple[Decoder, tuple[StepRecord, ...]]:
    """Train a fresh decoder of a variant and return it with the record of every step.

    Raises:
        SurgeonError: as `models.train`.
    """
    model = Decoder(config.decoder(corpus.tokenizer.size), seed)
    variant.prepare(model)

    def tell(record: StepRecord) -> None:
        bench.tell(variant.name, record.step, config.num_steps, loss=bits(record.loss))

    folder = bench.checkpoints(variant.name)
    training = config.training(seed)
    records = train(model, corpus, training, mask=variant.mask, folder=folder, on_step=tell, on_broken=bench.on_note)
    return model, records


def loss_rows(name: str, records: tuple[StepRecord, ...]) -> list[dict[str, Any]]:
    """Return the losses of every step as rows of a table, in bits per character."""
    return [
        {
            "model": name,
            "step": record.step,
            "bits": bits(record.loss),
            "held_out_bits": None if record.held_out is None else bits(record.held_out),
        }
        for record in records
    ]


def last_bits(records: tuple[StepRecord, ...], share: float = 0.05) -> float:
    """Return the training loss at the end: bits per character, averaged over the last twentieth of the steps."""
    last = records[-max(1, round(share * len(records))) :]
    return bits(sum(record.loss for record in last) / len(last))
