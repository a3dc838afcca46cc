"""From whatever holds attention to a `Subject`: traces, arrays, a model's outputs, pooled maps."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DTypeError, OptionError, ShapeError
from attention_surgeon.require import kind_of
from attention_surgeon.stats import AttentionScan, HeadStatistics
from attention_surgeon.stats.maps import PooledMap
from attention_surgeon.trace import AttentionTrace
from attention_surgeon.viewer.subject import Map, Place, Subject

_USUAL_AXES = {2: (), 3: ("head",), 4: ("batch", "head"), 5: ("layer", "batch", "head")}
_TAKEN = (
    "an AttentionTrace, weights (a torch.Tensor or a NumPy array of 2 to 5 axes), a model's outputs with .attentions, "
    "a PooledMap, an AttentionScan, or a list or dictionary of layers of one of these"
)
_OF_A_PAIR = ("encoder_attentions", "decoder_attentions", "cross_attentions")


def read(what: Any, axes: Sequence[str] | None, caller: str) -> Subject:
    """Return what a page can show of `what`.

    Args:
        what: See `view`.
        axes: Names of the axes before query and key; None: the usual ones.
        caller: What the messages call the function that was called.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, OptionError: nothing that could be shown; the text says why.
    """
    if isinstance(what, AttentionTrace):
        return _of_trace(what, caller)
    if isinstance(what, Tensor | np.ndarray | PooledMap):
        return _of_weights(what, axes, caller)
    if isinstance(what, AttentionScan):
        return _of_scan(what, axes, caller)
    if is_capture(what):
        return replace(
            _of_layers([layer.trace for layer in what.layers], [layer.name for layer in what.layers], None, caller),
            source=what.source,
        )
    if is_outputs(what):
        attentions = _attentions(what, caller)
        if isinstance(attentions[0], tuple | list):
            return _of_generation(attentions, axes, caller)
        return read(attentions, axes, caller)
    if isinstance(what, Mapping):
        return _of_layers(list(what.values()), [str(name) for name in what], axes, caller)
    if isinstance(what, Sequence) and not isinstance(what, str | bytes):
        return _of_layers(list(what), [str(number) for number in range(len(what))], axes, caller)
    raise ArgumentTypeError(f"{caller}: what is {kind_of(what)}, expected {_TAKEN}.")


def _of_trace(trace: AttentionTrace, caller: str) -> Subject:
    if tuple(trace.weights.shape) != trace.scores_shape:
        raise ShapeError(
            f"{caller}: the weights of the trace have shape {tuple(trace.weights.shape)}, expected "
            f"{trace.scores_shape}; trace.checks() says which step went wrong."
        )
    axes = trace.axes[:-2]
    places = _places(trace.scores_shape[:-2])
    traces = []
    for place in itertools.product(*(range(size) for size in trace.scores_shape[:-2])):
        chosen = trace
        for axis, index in zip(axes, place, strict=True):
            chosen = chosen.select(axis, index)
        traces.append(chosen)
    maps = [chosen.weights for chosen in traces]
    groups = _shared_heads(trace) if "head" in axes else None
    return Subject(axes, places, maps, trace.query_tokens, trace.key_tokens, tuple(traces), groups, source=trace.source)


def _shared_heads(trace: AttentionTrace) -> tuple[int, ...] | None:
    """Return the key/value head of each map: neighbouring heads with the same keys and values share theirs."""
    dim = trace.axes.index("head")
    keys, values = trace.key.movedim(dim, 0), trace.value.movedim(dim, 0)
    groups = [0]
    for before, head in itertools.pairwise(range(len(keys))):
        same = torch.equal(keys[before], keys[head]) and torch.equal(values[before], values[head])
        groups.append(groups[-1] + (not same))
    if len(set(groups)) == len(groups):
        return None
    sizes = trace.scores_shape[:-2]
    return tuple(groups[place[dim]] for place in itertools.product(*(range(size) for size in sizes)))


def _of_weights(weights: Tensor | np.ndarray | PooledMap, axes: Sequence[str] | None, caller: str) -> Subject:
    if isinstance(weights, PooledMap):
        shape = tuple(weights.mean.shape)
    else:
        weights = _tensor(weights, caller)
        shape = tuple(weights.shape)
    if len(shape) not in _USUAL_AXES:
        raise ShapeError(
            f"{caller}: the weights have shape {shape}, expected 2 to 5 axes that end with queries and keys."
        )
    if 0 in shape:
        raise ShapeError(f"{caller}: the weights have shape {shape}: one axis is empty, so there is nothing to show.")
    names = _axis_names(axes, shape, caller)
    sizes = shape[:-2]
    maps: list[Map] = [
        weights.select(*index) if isinstance(weights, PooledMap) else weights[index]
        for index in itertools.product(*(range(size) for size in sizes))
    ]
    return _without_lone_batch(Subject(names, _places(sizes), maps, None, None))


def _of_scan(scan: AttentionScan, axes: Sequence[str] | None, caller: str) -> Subject:
    if scan.map is None:
        raise OptionError(f"{caller}: the scan has no map; scan again with a resolution, as surgeon scan does.")
    subject = _of_weights(scan.map, axes, caller)
    heads = itertools.product(*(range(size) for size in scan.num_looked_at.shape))
    return replace(subject, measured=tuple(_of_one_head(scan.statistics, index) for index in heads))


def _of_one_head(statistics: HeadStatistics, index: tuple[int, ...]) -> HeadStatistics:
    """Return the statistics of one head; what is said of pairs of heads is left out."""
    chosen = {
        field.name: value[index]
        for field in fields(HeadStatistics)
        if isinstance(value := getattr(statistics, field.name), Tensor) and field.name != "similarity"
    }
    return replace(statistics, **chosen, similarity=None)


def _of_layers(layers: list[Any], names: list[str], axes: Sequence[str] | None, caller: str) -> Subject:
    if not layers or layers[0] is None:
        raise ArgumentTypeError(
            f"{caller}: {'the list of layers is empty' if not layers else 'layer 0 is None'}; {_EAGER}"
        )
    subjects = []
    for name, layer in zip(names, layers, strict=True):
        if not isinstance(layer, AttentionTrace | Tensor | np.ndarray | PooledMap | AttentionScan):
            raise ArgumentTypeError(
                f"{caller}: layer {name} is {kind_of(layer)}, expected a trace, weights or a pooled map, as layer "
                f"{names[0]} is ({kind_of(layers[0])})."
            )
        subjects.append(read(layer, None if axes is None else axes[1:], caller))
    return _stacked(subjects, names, "layer" if axes is None else axes[0], caller)


def _stacked(subjects: list[Subject], names: list[str], axis: str, caller: str) -> Subject:
    first = subjects[0]
    for name, subject in zip(names, subjects, strict=True):
        if (subject.sizes, subject.axes, subject.is_pooled) != (first.sizes, first.axes, first.is_pooled):
            raise ShapeError(
                f"{caller}: layer {name} has {subject.sizes[0]} queries, {subject.sizes[1]} keys and the axes "
                f"{subject.axes}, layer {names[0]} {first.sizes[0]}, {first.sizes[1]} and {first.axes}; one page shows "
                f"maps of one size, so give them to several pages."
            )
        if (subject.query_tokens, subject.key_tokens) != (first.query_tokens, first.key_tokens):
            raise OptionError(
                f"{caller}: layer {name} has other tokens than layer {names[0]}; one page shows one text."
            )
    shared = [subject.groups for subject in subjects]
    sources = {subject.source.removesuffix(f", layer {name}") for name, subject in zip(names, subjects, strict=True)}
    return Subject(
        axes=(axis, *first.axes),
        places=tuple((name, *place) for name, each in zip(names, subjects, strict=True) for place in each.places),
        maps=[each for subject in subjects for each in subject.maps],
        query_tokens=first.query_tokens,
        key_tokens=first.key_tokens,
        traces=tuple(trace for subject in subjects for trace in subject.traces),
        groups=None if None in shared else tuple(group for groups in shared if groups for group in groups),
        source=sources.pop() if len(sources) == 1 else "",
        measured=tuple(each for subject in subjects for each in subject.measured),
    )


_EAGER = (
    'transformers gives attentions only with model.set_attn_implementation("eager") and '
    "model(..., output_attentions=True)."
)


def is_capture(what: Any) -> bool:
    """Tell what `surgery.capture` returns, which stands in a room beside this one."""
    layers = getattr(what, "layers", None)
    return isinstance(layers, tuple) and bool(layers) and all(hasattr(layer, "trace") for layer in layers)


def _of_generation(steps: Sequence[Any], axes: Sequence[str] | None, caller: str) -> Subject:
    """Return what `generate` saw step by step as one map for each head: the prompt, then one row for each step."""
    first, last = steps[0], steps[-1]
    if any(not isinstance(layer, Tensor) or layer.ndim != 4 for step in steps for layer in step):
        raise ArgumentTypeError(
            f"{caller}: the attentions of generate hold a {kind_of(first[0])}, expected (batch, heads, n_q, n_k) for "
            f"each step and layer; {_EAGER}"
        )
    num_keys = last[0].shape[-1]
    layers = [
        torch.cat([torch.nn.functional.pad(step[at], (0, num_keys - step[at].shape[-1])) for step in steps], dim=-2)
        for at in range(len(first))
    ]
    return replace(read(layers, axes, caller), prompt_length=first[0].shape[-2])


def is_outputs(what: Any) -> bool:
    """Tell what a model of transformers returns, with its attentions or without."""
    return any(hasattr(what, name) for name in ("attentions", *_OF_A_PAIR))


def pair_of_attentions(outputs: Any) -> dict[str, Any]:
    """Return the attentions of an encoder-decoder's outputs by stack: encoder, decoder, cross; empty ones left out."""
    return {name.removesuffix("_attentions"): found for name in _OF_A_PAIR if (found := getattr(outputs, name, None))}


