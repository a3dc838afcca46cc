"""`capture`: one run of a model as one trace per attention layer; and, for long texts, one layer at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn

from attention_surgeon.errors import OptionError, ShapeError, SurgeryError
from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.choose import Choice, check_heads, choose_layers, read_heads
from attention_surgeon.surgery.connect import connecting
from attention_surgeon.surgery.inputs import ModelInput, ModelOutput, TextLike, prepare, run_model
from attention_surgeon.surgery.layers import Layer, attention_layers, model_name
from attention_surgeon.surgery.table import Observer, Patient, Sight, lay_down, take_up
from attention_surgeon.trace import AttentionTrace


@final
@dataclass(frozen=True, eq=False)
class CapturedLayer:
    """What one layer did.

    Attributes:
        name: `3`, or `decoder 3` where the model has several stacks.
        stack: "" where there is one stack, otherwise "encoder", "decoder", "cross" or a path.
        index: Number within the stack.
        heads: The query heads that the trace holds, in its order.
        kv_heads: For each of them the key and value head that serves it.
        trace: Everything it did, axes `("head", "query", "key")`.
    """

    name: str
    stack: str
    index: int
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    trace: AttentionTrace


@final
@dataclass(frozen=True, eq=False)
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


def capture(
    model: nn.Module,
    text: TextLike,
    *,
    layers: Choice = None,
    heads: Choice = None,
    tokenizer: Any = None,
    target: TextLike | None = None,
) -> Capture:
    """Run a model on one text and return what each of its attention layers did, step by step.

    Within an `operate` block the record is that of the operated model. What the model gives stays as it is, bit for
    bit. A trace holds four n x n matrices per head; for long texts see `visit_layers`.

    Args:
        model: As for `operate`.
        text: A text, token ids `(n,)` or `(1, n)`, or a mapping of the model's arguments.
        layers: As for `operate`.
        heads: As for `operate`.
        tokenizer: Needed for a text; for ids it names the tokens.
        target: What an encoder-decoder is to write; None: the same as `text`.

    Raises:
        SurgeryError: the model never calls the attention registry.
        ArgumentTypeError, OptionError, ShapeError: a text that cannot be read, no such layer or head.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> captured = capture(Decoder(DecoderConfig(vocabulary_size=11)).eval(), [3, 1, 4])
    >>> captured.layer(1).trace
    AttentionTrace(head 4, query 3, key 3, d_k 16, d_v 16, float32, source='Decoder, layer 1')
    """
    numbers = read_heads(heads)
    found: list[CapturedLayer] = []
    given = prepare(model, text, tokenizer, target)

    def see(sight: Sight) -> None:
        found.append(_captured(sight, numbers, model_name(model), given))

    output = _run(model, given, see, layers)
    return Capture(
        model_name(model), given.tokens, given.target_tokens, tuple(found), output.logits, output.states, output.loss
    )


def visit_layers(
    model: nn.Module,
    text: TextLike,
    visit: Callable[[AttentionCall], None],
    *,
    layers: Choice = None,
    tokenizer: Any = None,
    target: TextLike | None = None,
) -> ModelOutput:
    """Run a model on one text and hand over query and key of each layer as it goes, for statistics of long texts.

    Nothing n x n is made here, and no layer is kept. In "sdpa" transformers makes no n x n matrix either, unless there
    is padding or a window; in "eager" it does.

    Args:
        model: As for `operate`.
        text: As for `capture`.
        visit: Called with each layer's call: query and key as the attention function gets them, the mask as an object
            that is not written out where it is causal alone, the scaling.
        layers: As for `operate`.
        tokenizer: As for `capture`.
        target: As for `capture`.

    Returns:
        What the model gave.

    Raises:
        As `capture`.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> _ = visit_layers(model, [3, 1, 4], lambda call: print(call.layer.name, tuple(call.query.shape)))
    0 (1, 4, 3, 16)
    1 (1, 4, 3, 16)
    """
    return _run(model, prepare(model, text, tokenizer, target), lambda sight: visit(sight.call), layers)


@contextmanager
def observe(model: nn.Module, observer: Observer, *, layers: Choice = None) -> Iterator[tuple[Layer, ...]]:
    """Let `observer` see every call of attention within the block; the model gives what it would give without.

    Yields:
        The layers that are watched.
    """
    chosen = choose_layers(attention_layers(model), layers)
    modules = [layer.module for layer in chosen]

    def add(patient: Patient, module: nn.Module) -> None:
        patient.observers += (observer,)

    def remove(patient: Patient, module: nn.Module) -> None:
        patient.observers = tuple(one for one in patient.observers if one is not observer)

    try:
        lay_down(modules, add, connecting(chosen))
        yield chosen
    finally:
        take_up(modules, remove)


def _run(model: nn.Module, given: ModelInput, observer: Observer, layers: Choice) -> ModelOutput:
    seen: set[str] = set()

    def note(sight: Sight) -> None:
        seen.add(sight.call.layer.name)
        observer(sight)

    with observe(model, note, layers=layers) as watched:
        output = run_model(model, given)
    missed = [layer.name for layer in watched if layer.name not in seen]
    if len(missed) == len(watched):
        raise SurgeryError(f"{model_name(model)} ran and never called the attention registry: nothing was captured.")
    return output


def _captured(sight: Sight, heads: tuple[int, ...] | None, source: str, given: ModelInput) -> CapturedLayer:
    call = sight.call
    if call.query.ndim != 4 or call.query.shape[0] != 1:
        raise ShapeError(f"capture: the query has shape {tuple(call.query.shape)}; capture one text at a time.")
    layer, chosen = call.layer, check_heads(heads, call.num_heads, call.layer.name)
    group = call.num_heads // call.num_kv_heads
    operands = call.shared(call.circuit)
    shape = (call.num_heads, call.query.shape[-2], call.key.shape[-2])
    bias = _add(operands.bias, call.position_bias, shape)

    def record(part: Tensor) -> Tensor:
        return part[0, list(chosen)].detach().to(call.query.dtype).cpu().contiguous()

    query_names, key_names = _names(call, given)
    trace = AttentionTrace(
        query_tokens=query_names,
        key_tokens=key_names,
        axes=("head", "query", "key"),
        **{name: record(getattr(operands, name)) for name in ("query", "key", "value")},
        **{name: record(part) for name, part in sight.steps()._asdict().items()},
        allowed=None if operands.allowed is None else operands.allowed.expand(1, *shape)[0, list(chosen)].cpu(),
        bias=None if bias is None else record(bias),
        step_functions=sight.step_names(),
        source=f"{source}, layer {layer.name}",
    )
    return CapturedLayer(layer.name, layer.stack, layer.index, chosen, tuple(head // group for head in chosen), trace)


def _add(bias: Tensor | None, position_bias: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    parts = [part.expand(1, *shape) for part in (bias, position_bias) if part is not None]
    return sum(parts[1:], parts[0]) if parts else None


def _names(call: AttentionCall, given: ModelInput) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names of the query and of the key positions: numbers where the model made positions of its own."""
    written = call.layer.stack in ("decoder", "cross")
    query_names = given.target_tokens if written else given.tokens
    key_names = given.target_tokens if call.layer.stack == "decoder" else given.tokens
    n_q, n_k = call.query.shape[-2], call.key.shape[-2]
    numbers = tuple(str(position) for position in range(max(n_q, n_k)))
    return (
        query_names if len(query_names) == n_q else numbers[:n_q],
        key_names if len(key_names) == n_k else numbers[:n_k],
    )
