"""The plan of an example: somebody shows one call, and it is repeated with other numbers at other sizes."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from attention_surgeon.calls.argument import TOKENS, Argument, Library, Sizes
from attention_surgeon.calls.arguments import Layout, layouts, method_of, roles_of, signature_of
from attention_surgeon.calls.behaviour import behaviour_of
from attention_surgeon.calls.draw import shape_of
from attention_surgeon.calls.names import Role
from attention_surgeon.calls.plan import Plan, Refusal, is_array
from attention_surgeon.calls.source import Text, text_of

_ADVICE = "an example is: def example(): return layer, (torch.randn(2, 5, 64),)"
_MASKS = ("nm", "bnm", "b1nm", "bhnm", "11nm", "1nm", "bm", "b11m", "b1m")


def plan_of_example(example: Callable[[], Any], source: str | None = None) -> Plan | Refusal:
    """Return the plan that an example shows.

    Args:
        example: Returns `(object, arguments)` or `(object, arguments, named)`; the object may be a function.
        source: The text of the object's file, where Python cannot find it.
    """
    try:
        target, given, *rest = example()
        given = given if isinstance(given, tuple | list) else (given,)
        method = method_of(target)
        parameters = signature_of(target, method)
        values = dict(zip((p.name for p in parameters), given, strict=False)) | dict(rest[0] if rest else {})
    except Exception as error:  # noqa: BLE001  somebody else's code may raise anything
        return Refusal(f"the example does not work: {type(error).__name__}: {error}", (), _ADVICE)
    return _best(target, method, parameters, values, text_of(target, source))


def _best(
    target: Any, method: str, parameters: list[inspect.Parameter], values: Mapping[str, Any], text: Text
) -> Plan | Refusal:
    roles, found, errors = roles_of(parameters), [], []
    given = [name for name in values if roles.get(name) in TOKENS]
    kinds = layouts(roles, given, text, is_function=inspect.isroutine(target), is_picture=False)
    for layout in dict.fromkeys(dataclasses.replace(kind, is_likely=False, is_said=False) for kind in kinds):
        for sizes, arguments in _readings(layout, parameters, roles, values):
            plan = Plan(target, {}, sizes, arguments, _library(values), notes=("as in the example",), method=method)
            try:
                seen = behaviour_of(plan, plan.make())
            except Exception as error:  # noqa: BLE001  somebody else's code may raise anything
                errors.append(f"{type(error).__name__}: {error}")
                continue
            plan = dataclasses.replace(plan, output=seen.output, output_axes=seen.axes)
            found.append((seen.faults, len(found), plan))
    if found:
        return min(found, key=lambda one: one[:2])[2]
    return Refusal("the call of the example gives no output for each token that it is given", tuple(errors), _ADVICE)


def _library(values: Mapping[str, Any]) -> Library:
    return "numpy" if any(isinstance(value, np.ndarray) for value in values.values()) else "torch"


def _readings(
    layout: Layout, parameters: list[inspect.Parameter], roles: Mapping[str, Role], values: Mapping[str, Any]
) -> Iterator[tuple[Sizes, tuple[Argument, ...]]]:
    """Yield the sizes and arguments of a layout that fits the shapes of the tokens that were given."""
    known: dict[str, int] = {}
    axes = {name: layout.axes(roles[name], has_query=True) for name in values if roles.get(name) in TOKENS}
    for name, letters in axes.items():
        shape = tuple(getattr(values[name], "shape", ()))
        if len(shape) != len(letters):
            return
        for letter, size in zip(letters, shape, strict=True):
            if letter != "d" and known.setdefault(letter, int(size)) != size:
                return
    if not axes or not set("".join(axes.values())) <= set("bnmhgd"):
        return
    widths = {name: int(values[name].shape[letters.index("d")]) for name, letters in axes.items()}
    main = next(iter(widths.values()))
    sizes = Sizes(
        known.get("b", 1), known.get("n", known.get("m", 1)), known.get("m", known.get("n", 1)), main, None,
        known.get("h"), known.get("g"), main, list(widths.values())[-1],
    )  # fmt: skip
    yield sizes, tuple(_argument(p, roles[p.name], values, axes, widths, sizes) for p in parameters)


def _argument(
    parameter: inspect.Parameter, role: Role, values: Mapping[str, Any], axes: Mapping[str, str],
    widths: Mapping[str, int], sizes: Sizes,
) -> Argument:  # fmt: skip
    name = parameter.name
    plain = Argument(name, role, False, parameter.default, parameter.kind)
    if name not in values:
        return plain
    if name in axes:
        return dataclasses.replace(plain, required=True, axes=axes[name], form="tokens", width=widths[name])
    return dataclasses.replace(plain, required=True, form=_form(values[name], role, sizes), value=values[name])


def _form(value: Any, role: Role, sizes: Sizes) -> str:
    """Return how a value that is no tokens is drawn: a mask that hides nothing at any size, else as it was given."""
    if not is_array(value) or role not in ("mask", "padding"):
        return "given"
    fits = (letters for letters in _MASKS if shape_of(letters, sizes, 1) == tuple(value.shape))
    letters = next(fits, None)
    numbers = np.asarray(value)
    if letters is None or (numbers != numbers.flat[0]).any():
        return "given"
    kind = ("keep" if numbers.flat[0] else "hide") if numbers.dtype == bool else "one" if numbers.flat[0] else "add"
    return f"{kind}:{letters}"
