"""From a text to what a model is called with, and from what it gives back to logits, states and a loss."""

import inspect
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import ArgumentTypeError, OptionError, ShapeError, SurgeonError, SurgeryError
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import Decoder
from attention_surgeon.require import kind_of
from attention_surgeon.surgery.layers import is_encoder_decoder, model_name

_POSITIONS = re.compile(r"(?<!rel_)(?:wpe|pos(?:ition)?_?(?:emb|enc)\w*|embed_positions)$", re.IGNORECASE)

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
    """Return what the model is to be called with; a text that it cannot read at once is cut, with a warning.

    Args:
        model: The model.
        text: A text, ids, or all arguments.
        tokenizer: Needed for a text; for ids it gives the tokens their names.
        target: What an encoder-decoder is to write; None: the same as `text`.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: a text without a tokenizer, no text, more than one sequence; a model
            that reads no text.
    """
    if isinstance(text, Mapping):
        return _from_arguments(text, tokenizer)
    ids = _fitting_ids(model, text, tokenizer)
    names = token_names(ids[0], tokenizer)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if not is_encoder_decoder(model):
        return ModelInput({_name_of_ids(model): ids.to(device)}, names, names, ids)
    labels = ids if target is None else _fitting_ids(model, target, tokenizer)
    starts = (getattr(model.config, name, None) for name in ("decoder_start_token_id", "pad_token_id"))
    start = next((one for one in starts if one is not None), 0)
    written = torch.cat([torch.full_like(labels[:, :1], start), labels[:, :-1]], dim=1)
    arguments = {"input_ids": ids.to(device), "decoder_input_ids": written.to(device)}
    return ModelInput(arguments, names, token_names(written[0], tokenizer), labels)


def _name_of_ids(model: nn.Module) -> str:
    """Return what the forward of a model calls its token ids: its first argument, unless it has `input_ids`."""
    names = list(inspect.signature(model.forward).parameters)
    return "input_ids" if "input_ids" in names or not names or hasattr(model, "config") else names[0]


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
    """Call the model, with gradients where they are on; return logits and last states, None where it has none.

    Raises:
        SurgeryError: the model stops with an error of its own; it is told with the sizes that were handed in.
    """
    try:
        if isinstance(model, Decoder):
            return model(arguments["input_ids"], causal_mask(arguments["input_ids"].shape[1])), None
        with _slow_path():
            result = model(**arguments)
    except SurgeonError:
        raise
    except (IndexError, RuntimeError, ValueError, TypeError, KeyError, NotImplementedError) as error:
        given = ", ".join(f"{name} {tuple(part.shape)}" for name, part in arguments.items() if isinstance(part, Tensor))
        said = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise SurgeryError(f"{model_name(model)} cannot run {given}: {said}") from error
    if hasattr(result, "logits") or hasattr(result, "last_hidden_state"):
        found = (getattr(result, name, None) for name in ("logits", "last_hidden_state"))
        logits, states = (part if isinstance(part, Tensor) else None for part in found)  # some give several at once
        return logits, states
    return _of_own_model(model, result)


@contextmanager
def _slow_path() -> Iterator[None]:
    """Keep PyTorch from computing whole layers at once, so that a run that is watched and one that is not are alike."""
    was_on = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_on)


def _of_own_model(model: nn.Module, result: Any) -> tuple[Tensor | None, Tensor | None]:
    """Return logits or states of what somebody's own model gives: its first tensor, logits if as wide as its table."""
    first = result[0] if isinstance(result, tuple | list) and result else result
    if isinstance(first, Mapping):
        first = next(iter(first.values()), None)
    if not isinstance(first, Tensor) or not first.is_floating_point():
        return None, None
    tables = (module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding))
    return (first, None) if first.shape[-1] == next(tables, None) else (None, first)


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


def read_ids(text: object, tokenizer: Any) -> Tensor:
    """Return the ids of one text, `(1, n)`, of any length.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: no text, or one without a tokenizer; more than one sequence.
    """
    if isinstance(text, str):
        if tokenizer is None:
            raise OptionError("a text needs a tokenizer: pass tokenizer=..., or ids in place of the text.")
        text = encoded(text, tokenizer)
    if not isinstance(text, Tensor):
        if not isinstance(text, Sequence):
            raise ArgumentTypeError(f"text is {kind_of(text)}, expected a text, token ids or a mapping of arguments.")
        text = torch.tensor(text, dtype=torch.long)
    ids = text[None] if text.ndim == 1 else text
    if ids.ndim != 2 or ids.shape[0] != 1 or ids.shape[1] == 0:
        raise ShapeError(f"token ids have shape {tuple(text.shape)}, expected (n,) or (1, n): one text at a time.")
    return ids.long()