def _attentions(outputs: Any, caller: str) -> Any:
    attentions = getattr(outputs, "attentions", None)
    if attentions:
        return attentions
    others = list(pair_of_attentions(outputs))
    if others:
        raise OptionError(
            f"{caller}: the outputs have {', '.join(f'{name}_attentions' for name in others)}; give one of them, for "
            f"example {caller}(outputs.{others[0]}_attentions)."
        )
    given = "None" if attentions is None else "empty"
    raise ArgumentTypeError(f"{caller}: the outputs' attentions are {given}; {_EAGER}")


def _tensor(weights: Tensor | np.ndarray, caller: str) -> Tensor:
    if isinstance(weights, np.ndarray):
        if weights.dtype.kind != "f":
            raise _wrong_dtype(weights.dtype, caller)
        array = weights.astype(np.float32) if weights.dtype.itemsize not in (2, 4, 8) else weights
        return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)))
    if not weights.is_floating_point():
        raise _wrong_dtype(weights.dtype, caller)
    if weights.is_meta or weights.layout is not torch.strided:
        raise ArgumentTypeError(
            f"{caller}: the weights are a {'meta' if weights.is_meta else 'sparse'} tensor, expected one with all its "
            f"numbers; {'compute it on a real device' if weights.is_meta else 'use weights.to_dense()'}."
        )
    return weights.detach()


