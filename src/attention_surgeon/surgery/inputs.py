"""From a text to what a model is called with, and from what it gives back to logits, states and a loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    starts = (getattr(model.config, name, None) for name in ("decoder_start_token_id", "pad_token_id"))
    start = next((one for one in starts if one is not None), 0)
    written = torch.cat([torch.full_like(labels[:, :1], start), labels[:, :-1]], dim=1)
    arguments = {"input_ids": ids.to(device), "decoder_input_ids": written.to(device)}
    return ModelInput(arguments, names, token_names(written[0], tokenizer), labels)


@final
@dataclass(frozen=True, eq=False)
class BatchInput:
    """Several texts for one call.

    Attributes:
        arguments: Keyword arguments of the model's `forward`, padded.
        rows: Each text on its own, without padding.
        kept: For each text its positions that are read and that are written, without padding.
    """

    arguments: Mapping[str, Any]
    rows: tuple[ModelInput, ...]
    kept: tuple[tuple[Tensor, Tensor], ...]


def prepare_batch(model: nn.Module, texts: Sequence[TextLike] | Mapping[str, Any], tokenizer: Any = None) -> BatchInput:
    """Return what the model is to be called with for several texts: padded on the right, or as they were handed in.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: as `prepare`; no text; a mapping without `input_ids`.
    """
    if isinstance(texts, Mapping):
        return _batch_of(texts, tokenizer)
    if isinstance(texts, str | Tensor) or not isinstance(texts, Sequence) or not texts:
        raise ArgumentTypeError(f"capture_batch: texts is {kind_of(texts)}, expected a list of texts or of token ids.")
    rows = [prepare(model, text, tokenizer) for text in texts]
    padding = getattr(getattr(model, "config", None), "pad_token_id", None) or 0
    arguments: dict[str, Tensor] = {}
    for name in rows[0].arguments:
        parts = [row.arguments[name][0] for row in rows]
        padded = nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=padding)
        lengths = torch.tensor([len(part) for part in parts], device=padded.device)
        arguments[name] = padded
        mask = (torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]).long()
        if not isinstance(model, Decoder):  # ours is causal, and padding on the right is in nobody's past
            arguments[name.replace("input_ids", "attention_mask")] = mask
    kept = tuple((torch.arange(len(row.tokens)), torch.arange(len(row.target_tokens))) for row in rows)
    return BatchInput(arguments, tuple(rows), kept)


def _batch_of(arguments: Mapping[str, Any], tokenizer: Any) -> BatchInput:
    """Return a batch as it was handed in, what its attention masks hide taken for padding."""
    if not isinstance(arguments.get("input_ids"), Tensor):
        raise OptionError("capture_batch: the arguments hold no input_ids, so texts and padding cannot be told apart.")
    rows, kept = [], []
    for row in range(arguments["input_ids"].shape[0]):
        sides = []
        for prefix in ("", "decoder_"):
            ids = arguments.get(f"{prefix}input_ids")
            if ids is not None:
                mask = arguments.get(f"{prefix}attention_mask")
                places = torch.arange(ids.shape[1]) if mask is None else mask[row].bool().nonzero()[:, 0].cpu()
                sides.append((places, token_names(ids[row].cpu()[places], tokenizer)))
        kept.append((sides[0][0], sides[-1][0]))
        targets = arguments["input_ids"][row : row + 1, sides[0][0].to(arguments["input_ids"].device)]
        rows.append(ModelInput({}, sides[0][1], sides[-1][1], targets if len(sides) == 1 else None))
    return BatchInput(dict(arguments), tuple(rows), tuple(kept))


@torch.no_grad()
def run_batch(model: nn.Module, batch: BatchInput) -> tuple[ModelOutput, ...]:
    """Call the model once for all texts and return what it gave for each, without padding.

    Raises:
        OptionError: as `run_model`.
    """
    _require_evaluation(model)
    logits, states = call_model(model, batch.arguments)
    found = []
    for row, (given, (_, written)) in enumerate(zip(batch.rows, batch.kept, strict=True)):
        own = None if logits is None else logits[row] if logits.ndim < 3 else logits[row, written.to(logits.device)]
        state = None if states is None else states[row, written.to(states.device)].float().cpu()
        loss = None
        if own is not None and own.ndim == 2 and given.targets is not None and writes(model):
            shift = not is_encoder_decoder(model)
            loss = _next_token_loss(own[None], given.targets.to(own.device), shift=shift)
        found.append(ModelOutput(None if own is None else own.float().cpu(), state, loss))
    return tuple(found)


def _require_evaluation(model: nn.Module) -> None:
    if model.training:
        raise OptionError("the model is in training mode, in which no two runs are the same; call model.eval() first.")


@torch.no_grad()
def run_model(model: nn.Module, given: ModelInput) -> ModelOutput:
    """Call the model once, without gradients, and return what it gave.

    Raises:
        OptionError: the model is in training mode, in which dropout makes two runs differ.
    """
    _require_evaluation(model)
    logits, states = call_model(model, given.arguments)
    if isinstance(model, Decoder) and logits is not None:
        loss = _next_token_loss(logits, given.arguments["input_ids"], shift=True)
        return ModelOutput(_first(logits), None, loss)
    loss = None
    if logits is not None and logits.ndim == 3 and given.targets is not None and writes(model):
        loss = _next_token_loss(logits, given.targets.to(logits.device), shift=not is_encoder_decoder(model))
    return ModelOutput(_first(logits), _first(states), loss)


def call_model(model: nn.Module, arguments: Mapping[str, Any]) -> tuple[Tensor | None, Tensor | None]:
    """Call the model, with gradients where they are on; return logits and last states, None where it has none."""
    if isinstance(model, Decoder):
        ids = arguments["input_ids"]
        return model(ids, causal_mask(ids.shape[1])), None
    result = model(**arguments)
    return getattr(result, "logits", None), getattr(result, "last_hidden_state", None)


def writes(model: nn.Module) -> bool:
    """Whether the model predicts the next token: our decoder, or a class for generation."""
    can_generate = getattr(model, "can_generate", None)
    return isinstance(model, Decoder) or bool(callable(can_generate) and can_generate())


def token_names(ids: Tensor, tokenizer: Any = None) -> tuple[str, ...]:
    """Return a name for each id: as the tokenizer writes it, a leading space shown as such; without one, the number."""
    numbers = [int(number) for number in ids]
    if tokenizer is None:
        return tuple(str(number) for number in numbers)
    if hasattr(tokenizer, "convert_ids_to_tokens"):
        pieces = tokenizer.convert_ids_to_tokens(numbers)
        return tuple(_readable(str(piece)) for piece in pieces)
    return tuple(tokenizer.decode(ids[place : place + 1]) for place in range(len(ids)))


def _readable(piece: str) -> str:
    for mark, shown in (("Ġ", " "), ("▁", " "), ("Ċ", "\n")):
        piece = piece.replace(mark, shown)
    return piece


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
