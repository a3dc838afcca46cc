"""The built-in causal model: the decoder of `models`, trained on first use and kept, or read from a checkpoint."""

import os
from collections.abc import Callable
from pathlib import Path

from attention_surgeon.errors import FileFormatError
from attention_surgeon.files import cache_folder
from attention_surgeon.models import (
    CharacterTokenizer,
    Corpus,
    Decoder,
    DecoderConfig,
    TrainingConfig,
    shipped_corpus,
    train,
)
from attention_surgeon.models.checkpoint import Checkpoint, list_checkpoints, load_checkpoint

_TRAINING = TrainingConfig(num_steps=300, evaluate_every=300, save_every=100)
_PARAMETERS = "model."


def load_tiny(path: Path | None, on_note: Callable[[str], None]) -> tuple[Decoder, CharacterTokenizer]:
    """Return a decoder in evaluation mode and the tokenizer it was trained with.

    Args:
        path: A checkpoint that `models.train` wrote; None: the built-in one, which is trained on first use.
        on_note: Called with a sentence before it is trained.

    Raises:
        FileAccessError, FileFormatError: a checkpoint that cannot be read, or is of something else.
    """
    if path is not None:
        return from_checkpoint(load_checkpoint(path), path)
    corpus = Corpus.from_text(shipped_corpus())
    model = Decoder(DecoderConfig(vocabulary_size=corpus.tokenizer.size))
    folder = _folder()
    if folder is None or not list_checkpoints(folder):
        on_note(f"training the tiny decoder, {_TRAINING.num_steps} steps, once")
    train(model, corpus, _TRAINING, folder=folder)
    return model.eval(), corpus.tokenizer


def from_checkpoint(checkpoint: Checkpoint, path: Path) -> tuple[Decoder, CharacterTokenizer]:
    """Return the decoder of a checkpoint, and its tokenizer.

    Raises:
        FileFormatError: a checkpoint of something else.
    """
    try:
        config = DecoderConfig(**checkpoint.settings["decoder"])
        tokenizer = CharacterTokenizer(checkpoint.settings["characters"])
        model = Decoder(config)
        model.load_state_dict({name: checkpoint.tensors[f"{_PARAMETERS}{name}"] for name in model.state_dict()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{path} is a checkpoint, but not of a decoder of this package: {error}.") from None
    return model.eval(), tokenizer


def _folder() -> Path | None:
    """Return where the trained decoder is kept, None where nothing can be kept."""
    folder = cache_folder("tiny")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
