"""Scan every head: the same operation on each head alone, and what the text then costs.

What is measured depends on what the model does: one that writes has a loss; one that fills in tokens is compared by
how far its expectations moved; an encoder without a head by how far the text as a whole moved.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, final

import torch
from torch import nn

from attention_surgeon.errors import OptionError, SurgeonError
from attention_surgeon.require import require_count
from attention_surgeon.surgery.choose import Choice, check_heads, choose_layers, read_heads
from attention_surgeon.surgery.inputs import ModelOutput, context_length, encoded, prepare, run_model, writes
from attention_surgeon.surgery.layers import attention_layers
from attention_surgeon.surgery.loading import LoadedModel, load_model
from attention_surgeon.surgery.operating import operate
from attention_surgeon.surgery.operations import find_operation
from attention_surgeon.threads import one_thread

Measure: TypeAlias = Literal["loss", "divergence", "distance"]
"""`loss`: nats per token; `divergence`: Kullback-Leibler divergence of what is expected, nats; `distance`: 1 minus
the cosine of the mean state."""

Windows: TypeAlias = tuple[tuple[int, ...], ...]
"""Token ids, a text cut into pieces that the model can read."""

_DIGITS = 16


@final
@dataclass(frozen=True)
class HeadTask:
    """One head to be tried; it can be sent to another process.

    Attributes:
        model: As `load_model` takes it.
        fault: The name of the operation.
        windows: The text.
        layer: Name of the layer.
        head: The query head.
    """

    model: str
    fault: str
    windows: Windows
    layer: str
    head: int

    @property
    def name(self) -> str:
        """A name that tells one task from every other."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:_DIGITS]


@final
@dataclass(frozen=True)
class HeadResult:
    """What became of the text when one head was operated on.

    Attributes:
        layer: Name of the layer.
        head: The query head.
        kv_head: The key and value head that serves it.
        measure: What was measured.
        before: Its value without the operation; 0 where it is itself a difference.
        after: Its value under the operation.
        changed: Whether the operation changed anything in the head.
    """

    layer: str
    head: int
    kv_head: int
    measure: Measure
    before: float
    after: float
    changed: bool

    @property
    def change(self) -> float:
        """How much the operation cost: above 0, the head is missed."""
        return self.after - self.before


Try: TypeAlias = Callable[[Mapping[str, HeadTask]], Iterator[tuple[str, HeadResult | SurgeonError]]]
"""Tries tasks, wherever and in whatever order, and yields each one's name with its result."""


def plan_heads(
    loaded: LoadedModel, fault: str, text: str, *, layers: Choice = None, heads: Choice = None, window: int = 128
) -> tuple[HeadTask, ...]:
    """Return one task for each head.

    Args:
        loaded: The model.
        fault: The name of an operation.
        text: Any length; it is cut into windows.
        layers: As for `operate`.
        heads: As for `operate`.
        window: Tokens that are read at once, fewer where the model cannot read so many.

    Raises:
        OptionError: no such operation, layer or head; a text of fewer than two tokens.
        SurgeryError: the model never calls the attention registry, or the operation cannot act on a model.
    """
    find_operation(fault)
    windows, numbers = cut_text(loaded, text, window), read_heads(heads)
    chosen = choose_layers(attention_layers(loaded.model), layers)
    tasks = []
    for layer in chosen:
        if layer.num_heads is None:
            raise OptionError(f"sweep: how many heads layer {layer.name} has cannot be told before it runs.")
        for head in check_heads(numbers, layer.num_heads, layer.name):
            tasks.append(HeadTask(loaded.name, fault, windows, layer.name, head))
    return tuple(tasks)


def cut_text(loaded: LoadedModel, text: str, window: int) -> Windows:
    """Return the ids of a text in pieces of `window` tokens, each with the signs that the tokenizer puts around a text.

    Raises:
        ArgumentTypeError, OptionError: no count; no tokenizer; a text of fewer than two tokens.
    """
    require_count(window, "window", "sweep", least=2)
    tokenizer, longest = loaded.tokenizer, _longest(loaded.model)
    if tokenizer is None:
        raise OptionError(f"sweep: {loaded.name} came without a tokenizer, so no text can be read.")
    before, ids, behind = _encode(tokenizer, text)
    if len(ids) < 2:
        raise OptionError(f"sweep: the text has {len(ids)} tokens, expected at least two.")
    size = min(window, longest - len(before) - len(behind))
    pieces = [ids[begin : begin + size] for begin in range(0, len(ids), size)]
    return tuple((*before, *piece, *behind) for piece in pieces if len(piece) > 1)


