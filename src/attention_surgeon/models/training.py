"""The training loop: next-character prediction, the same losses for the same seed, also when it is stopped and resumed.

What a step does depends on the seed, its number, and the parameters and moments it finds, on nothing else: windows and
dropout are drawn anew for each step. So a checkpoint needs no state of a random generator.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from attention_surgeon.errors import ArgumentTypeError, NonFiniteError, OptionError
from attention_surgeon.masks import causal_mask
from attention_surgeon.models.adamw import AdamW
from attention_surgeon.models.checkpoint import Checkpoint, latest_checkpoint, remove_unfinished, save_checkpoint
from attention_surgeon.models.corpus import Corpus
from attention_surgeon.models.decoder import Decoder, MaskBuilder, mask_for
from attention_surgeon.models.losses import teacher_forced_loss
from attention_surgeon.require import require_count

_LARGEST_GRADIENT = 1.0
_LAST_RATE = 0.1  # of the highest learning rate, at the last step
_WINDOWS_ON_THE_WAY = 32  # of the held-out text, for the curve


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training.

    Attributes:
        num_steps: Steps of the optimiser (AdamW, Loshchilov and Hutter 2019).
        batch_size: Windows per step, each as long as the model's context.
        learning_rate: The highest, reached after `num_warmup` steps and then lowered to a tenth along a cosine.
        num_warmup: Steps in which the learning rate rises.
        weight_decay: Decay of the matrices.
        seed: Draw of the windows and of the dropout.
        evaluate_every: Steps between two looks at the held-out text; the last step is always one.
        save_every: Steps between two checkpoints, where there is a folder for them.
    """

    num_steps: int = 400
    batch_size: int = 32
    learning_rate: float = 3e-3
    num_warmup: int = 20
    weight_decay: float = 0.05
    seed: int = 0
    evaluate_every: int = 50
    save_every: int = 50

    def __post_init__(self) -> None:
        """Refuse settings with which nothing can be trained."""
        for name in ("num_steps", "batch_size", "evaluate_every", "save_every"):
            require_count(getattr(self, name), name, "TrainingConfig")
        require_count(self.num_warmup, "num_warmup", "TrainingConfig", least=0)
        require_count(self.seed, "seed", "TrainingConfig", least=0)
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ArgumentTypeError(f"TrainingConfig: {name} is {value!r}, expected a number.")
            if not 0 <= value < math.inf:
                raise OptionError(f"TrainingConfig: {name} is {value}, expected a finite number of at least 0.")


@final
@dataclass(frozen=True)
class StepRecord:
    """What one step of training found.

    Attributes:
        step: Number of the step, from 1.
        loss: Mean cross-entropy of the batch before the step, in nats per character.
        gradient_norm: Length of the gradient before it was cut to at most 1.
        held_out: The same on text that is not trained on, after the step; None where it was not looked at.
    """

    step: int
    loss: float
    gradient_norm: float
    held_out: float | None


