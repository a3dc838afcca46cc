"""What the text of an exercise promises, sentence by sentence, and how each is seen to be kept.

A contract or a table of usual mistakes says whether the numbers are right. What else a stub says (how many values come
back, of which shape and type, which arguments are taken, what one token gives) stands here, each beside its sentence.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.course.exercises.calling import call_in_words, called, returns_nothing
from attention_surgeon.course.exercises.explained import ExplainedError
from attention_surgeon.course.exercises.function_check import answer_of
from attention_surgeon.signatures import parameters_of
from attention_surgeon.testing.answer import to_array

Shape: TypeAlias = tuple[int, ...]

_KINDS: Mapping[type, str] = {Tensor: "a tensor", np.ndarray: "a NumPy array", tuple: "a tuple", list: "a list"}


@final
@dataclass(frozen=True)
class Promise:
    """A sentence of a stub and its check.

    Attributes:
        asked: The sentence, word for word.
        keep: Called with what the learner wrote; raises `ExplainedError` or `CrashError` if the sentence is not kept.
    """

    asked: str
    keep: Callable[[Any], None]


def broken_promise(promises: Sequence[Promise], target: Any) -> ExplainedError | None:
    """Return the first promise that is not kept, None if all are.

    Raises:
        CrashError: the target stops with an error in one of the calls, whichever promises are not kept besides.
    """
    __tracebackhide__ = True
    first: ExplainedError | None = None
    for promise in promises:
        try:
            promise.keep(target)
        except ExplainedError as error:
            first = first or error
    return first


@final
@dataclass(frozen=True)
class Call:
    """One call, and what comes back.

    Attributes:
        arguments: By position; copies are handed over.
        shapes: Of what comes back, by name: one value, or several in a tuple.
        named: Arguments by name.
        layer: What a class is made with before its object is called; None for a function.
        other_shapes: Shapes that are as good, by the name of the value.
    """

    arguments: tuple[Any, ...]
    shapes: Mapping[str, Shape]
    named: Mapping[str, Any] = field(default_factory=dict)
    layer: tuple[Any, ...] | None = None
    other_shapes: Mapping[str, Shape] = field(default_factory=dict)

    def function(self, target: Any) -> Any:
        """Return what is called: the function, or an object of the class, in evaluation mode."""
        __tracebackhide__ = True
        if self.layer is None:
            return target
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = called(target, *self.layer)
        return made.eval() if isinstance(made, nn.Module) else made

    def values(self, target: Any) -> tuple[Any, ...]:
        """Make the call and return the values that came back, each seen to be what its name promises.

        Raises:
            CrashError: it stops with an error.
            ExplainedError: something else comes back.
        """
        __tracebackhide__ = True
        function = self.function(target)
        require_taken(function, self.named)
        arguments = [
            x.clone() if isinstance(x, Tensor) else x.copy() if hasattr(x, "copy") else x for x in self.arguments
        ]
        returned = called(function, *arguments, **self.named)
        if returned is None:
            raise returns_nothing(function)
        where = f"in the call {call_in_words(function, self.arguments, self.named)}"
        kind = np.ndarray if any(isinstance(x, np.ndarray) for x in self.arguments) else Tensor
        return _values_in(returned, self, kind, where)


def gives(asked: str, *calls: Call) -> Promise:
    """Promise what comes back: how many values, of which type and shape, and that they are numbers."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        for call in calls:
            call.values(target)

    return Promise(asked, keep)


def hides(asked: str, call: Call, hidden: Tensor) -> Promise:
    """Promise that keys which a mask hides get no weight.

    Args:
        asked: The sentence.
        call: With its mask; its second value are the weights.
        hidden: True where there is to be no weight, spreads over the weights.
    """

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        weights = to_array(call.values(target)[1])
        if np.abs(weights[np.broadcast_to(hidden.numpy(), weights.shape)]).max() > 1e-6:
            raise hidden_keys_seen("Keys that the mask hides still get weight.")

    return Promise(asked, keep)


def hidden_keys_seen(symptom: str) -> ExplainedError:
    """Return what is said where a mask does not hide."""
    return ExplainedError(
        "hidden_keys_are_seen", symptom,
        question="What does True in the mask say, and what happens to the scores where it is False?",
        pointer="Hide before the softmax.", fix='scores = scores.masked_fill(~mask, float("-inf"))',
    )  # fmt: skip


def empty_rows_are_zero(asked: str, call: Call, *names: str) -> Promise:
    """Promise zeros for query 1, whose every key is hidden: in the values of these names, or in all."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        for name, value in zip(call.shapes, call.values(target), strict=True):
            given = to_array(value)[..., 1, :]
            if not np.isfinite(given).all():
                raise empty_row_told("empty_row_nan", f"A query whose every key is hidden gets NaN in the {name}.")
            if (not names or name in names) and np.abs(given).max() > 1e-12:
                raise empty_row_told(
                    "empty_row_not_zero",
                    f"A query whose every key is hidden gets {np.abs(given).max():.3g} in the {name}, expected 0.",
                )

    return Promise(asked, keep)


def empty_row_told(name: str, symptom: str) -> ExplainedError:
    """Return what is said where a query that may attend to nothing gets something else than zeros."""
    return ExplainedError(
        name, symptom, question="It may attend to nothing. What should it get?",
        pointer="A finite fill makes all its keys alike, and -inf makes NaN: set such a row to 0 after the softmax.",
        fix="weights = weights.masked_fill(weights.isnan(), 0.0)", step="weights",
    )  # fmt: skip


def takes(asked: str, *names: str) -> Promise:
    """Promise that a function, or the `forward` of a class, takes these arguments by their names."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        function = getattr(target, "forward", target) if inspect.isclass(target) else target
        require_taken(function, dict.fromkeys(names))

    return Promise(asked, keep)