def _wrong_dtype(dtype: object, caller: str) -> DTypeError:
    return DTypeError(
        f"{caller}: the weights have dtype {dtype}, expected a floating dtype; weights are real numbers from 0 to 1."
    )


def _axis_names(axes: Sequence[str] | None, shape: tuple[int, ...], caller: str) -> tuple[str, ...]:
    usual = _USUAL_AXES[len(shape)]
    if axes is None:
        return usual
    if isinstance(axes, str) or len(axes) != len(usual) or not all(isinstance(name, str) for name in axes):
        raise OptionError(
            f"{caller}: axes is {axes!r}, but weights of shape {shape} have {len(usual)} axes before queries and keys; "
            f"name each, for example {usual!r}."
        )
    return tuple(axes)


def _places(sizes: Sequence[int]) -> tuple[Place, ...]:
    return tuple(tuple(map(str, index)) for index in itertools.product(*(range(size) for size in sizes)))


def _without_lone_batch(subject: Subject) -> Subject:
    """Drop a batch axis along which there is one entry only."""
    if "batch" not in subject.axes:
        return subject
    dim = subject.axes.index("batch")
    if len({place[dim] for place in subject.places}) > 1:
        return subject
    axes = subject.axes[:dim] + subject.axes[dim + 1 :]
    places = tuple(place[:dim] + place[dim + 1 :] for place in subject.places)
    return replace(subject, axes=axes, places=places)