def encoded(text: str, tokenizer: Any) -> list[int]:
    """Return the ids of a text, of any length, with the signs that the tokenizer puts around it."""
    is_of_transformers = hasattr(tokenizer, "convert_ids_to_tokens")
    options = {"verbose": False} if is_of_transformers else {}  # a text that is too long is told about by us
    return [int(one) for one in tokenizer.encode(text, **options)]


def context_length(model: nn.Module) -> int | None:
    """Return how many positions a model can read at once, None where no table of positions sets a limit.

    Positions that are computed (a rotation, a slope, a bias by distance) have no table, and no limit but memory.
    """
    if isinstance(model, Decoder):
        return model.config.context_len
    counts = []
    for path, module in model.named_modules():
        is_table = _POSITIONS.search(path.rpartition(".")[2]) and isinstance(module, nn.Embedding)
        if is_table and isinstance(module, nn.Embedding):
            offset = getattr(module, "offset", None)  # bart and opt begin at 2
            first = 0 if module.padding_idx is None else module.padding_idx + 1  # roberta begins behind its padding
            counts.append(module.num_embeddings - (offset if isinstance(offset, int) else first))
    return min(counts, default=None)


def _fitting_ids(model: nn.Module, text: TextLike, tokenizer: Any) -> Tensor:
    """Return the ids of a text, no more of them than the model reads at once; what is left out is said in a warning."""
    fitting, left_out = fit_to_context(model, text, tokenizer)
    if left_out is not None:
        warnings.warn(left_out, stacklevel=4)
    ids = read_ids(fitting, tokenizer)
    _require_known(model, ids)
    return ids


def _require_reader_of_text(model: nn.Module) -> None:
    """Refuse a text for a model that reads pictures or sounds alone."""
    wanted = getattr(model, "main_input_name", "input_ids")
    if wanted == "input_ids" or "input_ids" in inspect.signature(model.forward).parameters:
        return
    what = {"pixel_values": "pictures", "input_features": "sounds", "input_values": "sounds"}.get(wanted, wanted)
    ways = {"pictures": "--image FILE shows it a picture", "sounds": "--sound FILE lets it hear one"}
    way = f"; surgeon view {ways[what]}" if what in ways else ""
    raise OptionError(f"{model_name(model)} reads {what}, no text: pass {{{wanted!r}: ...}} in place of the text{way}.")


def fit_to_context(
    model: nn.Module, text: TextLike, tokenizer: Any, most: int | None = None
) -> tuple[TextLike, str | None]:
    """Return a text as the model can read it, and a sentence that says what was left out; None: nothing was.

    What is kept is the beginning, with the signs that the tokenizer puts around a text.

    Args:
        model: The model.
        text: A text, or ids; what else a model may be given is handed on as it is, as is a text without a tokenizer.
        tokenizer: The model's; None: there is none.
        most: Tokens that are to be read at most, where the model could read more; None: as many as it can.

    Raises:
        OptionError: the model reads pictures or sounds, no text.
    """
    if not isinstance(text, Mapping):
        _require_reader_of_text(model)
    counts = [count for count in (context_length(model), most) if count is not None]
    if not counts:
        return text, None
    longest = min(counts)
    try:
        ids = read_ids(text, tokenizer)[0].tolist()
    except SurgeonError:  # a text that it cannot read is told about where it is read
        return text, None
    if len(ids) <= longest:
        return text, None
    end = getattr(tokenizer, "sep_token_id", None) or getattr(tokenizer, "eos_token_id", None)
    kept = [*ids[: longest - 1], end] if end is not None and ids[-1] == end else ids[:longest]
    who = "this model reads" if most is None or longest < most or context_length(model) == most else "at most"
    rest = "at once; the" if who != "at most" else "are shown; the"
    return kept, f"the text has {len(ids):,} tokens and {who} {longest} {rest} first {longest} are read."


def _require_known(model: nn.Module, ids: Tensor) -> None:
    """Refuse tokens that the model does not know."""
    size = _vocabulary_size(model)
    if size is not None and int(ids.max()) >= size:
        raise OptionError(
            f"the text holds token {int(ids.max())}, and {model_name(model)} knows {size}; its tokenizer is of "
            f"another model."
        )


def _vocabulary_size(model: nn.Module) -> int | None:
    if isinstance(model, Decoder):
        return model.config.vocabulary_size
    get: Any = getattr(model, "get_input_embeddings", None)
    try:
        table = get() if callable(get) else None
    except (NotImplementedError, AttributeError):
        return None
    return table.num_embeddings if isinstance(table, nn.Embedding) else None


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
