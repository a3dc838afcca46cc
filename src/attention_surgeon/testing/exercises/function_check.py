"""A small function judged by its answers: the right one is known, and so are the answers of the usual mistakes.

probes  ->  the learner's answers  ->  equal to the right ones?  ->  else: to those of which mistake?
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.testing.answer import quietly, raised
from attention_surgeon.testing.exercises.explained import ExplainedError
from attention_surgeon.testing.exercises.values import Values, as_numbers, named_values, same_value, shown

Probe = tuple[Any, ...]


@final
@dataclass(frozen=True)
class Mistake:
    """Something else that could have been computed, and what to say to it.

    Attributes:
        name: `snake_case`.
        does: The same function with the mistake in it.
        symptom: What is seen, in a sentence that says "you".
        question: Leads there.
        pointer: Says where to look.
        fix: The line.
    """

    name: str
    does: Callable[..., Any]
    symptom: str
    question: str
    pointer: str
    fix: str


@final
@dataclass(frozen=True)
class FunctionCheck:
    """What is asked of a small function.

    Attributes:
        right: A right version.
        probes: Its arguments, one tuple per call; their sizes should differ.
        names: Of the values that it returns.
        mistakes: The usual ones, the likeliest first.
    """

    right: Callable[..., Any]
    probes: Sequence[Probe]
    names: Sequence[str]
    mistakes: Sequence[Mistake] = ()

    def __call__(self, function: Callable[..., Any]) -> None:
        """Return if the function answers as it should.

        Raises:
            ExplainedError: it does not; it names the mistake if it is a usual one.
        """
        __tracebackhide__ = True
        given = list(map(partial(answer_of, function, names=self.names), self.probes))
        expected = [named_values(self.right(*copied(probe)), self.names) for probe in self.probes]
        if all(map(_same_values, given, expected)):
            return
        mistake = next((m for m in self.mistakes if self._is(m, given)), None)
        raise _explained(mistake, self.probes, given, expected)

    def _is(self, mistake: Mistake, given: Sequence[Values]) -> bool:
        """Whether every answer is the one that this mistake gives."""
        try:
            with quietly():
                answers = [named_values(mistake.does(*copied(probe)), self.names) for probe in self.probes]
        except (TypeError, ValueError, RuntimeError, IndexError):  # it does not fit these shapes
            return False
        return all(map(_same_values, given, answers))


def answer_of(function: Callable[..., Any], probe: Probe, names: Sequence[str] = ("value",)) -> Values:
    """Call somebody's function on copies and return what came back, by name.

    Raises:
        ExplainedError: it is not written yet, raises, returns nothing or the wrong number of values, or changes what
            it was given.
    """
    __tracebackhide__ = True
    arguments = copied(probe)
    returned = called(function, *arguments)
    if returned is None:
        raise _returns_nothing()
    for argument, before in zip(arguments, probe, strict=True):
        require_unchanged(argument, before)
    try:
        return named_values(returned, names)
    except TypeError as error:
        raise ExplainedError(
            "other_values", f"{error}.", question="What does the last line of the text above your function promise?",
            pointer="Look at what stands behind `return`.", fix=f"return {', '.join(names)}",
        ) from None  # fmt: skip


def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call somebody's function and return what it returns.

    Raises:
        ExplainedError: it is not written yet, or raises.
    """
    __tracebackhide__ = True
    if not callable(function):
        raise ExplainedError(None, f"It is a {type(function).__name__}, expected a function.")
    try:
        with quietly(), torch.enable_grad():  # an experiment may want gradients
            return function(*arguments)
    except NotImplementedError as error:
        raise not_written_yet(error) from None
    except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
        sizes = ", ".join(shown(argument) for argument in arguments)
        raise ExplainedError(
            "raises", f"Called with {sizes} it raises {raised(error).error}.",
            question="Which line is it, and what are the shapes there?",
            pointer="Read the last lines of the error; print the shapes just before.",
            fix="print(x.shape)",
        ) from None  # fmt: skip


def not_written_yet(error: NotImplementedError) -> ExplainedError:
    """Return what an untouched stub is told."""
    return ExplainedError(
        "not_written_yet", f"Not written yet ({error}).", question="What is the first line that you are sure of?",
        pointer="Write below `# YOUR CODE HERE` and remove the line that raises.", fix="",
    )  # fmt: skip


def copied(probe: Probe) -> Probe:
    """Return arguments that may be spoilt."""
    return tuple(x.clone() if isinstance(x, Tensor) else copy.copy(x) for x in probe)


def _returns_nothing() -> ExplainedError:
    return ExplainedError(
        "returns_nothing", "It returns nothing.", question="What does the caller get from your last line?",
        pointer="Look for a `return`: a function without one gives None.", fix="return ...",
    )  # fmt: skip


def require_unchanged(now: Any, before: Any) -> None:
    """See that somebody's function left the caller's numbers alone.

    Raises:
        ExplainedError: it did not.
    """
    __tracebackhide__ = True
    if same_value(now, before):
        return
    raise ExplainedError(
        "mutates_inputs", f"After the call the caller's {shown(before)} are others.",
        question="Which of your lines write into something that they were given?",
        pointer="Look for `x[...] = `, `+=` and methods that end in _; they change the caller's numbers.",
        fix="x = x + 1  # instead of x += 1",
    )  # fmt: skip


def _same_values(given: Values, expected: Values) -> bool:
    return all(same_value(given[name], expected[name]) for name in expected)


def _explained(
    mistake: Mistake | None, probes: Sequence[Probe], given: Sequence[Values], expected: Sequence[Values]
) -> ExplainedError:
    """Return the mistake with the first value that differs."""
    probe, name, ours, theirs = _first_difference(probes, given, expected)
    numbers: dict[str, Any] = {"step": name, "yours": as_numbers(ours), "expected": as_numbers(theirs)}
    if mistake is None:
        return ExplainedError(
            None, f"{_difference(name, ours, theirs)} (called with {', '.join(map(shown, probe))}).",
            question="I do not recognise this mistake. Which value would you get by hand?",
            pointer=f"Work out the {name} on paper for two positions and compare it with yours.", **numbers,
        )  # fmt: skip
    return ExplainedError(
        mistake.name, mistake.symptom, question=mistake.question, pointer=mistake.pointer, fix=mistake.fix, **numbers
    )


def _first_difference(
    probes: Sequence[Probe], given: Sequence[Values], expected: Sequence[Values]
) -> tuple[Probe, str, Any, Any]:
    for probe, ours, theirs in zip(probes, given, expected, strict=True):
        for name, value in theirs.items():
            if not same_value(ours[name], value):
                return probe, name, ours[name], value
    raise AssertionError("nothing differs")


def _difference(name: str, ours: Any, theirs: Any) -> str:
    """Return what differs, in words and numbers."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for key in theirs:
            if key not in ours:
                return f"The {name} has no {key!r}"
            if not same_value(ours[key], theirs[key]):
                return _difference(f"{name} of {key!r}", ours[key], theirs[key])
    given, expected = as_numbers(ours), as_numbers(theirs)
    if given is None or expected is None or expected.ndim == 0:
        return f"The {name} is {shown(ours)}, expected {shown(theirs)}"
    if given.shape != expected.shape:
        return f"The {name} has the shape {given.shape}, expected {expected.shape}"
    with np.errstate(invalid="ignore"):
        distance = np.nan_to_num(np.abs(given - expected), nan=np.inf, posinf=np.inf)
    where = tuple(int(index) for index in np.unravel_index(int(distance.argmax()), distance.shape))
    return f"At {list(where)} of the {name} stands {given[where]:.4g}, expected {expected[where]:.4g}"
