"""Whether a call behaves as its layout says: sequences and heads keep to themselves, tokens do not.

Axes that merely have the right lengths prove nothing: a layer that takes the sequence first also runs on a batch first.
So one slice of the inputs along an axis is changed, and it is looked at which slices of the output change with it.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from attention_surgeon.calls.argument import TOKENS
from attention_surgeon.calls.draw import shape_of
from attention_surgeon.calls.plan import Plan

_MASKS = ("nm", "bnm", "b1nm", "b1n1", "b1m", "b11m", "bm", "hnm", "1nm", "11nm", "bhnm")
_OUTPUTS = (
    "bnd", "nbd", "bhnd", "bnhd", "nd", "hnd", "bdn", "bdyx", "byxd", "thd", "td", "fnd",
    "bsnd", "bnsd", "nsbd", "bd", "nm", "bnm", "b1nm", "bhnm", "hnm", "1nm", "11nm", "b1m", "bm", "b11m", "1hnm",
    "m", "n", "d",
)  # fmt: skip


@dataclass(frozen=True)
class Behaviour:
    """Which array is the output, its axes, and in how many ways it does not behave as they say."""

    output: int
    axes: str
    faults: int


def behaviour_of(plan: Plan, made: Any) -> Behaviour:
    """Call a plan and look at what depends on what.

    Raises:
        LookupError: nothing that is returned can be the output.
        Exception: whatever the target raises.
    """
    inputs = plan.draw(seed=0)
    returned = plan.call(made, _copied(inputs))
    from torch.nn import Module

    if isinstance(returned, Module):
        raise LookupError(f"it returns a module, {type(returned).__name__}")
    arrays = plan.arrays(returned)
    output, axes = _output(plan, arrays)
    kinds = {a.role for a in plan.arguments if a.required}
    first = _numbers(arrays[output])
    faults = 0 if np.isfinite(first).all() else 2
    faults += _has_equal_rows(first, axes)
    if kinds & TOKENS:
        is_attention = not inspect.isroutine(plan.target) or bool(kinds & {"key", "value", "context", "weights"})
        faults += _misbehaviours(plan, made, inputs, first, output, axes, "bshn" if is_attention else "bsh")
    return Behaviour(output if len(arrays) > 1 else -1, axes, faults)


def _has_equal_rows(output: np.ndarray, axes: str) -> int:
    """Whether each query has the same answer: all keys are hidden, and none of them counts more than another."""
    if "n" not in axes or "d" not in axes or output.shape[axes.index("n")] == 1:
        return 0
    rows = np.moveaxis(output, axes.index("n"), 0)
    return int(np.abs(rows - rows[:1]).max() <= 1e-5 * (np.abs(rows).max() + 1e-30))


def _misbehaviours(
    plan: Plan, made: Any, inputs: Mapping[str, Any], first: np.ndarray, output: int, axes: str, watched: str
) -> int:
    found = 0
    given = {a.name: a.axes for a in plan.arguments if a.axes and a.name in inputs}
    for axis in dict.fromkeys("".join(given.values())):
        if axis not in watched or axis not in axes or first.shape[axes.index(axis)] == 1:
            continue
        is_crossed = _crosses(plan, made, inputs, first, output, axes.index(axis), axis, given)
        found += is_crossed if axis in "bsh" else not is_crossed
    return found


def _crosses(
    plan: Plan,
    made: Any,
    inputs: Mapping[str, Any],
    first: np.ndarray,
    output: int,
    place: int,
    axis: str,
    given: Mapping[str, str],
) -> bool:
    """Whether a change in one slice along an axis reaches other slices of the output."""
    for index in (0, -1):
        changed, others = dict(_copied(inputs)), plan.draw(seed=1)
        for name, axes in given.items():
            at = axes.find(axis if axis != "n" or "m" not in axes else "m")
            if at < 0:
                continue
            part = (slice(None),) * at + (index,)
            changed[name][part] = others[name][part]
        arrays = plan.arrays(plan.call(made, changed))
        other = _numbers(arrays[output])
        if other.shape != first.shape:
            return axis not in "bsh"
        rest = np.delete(np.abs(np.nan_to_num(other) - np.nan_to_num(first)), index, axis=place)
        if rest.size and rest.max() > 1e-4 * (np.abs(np.nan_to_num(first)).max() + 1e-30):
            return True
    return False


def _output(plan: Plan, arrays: list[Any]) -> tuple[int, str]:
    main = next((a for a in plan.arguments if a.role in ("query", "x") and a.required), None)
    widths = {a.width for a in plan.arguments if a.axes} | {plan.sizes.value_size, plan.sizes.head_size}
    preferred = [main.axes] if main is not None and main.axes else list(_MASKS)
    if main is not None and main.axes in ("bhnd", "bnhd"):
        preferred += ["bhnd", "bnhd"]
    ranked = []
    for place, array in enumerate(arrays):
        kind = str(array.dtype)
        if not any(word in kind for word in ("float", "complex", "int", "bool")) or not np.prod(array.shape):
            continue
        axes = _axes(tuple(array.shape), [*preferred, *_OUTPUTS], plan)
        if main is not None and ("float" not in kind or not axes):
            continue
        is_like_input = bool(main) and len(axes) == len(main.axes) and "m" not in axes
        ranked.append(
            (
                not (axes and "d" in axes),
                tuple(array.shape)[-1:] == (plan.sizes.n_k,) and plan.sizes.n_k not in widths,
                not is_like_input,
                place,
                axes,
            )
        )
    if not ranked:
        shapes = ", ".join(str(tuple(array.shape)) for array in arrays) or "no array"
        raise LookupError(f"it returns {shapes}, in which I do not find the queries")
    best = min(ranked)
    return best[3], best[4]


def _axes(shape: tuple[int, ...], templates: list[str], plan: Plan) -> str:
    """Return the first template that fits a shape."""
    for axes in templates:
        if len(axes) != len(shape):
            continue
        wanted = shape_of(axes, plan.sizes, 0)
        if all(letter == "d" or size == w for letter, size, w in zip(axes, shape, wanted, strict=True)):
            return axes
    return ""


def _numbers(array: Any) -> np.ndarray:
    value = array.detach().cpu() if hasattr(array, "detach") else array
    if hasattr(value, "to_dense"):
        value = value.float() if "float" in str(value.dtype) else value
        value = value.numpy()
    return np.asarray(value)


def _copied(inputs: Mapping[str, Any]) -> dict[str, Any]:
    from attention_surgeon.calls.plan import fresh

    return {name: fresh(value) for name, value in inputs.items()}
