"""From a text to what a model is called with, and from what it gives back to logits, states and a loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import ArgumentTypeError, OptionError, ShapeError
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import Decoder
from attention_surgeon.require import kind_of
from attention_surgeon.surgery.layers import is_encoder_decoder

TextLike: TypeAlias = str | Tensor | Sequence[int] | Mapping[str, Any]
"""A text, token ids `(n,)` or `(1, n)`, or the whole keyword arguments of the model (`pixel_values=...`)."""


@final
@dataclass(frozen=True, eq=False)
class ModelInput:
    """What a model is called with.

    Attributes:
        arguments: Keyword arguments of its `forward`.
        tokens: One name per position that is read.
        target_tokens: One name per position that is written, in an encoder-decoder; otherwise as `tokens`.
        targets: Ids `(1, n)` against which the loss is taken; None: there is none.
    """

    arguments: Mapping[str, Any]
    tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    targets: Tensor | None


@final
@dataclass(frozen=True, eq=False)
class ModelOutput:
    """What a model gave.

    Attributes:
        logits: `(n, vocabulary)` in float32 on the CPU; None: the model has no head for tokens.
        states: Last hidden states `(n, width)` in float32 on the CPU; None: the model does not give them.
        loss: Mean cross-entropy of the next token in nats; None: the model predicts no next token.
    """

    logits: Tensor | None
    states: Tensor | None
    loss: float | None


def prepare(model: nn.Module, text: TextLike, tokenizer: Any = None, target: TextLike | None = None) -> ModelInput:
    """Return what the model is to be called with.

    Args:
        model: The model.
        text: A text, ids, or all arguments.
        tokenizer: Needed for a text; for ids it gives the tokens their names.
        target: What an encoder-decoder is to write; None: the same as `text`.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: a text without a tokenizer, no text, more than one sequence.
    """
    if isinstance(text, Mapping):
        return _from_arguments(text, tokenizer)
    ids = _ids(text, tokenizer)
    names = token_names(ids[0], tokenizer)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if not is_encoder_decoder(model):
        return ModelInput({"input_ids": ids.to(device)}, names, names, ids)
    labels = ids if target is None else _ids(target, tokenizer)
    start = getattr(model.config, "decoder_start_token_id", None) or getattr(model.config, "pad_token_id", None) or 0
    written = torch.cat([torch.full_like(labels[:, :1], start), labels[:, :-1]], dim=1)
    arguments = {"input_ids": ids.to(device), "decoder_input_ids": written.to(device)}
    return ModelInput(arguments, names, token_names(written[0], tokenizer), labels)


@torch.no_grad()
def run_model(model: nn.Module, given: ModelInput) -> ModelOutput:
    """Call the model once, without gradients, and return what it gave.

    Raises:
        OptionError: the model is in training mode, in which dropout makes two runs differ.
    """
    if model.training:
        raise OptionError("the model is in training mode, in which no two runs are the same; call model.eval() first.")
    if isinstance(model, Decoder):
        ids = given.arguments["input_ids"]
        logits = model(ids, causal_mask(ids.shape[1]))
        return ModelOutput(logits[0].float().cpu(), None, _next_token_loss(logits, ids, shift=True))
    result = model(**given.arguments)
    logits = getattr(result, "logits", None)
    states = getattr(result, "last_hidden_state", None)
    loss = None
    if logits is not None and logits.ndim == 3 and given.targets is not None and writes(model):
        loss = _next_token_loss(logits, given.targets.to(logits.device), shift=not is_encoder_decoder(model))
    return ModelOutput(_first(logits), _first(states), loss)


def writes(model: nn.Module) -> bool:
    """Whether the model predicts the next token: our decoder, or a class for generation."""
    can_generate = getattr(model, "can_generate", None)
    return isinstance(model, Decoder) or bool(callable(can_generate) and can_generate())


def token_names(ids: Tensor, tokenizer: Any = None) -> tuple[str, ...]:
    """Return a name for each id: as the tokenizer writes it, a leading space shown as such; without one, the number.

    A tokenizer of bytes (GPT-2, Llama 3, Qwen) writes each byte as a letter; they are read back, and what is only a
    part of a character is shown as \ufffd.
    """
    numbers = [int(number) for number in ids]
    if tokenizer is None:
        return tuple(str(number) for number in numbers)
    if not hasattr(tokenizer, "convert_ids_to_tokens"):
        return tuple(tokenizer.decode(ids[place : place + 1]) for place in range(len(ids)))
    pieces = [str(piece) for piece in tokenizer.convert_ids_to_tokens(numbers)]
    if _is_of_bytes(tokenizer, pieces):
        pieces = [_from_bytes(piece) for piece in pieces]
    return tuple(piece.replace("▁", " ") for piece in pieces)


def _is_of_bytes(tokenizer: Any, pieces: Sequence[str]) -> bool:
    """Tell whether letters stand for bytes: the tokenizer says so, or a space or a line end is written as a letter."""
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    return "ByteLevel" in repr(decoder) or any(mark in piece for piece in pieces for mark in "ĠĊ")


@cache
def _bytes_by_letter() -> dict[str, int]:
    """Return the byte that each letter stands for: printable ones for themselves, the others from U+0100 on.

    Source: Radford et al. 2019, `bytes_to_unicode` of the code that came with the paper.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _from_bytes(piece: str) -> str:
    known = _bytes_by_letter()
    if not all(letter in known for letter in piece):  # a special token, or one that was added as text
        return piece
    return bytes(known[letter] for letter in piece).decode("utf-8", "replace")


def _ids(text: object, tokenizer: Any) -> Tensor:
    if isinstance(text, str):
        if tokenizer is None:
            raise OptionError("a text needs a tokenizer: pass tokenizer=..., or ids in place of the text.")
        text = tokenizer.encode(text)
    if not isinstance(text, Tensor):
        if not isinstance(text, Sequence):
            raise ArgumentTypeError(f"text is {kind_of(text)}, expected a text, token ids or a mapping of arguments.")
        text = torch.tensor(text, dtype=torch.long)
    ids = text[None] if text.ndim == 1 else text
    if ids.ndim != 2 or ids.shape[0] != 1 or ids.shape[1] == 0:
        raise ShapeError(f"token ids have shape {tuple(text.shape)}, expected (n,) or (1, n): one text at a time.")
    return ids.long()


def _from_arguments(arguments: Mapping[str, Any], tokenizer: Any) -> ModelInput:
    ids = arguments.get("input_ids")
    names = () if ids is None else token_names(ids[0], tokenizer)
    written = arguments.get("decoder_input_ids")
    return ModelInput(
        dict(arguments),
        names,
        names if written is None else token_names(written[0], tokenizer),
        arguments.get("labels"),
    )


def _next_token_loss(logits: Tensor, targets: Tensor, *, shift: bool) -> float | None:
    if shift:
        logits, targets = logits[:, :-1], targets[:, 1:]
    if targets.shape[1] == 0:
        return None
    return float(nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten()))


def _first(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None or tensor.shape[0] != 1 else tensor[0].float().cpu()