def refuses(asked: str, arguments: tuple[Any, ...], sizes: str) -> Promise:
    """Promise a `ValueError` for arguments of a constructor that do not go together."""

    def keep(target: Any) -> None:
        try:
            target(*arguments)
        except ValueError:
            return
        except Exception as error:  # noqa: BLE001  another error than the one that is asked for
            raise _not_refused(f"{sizes} raises {type(error).__name__}, expected ValueError.") from None
        raise _not_refused(f"{sizes} is taken without a word.")

    return Promise(asked, keep)


def _not_refused(symptom: str) -> ExplainedError:
    return ExplainedError(
        "sizes_not_refused", symptom, question="How wide would one head be?",
        pointer="Ask for the remainder before anything is made.",
        fix='if embed_dim % num_heads:\n    raise ValueError("embed_dim must be a multiple of num_heads")',
    )  # fmt: skip


def has_keys(asked: str, keys: Sequence[str], *arguments: Any) -> Promise:
    """Promise a dictionary with these keys."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        answer_of(target, arguments, keys)

    return Promise(asked, keep)


def is_boolean(asked: str, *arguments: Any) -> Promise:
    """Promise a boolean tensor."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        returned = called(target, *arguments)
        dtype = getattr(returned, "dtype", type(returned).__name__)
        if dtype != torch.bool:
            raise ExplainedError(
                "mask_not_boolean", f"The mask is of dtype {str(dtype).removeprefix('torch.')}, expected bool.",
                question="What can `~mask` and `masked_fill` do with a mask of numbers?",
                pointer="Make it of booleans, or compare at the end.", fix="torch.ones(n, n, dtype=torch.bool)",
            )  # fmt: skip

    return Promise(asked, keep)


def require_taken(function: Any, named: Mapping[str, Any]) -> None:
    """See that a function takes arguments of these names.

    Raises:
        ExplainedError: it does not take one of them.
    """
    __tracebackhide__ = True
    written = getattr(function, "forward", function)
    parameters = parameters_of(written)
    if parameters is None:
        return
    taken = {each.name for each in parameters}
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    missing = [name for name in named if name not in taken and not takes_any]
    if missing:
        name = getattr(written, "__name__", "it")
        raise ExplainedError(
            "argument_missing", f"`{name}` takes no argument `{missing[0]}`.",
            question="Which arguments does the text of the exercise name?",
            pointer="Keep the first line of the function as it was given.", fix=f"def {name}(..., {missing[0]}=None):",
        )  # fmt: skip


def _values_in(returned: Any, call: Call, kind: type, where: str) -> tuple[Any, ...]:
    __tracebackhide__ = True
    names = list(call.shapes)
    values = (returned,) if len(names) == 1 else returned
    if len(names) == 1 and isinstance(returned, tuple | list):
        raise _other_values(
            "returns_a_tuple",
            f"It returns a {type(returned).__name__} of {len(returned)}, expected one value: the {names[0]}.",
            names,
        )
    if not isinstance(values, tuple | list) or len(values) != len(names):
        count = f"a {type(values).__name__} of {len(values)}" if isinstance(values, tuple | list) else "one value"
        raise _other_values(
            "returns_too_few", f"It returns {count}, expected {len(names)}: {' and '.join(names)}.", names
        )
    for name, value in zip(names, values, strict=True):
        _require_numbers(name, value, call, kind, where)
    return tuple(values)


def _require_numbers(name: str, value: Any, call: Call, kind: type, where: str) -> None:
    if not isinstance(value, kind):
        found = next((words for each, words in _KINDS.items() if isinstance(value, each)), type(value).__name__)
        raise _other_values("other_type", f"The {name} is {found}, expected {_KINDS[kind]}.", list(call.shapes))
    shape, expected = tuple(value.shape), tuple(call.shapes[name])
    if shape != expected and shape != tuple(call.other_shapes.get(name, expected)):
        raise ExplainedError(
            "other_shape", f"The {name} has the shape {shape}, expected {expected}, {where}.",
            question="Which axis is missing, or which one is too many?",
            pointer="Print the shape after each line; an axis of size 1 must stay.", fix="print(x.shape)",
        )  # fmt: skip


def _other_values(name: str, symptom: str, names: Sequence[str]) -> ExplainedError:
    return ExplainedError(
        name, symptom, question="What does the text above your function promise?",
        pointer="Look at what stands behind `return`.", fix=f"return {', '.join(names)}",
    )  # fmt: skip
