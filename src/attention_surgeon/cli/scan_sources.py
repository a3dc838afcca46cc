"""Where query and key of a scan come from: tensors, a trace, or the layers of a model as it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from safetensors import SafetensorError, safe_open
from torch import Tensor

from attention_surgeon.cli.operate import fitting, text_of
from attention_surgeon.cli.trace_input import parse_mask
from attention_surgeon.errors import FileAccessError, FileFormatError, OptionError
from attention_surgeon.files import file_access_error
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.ops import Circuit, Mechanism
from attention_surgeon.surgery import (
    AttentionCall,
    LoadedModel,
    attention_layers,
    fit_to_context,
    load_model,
    visit_layers,
)
from attention_surgeon.surgery.choose import choose_layers
from attention_surgeon.surgery.inputs import TextLike, read_ids
from attention_surgeon.trace import load_trace

_FEW = 8
"""Tokens on which is tried which layers can be scanned."""

_LONG = 4_096
"""Tokens from which on it is worth to know that before."""

_SCALE = Mechanism().step_names()["scale"]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer that can be scanned: `(*batch, heads, n, d)` each."""

    name: str
    query: Tensor
    key: Tensor
    value: Tensor | None
    mask: MaskLike | None
    scale: float | None
    tokens: tuple[str, ...] | None


Visit = Callable[[Layer], None]


@dataclass(frozen=True)
class Held:
    """A layer that lies in memory."""

    title: str
    layer: Layer
    num_layers: int = 1

    def visit(self, visit: Visit, on_note: Callable[[str], None]) -> None:
        """Hand it over."""
        visit(self.layer)


class Running:
    """The layers of a model, each as the model comes to it."""

    def __init__(self, loaded: LoadedModel, text: TextLike, layers: str | None, target: str | None = None) -> None:
        """Take a model and a text that it can read.

        Raises:
            SurgeonError: no such layer.
        """
        self._loaded, self._text, self._choice, self._target = loaded, text, layers, target
        self.num_layers = len(choose_layers(attention_layers(loaded.model), layers))
        self.title = loaded.name

    def visit(self, visit: Visit, on_note: Callable[[str], None]) -> None:
        """Run the model, and hand over each layer on the way."""

        def see(call: AttentionCall) -> None:
            if (reason := _out_of_reach(call)) is not None:
                on_note(f"layer {call.layer.name} is left out: {reason}")
                return
            mask = call.mask if call.bias is None else _as_added(call)
            visit(Layer(f"layer {call.layer.name}", call.query, call.key, call.value, mask, call.scaling, None))

        visit_layers(
            self._loaded.model,
            self._text,
            see,
            layers=self._choice,
            tokenizer=self._loaded.tokenizer,
            target=self._target,
        )


Source: TypeAlias = Held | Running
"""What is scanned: `visit` hands over its layers, each in its turn."""


def reached(loaded: LoadedModel, text: TextLike, layers: str | None, target: str | None = None) -> dict[str, bool]:
    """Return for each layer whether it can be scanned, found out on the first tokens of a text."""
    few = read_ids(text, loaded.tokenizer)[:, :_FEW]
    written = None if target is None else read_ids(target, loaded.tokenizer)[:, :_FEW]
    found: dict[str, bool] = {}

    def see(call: AttentionCall) -> None:
        found[call.layer.name] = _out_of_reach(call) is None

    visit_layers(loaded.model, few, see, layers=layers, target=written)
    return found


def _out_of_reach(call: AttentionCall) -> str | None:
    """Return why the weights of a layer do not follow from query, key, mask and scale alone; None: they do."""
    if call.circuit.cap is not Circuit().cap or call.circuit.bias is not Circuit().bias:
        return "something is done to its scores before the mask (a cap, a bias by position)."
    if call.has_sinks:
        return "a part of each row goes to no key."
    if call.scaling is None and call.circuit.mechanism.step_names()["scale"] != _SCALE:
        return f"its scale is {call.circuit.mechanism.step_names()['scale']}, not 1/√d."
    return None


def _as_added(call: AttentionCall) -> Tensor:
    """Return mask and bias of a call as one floating mask."""
    assert call.bias is not None
    allowed = call.operands.allowed
    return call.bias if allowed is None else call.bias.masked_fill(~allowed, float("-inf"))


def from_tensors(path: Path, mask: str, scale: float | None) -> Held:
    """Return the tensors of a safetensors file.

    Raises:
        FileAccessError, FileFormatError: no such file, no such format, or no query and key in it.
        OptionError: no such mask.
    """
    if path.is_dir():
        raise FileAccessError(f"cannot read {path}: it is a folder; give the name of a safetensors file.")
    try:
        with path.open("rb") as file:
            file.read(1)
        with safe_open(path, framework="pt") as opened:
            found = {name: opened.get_tensor(name) for name in opened.keys() if name in ("query", "key", "value")}
            others = sorted(set(opened.keys()) - set(found))
    except OSError as error:
        raise file_access_error("read", path, error) from error
    except SafetensorError as error:
        raise FileFormatError(f"{path} is no safetensors file, or it was cut short or damaged: {error}.") from None
    if missing := [name for name in ("query", "key") if name not in found]:
        there = f"; it has {', '.join(others)}" if others else ""
        raise FileFormatError(f"{path} has no tensor {' and no '.join(missing)}{there}.")
    query, key = found["query"], found["key"]
    made = parse_mask(mask, query.shape[-2]) if query.ndim > 1 else None
    if made is not None and key.ndim > 1 and key.shape[-2] != query.shape[-2]:
        raise OptionError(
            f"--mask {mask} needs as many queries as keys, but {path} has {query.shape[-2]} and {key.shape[-2]}."
        )
    return Held(f"{path.name}, mask {mask}", Layer("", query, key, found.get("value"), made, scale, None))


def from_trace(path: Path) -> Held:
    """Return what a trace was made of.

    Raises:
        FileAccessError, FileFormatError: as `load_trace`.
        OptionError: it was made by other steps than the healthy ones.
    """
    trace = load_trace(path)
    if trace.step_functions != tuple(Mechanism().step_names().values()):
        raise OptionError(
            f"{path} was made by other steps ({', '.join(trace.step_functions)}), and a scan knows only the healthy "
            f"ones; surgeon trace --load and surgeon view --trace show it as it is."
        )
    mask = trace.allowed
    if trace.bias is not None:
        mask = trace.bias if mask is None else trace.bias.masked_fill(~mask, float("-inf"))
    tokens = trace.key_tokens if trace.query_tokens == trace.key_tokens else None
    return Held(path.name, Layer("", trace.query, trace.key, trace.value, mask, None, tokens))


def from_model(
    name: str, text: str | None, file: Path | None, layers: str | None, note: Callable[[str], None]
) -> Running:
    """Return the layers of a model that is to read a text.

    Raises:
        SurgeonError: as `Running`; a text that cannot be read.
    """
    loaded = load_model(name, note)
    words = text_of(text, file)
    shortened, left_out = fit_to_context(loaded.model, words, loaded.tokenizer)
    if read_ids(shortened, loaded.tokenizer).shape[1] > _LONG and not all(reached(loaded, shortened, layers).values()):
        return Running(loaded, fitting(loaded, words)[0], layers)  # what cannot be scanned runs as it does in the model
    if left_out is not None:
        note(left_out)
    return Running(loaded, shortened, layers)