def train(
    model: Decoder,
    corpus: Corpus,
    config: TrainingConfig,
    *,
    mask: MaskBuilder = causal_mask,
    folder: Path | None = None,
    on_step: Callable[[StepRecord], None] = lambda record: None,
    on_broken: Callable[[str], None] = lambda problem: None,
) -> tuple[StepRecord, ...]:
    """Train `model` in place and return one record per step.

    Args:
        model: A decoder, fresh or not; a checkpoint in `folder` replaces its parameters.
        corpus: The text.
        config: The settings.
        mask: Who may see whom. Only `causal_mask` makes an honest language model.
        folder: Where checkpoints are written and looked for; None: nowhere. A training that was stopped goes on
            behind its last checkpoint and ends with the same parameters, bit for bit, on the same machine.
        on_step: Called after each step, also for those that a checkpoint remembers.
        on_broken: Called with a sentence for each checkpoint that cannot be used; the one before it is.

    Raises:
        FileAccessError: a checkpoint cannot be written; those before it stay.
        OptionError: the checkpoints in `folder` are of another training.
        NonFiniteError: the loss is no number any more.
    """
    optimizer = AdamW(model, config.weight_decay)
    records = _restore(model, optimizer, corpus, config, folder, on_broken)
    for record in records:
        on_step(record)
    seen = corpus.held_out_windows(model.config.context_len, _WINDOWS_ON_THE_WAY)
    for step in range(len(records) + 1, config.num_steps + 1):
        is_last = step == config.num_steps
        record = _step(model, optimizer, corpus, config, mask, step)
        if is_last or step % config.evaluate_every == 0:
            record = dataclasses.replace(record, held_out=teacher_forced_loss(model, seen, mask))
        records.append(record)
        if folder is not None and (is_last or step % config.save_every == 0):
            save_checkpoint(_checkpoint(model, optimizer, corpus, config, records), folder)
        on_step(record)
    return tuple(records)


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Return the learning rate of a step, counted from 1: a straight rise, then half a cosine down to a tenth.

    >>> config = TrainingConfig(num_steps=100, num_warmup=10, learning_rate=1.0)
    >>> [round(learning_rate_at(step, config), 3) for step in (1, 10, 55, 100)]
    [0.1, 1.0, 0.55, 0.1]
    """
    if step <= config.num_warmup:
        return config.learning_rate * step / config.num_warmup
    done = (step - config.num_warmup) / max(config.num_steps - config.num_warmup, 1)
    return config.learning_rate * (_LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * done)) / 2)


def _step(
    model: Decoder, optimizer: AdamW, corpus: Corpus, config: TrainingConfig, mask: MaskBuilder, step: int
) -> StepRecord:
    length = model.config.context_len
    windows = corpus.batch(step=step, batch_size=config.batch_size, length=length, seed=config.seed)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed * 1_000_003 + step)
        logits = model(windows[:, :-1], mask_for(mask, length))
    loss = cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())  # (b * n, v), (b * n,)
    if not torch.isfinite(loss):
        raise NonFiniteError(
            f"training: the loss is {loss.item()} at step {step}; a lower learning rate than {config.learning_rate} "
            f"usually helps, and a mechanism that gives NaN never learns."
        )
    model.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
    optimizer.step(learning_rate_at(step, config), step)
    return StepRecord(step, loss.item(), norm.item(), None)


def _restore(
    model: Decoder,
    optimizer: AdamW,
    corpus: Corpus,
    config: TrainingConfig,
    folder: Path | None,
    on_broken: Callable[[str], None],
) -> list[StepRecord]:
    """Put the newest readable checkpoint into model and optimizer; return the records up to it."""
    if folder is None:
        return []
    remove_unfinished(folder)
    shapes = {name: tensor.shape for name, tensor in _tensors(model, optimizer).items()}
    checkpoint, problems = latest_checkpoint(folder, _settings(model, corpus, config), shapes)
    for problem in problems:
        on_broken(problem)
    if checkpoint is None:
        return []
    model.load_state_dict({name: checkpoint.tensors[f"model.{name}"] for name in model.state_dict()})
    moments = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith(_MOMENTS)}
    optimizer.load({name.removeprefix(_MOMENTS): tensor for name, tensor in moments.items()})
    return [StepRecord(**record) for record in checkpoint.records]


_MOMENTS = "optimizer."


def _checkpoint(
    model: Decoder, optimizer: AdamW, corpus: Corpus, config: TrainingConfig, records: list[StepRecord]
) -> Checkpoint:
    rows = tuple(dataclasses.asdict(record) for record in records)
    return Checkpoint(records[-1].step, _settings(model, corpus, config), rows, _tensors(model, optimizer))


def _tensors(model: Decoder, optimizer: AdamW) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {f"model.{name}": tensor.detach() for name, tensor in model.state_dict().items()}
    return tensors | {f"{_MOMENTS}{name}": tensor for name, tensor in optimizer.state().items()}


def _settings(model: Decoder, corpus: Corpus, config: TrainingConfig) -> dict[str, object]:
    """Return what must be the same for a training to go on."""
    return {
        "decoder": dataclasses.asdict(model.config),
        "training": dataclasses.asdict(config),
        "characters": corpus.tokenizer.characters,
        "text": corpus.fingerprint(),
    }