def _encode(tokenizer: Any, text: str) -> tuple[list[int], list[int], list[int]]:
    """Return the ids of a text between those that the tokenizer puts before and behind it."""
    whole = encoded(text, tokenizer)
    if not hasattr(tokenizer, "convert_ids_to_tokens"):  # not of transformers: it puts nothing around a text
        return [], whole, []
    ids = tokenizer.encode(text, add_special_tokens=False, verbose=False)
    for begin in range(len(whole) - len(ids) + 1):
        if whole[begin : begin + len(ids)] == ids:
            return whole[:begin], ids, whole[begin + len(ids) :]
    return [], ids, []


def try_here(loaded: LoadedModel) -> Try:
    """Return what tries tasks one after the other in this process, on a model that is loaded already."""

    def tried(tasks: Mapping[str, HeadTask]) -> Iterator[tuple[str, HeadResult | SurgeonError]]:
        baselines: dict[Windows, tuple[ModelOutput, ...]] = {}
        for name, task in tasks.items():
            if task.windows not in baselines:
                baselines[task.windows] = run_windows(loaded.model, task.windows)
            yield name, _outcome(loaded.model, task, baselines[task.windows])

    return tried


def try_head(task: HeadTask) -> HeadResult | SurgeonError:
    """Try one head in whatever process this is, on one core; the model is loaded once in each process."""
    with one_thread():
        try:
            loaded, baseline = _at_work(task.model, task.windows)
        except SurgeonError as error:
            return type(error)(str(error))
        return _outcome(loaded.model, task, baseline)


def run_windows(model: nn.Module, windows: Windows) -> tuple[ModelOutput, ...]:
    """Return what the model gives for each window."""
    return tuple(run_model(model, prepare(model, list(ids))) for ids in windows)


def sweep_heads(
    tasks: Sequence[HeadTask],
    tried: Try,
    *,
    known: Mapping[str, HeadResult] | None = None,
    on_result: Callable[[HeadTask, HeadResult], None] = lambda task, result: None,
) -> tuple[HeadResult, ...]:
    """Try every head and return the results in the order of the tasks.

    Args:
        tasks: As `plan_heads` made them.
        tried: Who tries them: `try_here(loaded)`, or workers elsewhere that call `try_head`.
        known: Results by the name of their task that need not be made again.
        on_result: Called with each new result as soon as it is there.

    Raises:
        SurgeonError: a head that cannot be operated on so.
    """
    found = dict(known or {})
    missing = {task.name: task for task in tasks if task.name not in found}
    for name, result in tried(missing):
        if isinstance(result, SurgeonError):
            raise result
        found[name] = result
        on_result(missing[name], result)
    return tuple(found[task.name] for task in tasks)


@lru_cache(maxsize=1)
def _at_work(model: str, windows: Windows) -> tuple[LoadedModel, tuple[ModelOutput, ...]]:
    loaded = load_model(model)
    return loaded, run_windows(loaded.model, windows)


def _outcome(model: nn.Module, task: HeadTask, baseline: tuple[ModelOutput, ...]) -> HeadResult | SurgeonError:
    try:
        with operate(model, task.fault, layers=task.layer, heads=task.head) as receipt:
            operated = run_windows(model, task.windows)
    except SurgeonError as error:
        return type(error)(str(error))
    layer = next(one for one in receipt.layers if one.calls)
    measure, before, after = _compared(model, task.windows, baseline, operated)
    return HeadResult(task.layer, task.head, (layer.kv_heads or (0,))[0], measure, before, after, receipt.changed)


def _compared(
    model: nn.Module, windows: Windows, baseline: Sequence[ModelOutput], operated: Sequence[ModelOutput]
) -> tuple[Measure, float, float]:
    counts = [len(ids) for ids in windows]
    if writes(model):
        before, after = ([run.loss or 0.0 for run in runs] for runs in (baseline, operated))
        weights = [count - 1 for count in counts]  # the first token is not predicted
        return "loss", _mean(before, weights), _mean(after, weights)
    pairs = list(zip(baseline, operated, strict=True))
    if baseline[0].logits is not None:
        return "divergence", 0.0, _mean([_divergence(one, other) for one, other in pairs], counts)
    return "distance", 0.0, _mean([_distance(one, other) for one, other in pairs], counts)


def _mean(numbers: Sequence[float], weights: Sequence[int]) -> float:
    return sum(number * weight for number, weight in zip(numbers, weights, strict=True)) / sum(weights)


def _divergence(one: ModelOutput, other: ModelOutput) -> float:
    assert one.logits is not None
    assert other.logits is not None
    own, new = (torch.log_softmax(run.double(), dim=-1) for run in (one.logits, other.logits))
    return float((own.exp() * (own - new)).sum(-1).mean())


def _distance(one: ModelOutput, other: ModelOutput) -> float:
    if one.states is None or other.states is None:
        raise OptionError("sweep: this model gives neither logits nor states, so nothing can be compared.")
    own, new = one.states.double().mean(0), other.states.double().mean(0)
    return 1.0 - float(nn.functional.cosine_similarity(own, new, dim=0))


def _longest(model: nn.Module) -> int:
    return context_length(model) or 10**9
