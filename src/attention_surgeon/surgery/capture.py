"""`capture`: one run of a model as one trace per attention layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.frames import as_data_frame
from attention_surgeon.surgery.choose import Choice, check_heads, read_heads
from attention_surgeon.surgery.inputs import (
    ModelInput,
    TextLike,
    prepare,
    prepare_batch,
    run_batch,
)
from attention_surgeon.surgery.layers import Layer, model_name
from attention_surgeon.surgery.table import Sight
from attention_surgeon.surgery.visit import observe, run_observed
from attention_surgeon.trace import AttentionTrace

_IN_TRACE = {
    "q": "query",
    "k": "key",
    "v": "value",
    "scores": "masked",
    "pattern": "weights",
    "z": "output",
}
STREAM = ("head_out", "residual", "residual_after", "w_o")
NAMES = (*_IN_TRACE, *STREAM)
"""Short names of what a captured layer holds; `scores` are those in front of the softmax, hidden cells -inf."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class CapturedLayer:
    """What one layer did.

    Attributes:
        name: `3`, or `decoder 3` where the model has several stacks.
        stack: "" where there is one stack, otherwise "encoder", "decoder", "cross" or a path.
        index: Number within the stack.
        heads: The query heads that the trace holds, in its order.
        kv_heads: For each of them the key and value head that serves it.
        trace: Everything it did, axes `("head", "query", "key")`.
        stream: Where asked for: what each head adds, `head_out (heads, n, width)`, and the residual stream in front of
            the layer's block and behind it, `residual` and `residual_after (n, width)`; and W_O by head, `w_o`,
            `(heads, d_v, width)`.
        has_sinks: Whether a part of each row goes to no key, so that rows sum to less than 1.
    """

    name: str
    stack: str
    index: int
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    trace: AttentionTrace
    stream: Mapping[str, Tensor] = field(default_factory=dict)
    has_sinks: bool = False

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor by its short name: q, k, v, scores, pattern, z, head_out, residual, residual_after.

        Raises:
            OptionError: no such name, or one that was not captured.
        """
        if name in _IN_TRACE:
            return getattr(self.trace, _IN_TRACE[name])
        if name in self.stream:
            return self.stream[name]
        way = "capture(..., stream=True) keeps it" if name in STREAM else f"the names are {', '.join(NAMES)}"
        raise OptionError(f"layer {self.name}: {name!r} was not captured; {way}.")

    def __repr__(self) -> str:
        """Say in one line which heads and how many positions."""
        return f"CapturedLayer({self.name}, {len(self.heads)} heads, {self.trace!r})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Capture:
    """What a model did with one text.

    Attributes:
        source: Class and type of the model.
        tokens: One name per position that was read.
        target_tokens: One name per position that was written; as `tokens` in a model of one stack.
        layers: One entry per captured layer, in the order of the model.
        logits: `(n, vocabulary)` float32; None: the model has no head for tokens.
        states: Last hidden states `(n, width)` float32; None: the model does not give them.
        loss: Mean cross-entropy of the next token in nats; None: the model predicts none.
    """

    source: str
    tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    layers: tuple[CapturedLayer, ...]
    logits: Tensor | None
    states: Tensor | None
    loss: float | None

    def layer(self, name: str | int) -> CapturedLayer:
        """Return the layer of that name: `0`, `"cross 1"`.

        Raises:
            OptionError: it was not captured.
        """
        for layer in self.layers:
            if layer.name == str(name):
                return layer
        raise OptionError(
            f"no layer {name!r} was captured; there are {', '.join(layer.name for layer in self.layers)}."
        )

    @property
    def stacks(self) -> tuple[str, ...]:
        """Names of the stacks of layers, `("",)` where there is one: encoder, decoder, cross."""
        return tuple(dict.fromkeys(layer.stack for layer in self.layers))

    def of_stack(self, name: str) -> "Capture":
        """Return the same with the layers of one stack only, as a page shows them.

        Raises:
            OptionError: no such stack was captured.
        """
        if name not in self.stacks:
            known = ", ".join(filter(None, self.stacks)) or "one stack only, which has no name"
            raise OptionError(f"no stack {name!r} was captured; there are {known}.")
        return replace(self, layers=tuple(layer for layer in self.layers if layer.stack == name))

    def rows(self) -> list[dict[str, Any]]:
        """Return one record for each weight: layer, head, query, key (position and token) and weight."""
        return [
            {
                "layer": layer.name,
                "head": head,
                "query": query,
                "query_token": layer.trace.query_tokens[query],
                "key": key,
                "key_token": layer.trace.key_tokens[key],
                "weight": weight,
            }
            for layer in self.layers
            for head, weights in zip(layer.heads, layer.trace.weights.tolist(), strict=True)
            for query, row in enumerate(weights)
            for key, weight in enumerate(row)
        ]

    def to_pandas(self) -> Any:
        """Return the weights as a `pandas.DataFrame`, one row each.

        Raises:
            LoadError: pandas is not installed.
        """
        return as_data_frame(self.rows())

    def __repr__(self) -> str:
        """Say in one line what was captured."""
        loss = "" if self.loss is None else f", loss {self.loss:.4g}"
        return f"Capture({self.source}, {len(self.tokens)} tokens, {len(self.layers)} layers{loss})"


def capture(
    model: nn.Module,
    text: TextLike,
    *,
    layers: Choice = None,
    heads: Choice = None,
    tokenizer: Any = None,
    target: TextLike | None = None,
    stream: bool = False,
) -> Capture:
    """Run a model on one text and return what each of its attention layers did, step by step.

    Within an `operate` block the record is that of the operated model. What the model gives stays as it is, bit for
    bit. A trace holds four n x n matrices per head; for long texts see `visit_layers`.

    Args:
        model: As for `operate`.
        text: A text, token ids `(n,)` or `(1, n)`, or a mapping of the model's arguments. Of a text that is longer than
            the model reads at once the beginning is read, and a warning says so.
        layers: As for `operate`.
        heads: As for `operate`.
        tokenizer: Needed for a text; for ids it names the tokens.
        target: What an encoder-decoder is to write; None: the same as `text`.
        stream: Whether to keep what each head adds through W_O, and the residual stream around each layer; it takes one
            more run.

    Raises:
        SurgeryError: the model never calls the attention registry; with `stream`, it has no place of that kind.
        ArgumentTypeError, OptionError, ShapeError: a text that cannot be read, no such layer or head.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> captured = capture(Decoder(DecoderConfig(vocabulary_size=11)).eval(), [3, 1, 4])
    >>> captured.layer(1).trace
    AttentionTrace(head 4, query 3, key 3, d_k 16, d_v 16, float32, source='Decoder, layer 1')
    >>> captured.layer(1)["pattern"].shape
    torch.Size([4, 3, 3])
    """
    given = prepare(model, text, tokenizer, target)
    numbers = read_heads(heads)
    found: list[CapturedLayer] = []

    def see(sight: Sight) -> None:
        if sight.call.query.ndim != 4 or sight.call.query.shape[0] != 1:
            shape = tuple(sight.call.query.shape)
            raise ShapeError(
                f"capture: the query of layer {sight.call.layer.name} has shape {shape}, expected a batch of one; use "
                f"capture_batch for several texts. A model that attends in windows of its input folds them there: "
                f"operate works on it, capture does not."
            )
        found.append(_captured(sight, numbers, model_name(model), given, _Row(0)))

    if not stream:
        output = run_observed(model, given, see, layers)
    else:
        from attention_surgeon.surgery.patching.stream import keeping_stream  # here, because it captures itself

        with keeping_stream(model, given, layers) as kept:
            output = run_observed(model, given, see, layers)
        found = [replace(layer, stream=kept.of(layer.name, layer.heads)) for layer in found]
    return Capture(
        model_name(model), given.tokens, given.target_tokens, tuple(found), output.logits, output.states, output.loss
    )


def capture_batch(
    model: nn.Module,
    texts: Sequence[TextLike] | Mapping[str, Any],
    *,
    layers: Choice = None,
    heads: Choice = None,
    tokenizer: Any = None,
) -> tuple[Capture, ...]:
    """Run several texts as one padded batch and return one capture for each, without its padding.

    Args:
        model: As for `capture`.
        texts: Texts or token ids, of any lengths; or the model's arguments for a batch, padded on either side, with an
            `attention_mask`.
        layers: As for `capture`.
        heads: As for `capture`.
        tokenizer: As for `capture`.

    Raises:
        As `capture`.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> [len(captured.tokens) for captured in capture_batch(model, [[3, 1, 4], [1, 5]])]
    [3, 2]
    """
    batch = prepare_batch(model, texts, tokenizer)
    numbers, source = read_heads(heads), model_name(model)
    found: list[list[CapturedLayer]] = [[] for _ in batch.rows]

    def see(sight: Sight) -> None:
        if sight.call.query.ndim != 4 or sight.call.query.shape[0] != len(batch.rows):
            raise ShapeError(
                f"capture_batch: the query has shape {tuple(sight.call.query.shape)} for {len(batch.rows)} texts; this "
                f"model puts its batch elsewhere, capture one text at a time."
            )
        for row, given in enumerate(batch.rows):
            found[row].append(_captured(sight, numbers, source, given, _Row(row, *batch.kept[row])))

    with observe(model, see, layers=layers):
        outputs = run_batch(model, batch)
    return tuple(
        Capture(source, given.tokens, given.target_tokens, tuple(mine), output.logits, output.states, output.loss)
        for given, mine, output in zip(batch.rows, found, outputs, strict=True)
    )


class _Row(NamedTuple):
    """One text of a batch: its number, and its positions that are no padding; None: all."""

    number: int
    read: Tensor | None = None
    written: Tensor | None = None


def _captured(sight: Sight, heads: tuple[int, ...] | None, source: str, given: ModelInput, row: _Row) -> CapturedLayer:
    call = sight.call
    layer, chosen = call.layer, check_heads(heads, call.num_heads, call.layer.name)
    group = call.num_heads // call.num_kv_heads
    operands, n_q, n_k = call.shared(call.circuit), call.query.shape[-2], call.key.shape[-2]
    shape = (call.query.shape[0], call.num_heads, n_q, n_k)
    bias = _add(operands.bias, call.position_bias, shape)
    queries, keys = _positions(layer, row, n_q, n_k)

    def record(part: Tensor, *places: Tensor | None) -> Tensor:
        mine = part.expand(shape[0], *part.shape[1:])[row.number, list(chosen)].detach()
        for axis, kept in enumerate(places, start=1):
            mine = mine if kept is None else mine.index_select(axis, kept.to(mine.device))
        return (mine if mine.dtype == torch.bool else mine.to(call.query.dtype)).cpu().contiguous()

    axes = {"query": (queries,), "key": (keys,), "value": (keys,), "output": (queries,)}
    parts = {name: getattr(operands, name) for name in ("query", "key", "value")} | sight.steps()._asdict()
    query_names, key_names = _names(
        layer, given, *(n if kept is None else len(kept) for n, kept in ((n_q, queries), (n_k, keys)))
    )
    trace = AttentionTrace(
        query_tokens=query_names,
        key_tokens=key_names,
        axes=("head", "query", "key"),
        **{name: record(part, *axes.get(name, (queries, keys))) for name, part in parts.items()},
        allowed=None if operands.allowed is None else record(operands.allowed.expand(shape), queries, keys),
        bias=None if bias is None else record(bias, queries, keys),
        step_functions=sight.step_names(),
        source=f"{source}, layer {layer.name}",
    )
    groups = tuple(head // group for head in chosen)
    return CapturedLayer(layer.name, layer.stack, layer.index, chosen, groups, trace, has_sinks=sight.call.has_sinks)


def _positions(layer: Layer, row: _Row, n_q: int, n_k: int) -> tuple[Tensor | None, Tensor | None]:
    """Return the positions of queries and keys that are kept; all where the model made positions of its own."""
    queries = row.written if layer.stack in ("decoder", "cross") else row.read
    keys = row.written if layer.stack == "decoder" else row.read
    fits = all(kept is None or int(kept.max()) < n for kept, n in ((queries, n_q), (keys, n_k)))
    return (queries, keys) if fits else (None, None)


def _add(bias: Tensor | None, position_bias: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    parts = [part.expand(*shape) for part in (bias, position_bias) if part is not None]
    return sum(parts[1:], parts[0]) if parts else None


def _names(layer: Layer, given: ModelInput, n_q: int, n_k: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names of the query and of the key positions: numbers where the model made positions of its own."""
    written = layer.stack in ("decoder", "cross")
    query_names = given.target_tokens if written else given.tokens
    key_names = given.target_tokens if layer.stack == "decoder" else given.tokens
    numbers = tuple(str(position) for position in range(max(n_q, n_k)))
    return (
        query_names if len(query_names) == n_q else numbers[:n_q],
        key_names if len(key_names) == n_k else numbers[:n_k],
    )
