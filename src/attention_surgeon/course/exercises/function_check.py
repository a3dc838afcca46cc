"""A small function judged by its answers: the right one is known, and so are the answers of the usual mistakes.

probes  ->  the learner's answers  ->  equal to the right ones?  ->  else: to those of which mistake?
"""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, final

import numpy as np
from torch import Tensor

from attention_surgeon.course.exercises.calling import called, returns_nothing, shown
from attention_surgeon.course.exercises.explained import ExplainedError, other_values
from attention_surgeon.diagnose.crash.suggest import near
from attention_surgeon.faults import find_fault
from attention_surgeon.testing.answer import quietly, same_numbers, to_array
from attention_surgeon.verdict import Array, Mistake

Probe = tuple[Any, ...]

Values: TypeAlias = Mapping[str, Any]


@final
@dataclass(frozen=True)
class KnownMistake:
    """Something else that could have been computed, and what to say to it.

    Attributes:
        words: Its name and what leads to it; of a mistake that has a name in the catalogue, the catalogue's.
        does: The same function with the mistake in it.
    """

    words: Mistake
    does: Callable[..., Any]


def from_catalogue(name: str, seen: str = "") -> Mistake:
    """Return the words of the catalogue for a mistake, and what is seen of it in this exercise.

    >>> from_catalogue("scale_missing", "With and without the scale you measure the same.").stage
    'scale'
    """
    return dataclasses.replace(find_fault(name).words, seen=(seen,) if seen else ())


def known_fault(name: str, does: Callable[..., Any], seen: str = "", fix: str = "") -> KnownMistake:
    """Return a mistake of the catalogue as this exercise has it.

    Args:
        name: In the catalogue.
        does: The same function with the mistake in it.
        seen: What is seen of it here, in a sentence that says "you".
        fix: The line as this exercise has it, in NumPy or for its own names; empty: the catalogue's.
    """
    words = from_catalogue(name, seen)
    return KnownMistake(dataclasses.replace(words, fix=fix) if fix else words, does)


def known(name: str, does: Callable[..., Any], symptom: str, question: str, pointer: str, fix: str) -> KnownMistake:
    """Return a mistake that only this exercise has: its name, what is computed, and what to say to it."""
    return KnownMistake(Mistake(name, symptom=symptom, question=question, pointer=pointer, fix=fix), does)


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
    mistakes: Sequence[KnownMistake] = ()

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

    def _is(self, mistake: KnownMistake, given: Sequence[Values]) -> bool:
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
        raise returns_nothing(function)
    for argument, before in zip(arguments, probe, strict=True):
        require_unchanged(argument, before)
    try:
        return named_values(returned, names)
    except TypeError as error:
        said = str(error)
        raise other_values(f"{said[0].upper()}{said[1:]}.", f"return {', '.join(names)}") from None


def copied(probe: Probe) -> Probe:
    """Return arguments that may be spoilt."""
    return tuple(x.clone() if isinstance(x, Tensor) else copy.deepcopy(x) for x in probe)


def require_unchanged(now: Any, before: Any) -> None:
    """See that somebody's function left the caller's numbers alone.

    Raises:
        ExplainedError: it did not.
    """
    __tracebackhide__ = True
    if same_value(now, before):
        return
    raise ExplainedError(from_catalogue("mutates_inputs", f"After the call the caller's {shown(before)} are others."))


def _same_values(given: Values, expected: Values) -> bool:
    return all(same_value(given[name], expected[name]) for name in expected)


def _explained(
    mistake: KnownMistake | None, probes: Sequence[Probe], given: Sequence[Values], expected: Sequence[Values]
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
    return ExplainedError(mistake.words, **numbers)


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
    called = f"The {name}" if name.islower() else name  # dQ is a name
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for key in theirs:
            if key not in ours:
                return f"{called} has no {key!r}"
            if not same_value(ours[key], theirs[key]):
                return _difference(f"{name} of {key!r}", ours[key], theirs[key])
    given, expected = as_numbers(ours), as_numbers(theirs)
    if given is None or expected is None or expected.ndim == 0:
        return f"{called} is {shown(ours)}, expected {shown(theirs)}"
    if given.shape != expected.shape:
        return f"{called} has the shape {given.shape}, expected {expected.shape}"
    with np.errstate(invalid="ignore"):
        distance = np.nan_to_num(np.abs(given - expected), nan=np.inf, posinf=np.inf)
    where = tuple(int(index) for index in np.unravel_index(int(distance.argmax()), distance.shape))
    return f"{name}{list(where)} is {given[where]:.4g}, expected {expected[where]:.4g}"


def named_values(returned: Any, names: Sequence[str]) -> Values:
    """Return what was returned under its names: a dict as it is, a tuple in the order of `names`.

    Raises:
        TypeError: there are more or fewer values than names, in a sentence.

    >>> named_values((1, "cat"), ["weight", "token"])
    {'weight': 1, 'token': 'cat'}
    """
    if isinstance(returned, Mapping):
        missing = [name for name in names if name not in returned]
        if missing:
            raise TypeError(keys_missing("your dictionary", missing[0], returned))
        return {name: returned[name] for name in names}
    if len(names) == 1:
        return {names[0]: returned}
    if not isinstance(returned, tuple | list) or len(returned) != len(names):
        count = f"{len(returned)} values" if isinstance(returned, tuple | list) else "one value"
        raise TypeError(f"{count} came back, expected {len(names)}: {', '.join(names)}")
    return dict(zip(names, returned, strict=True))


def keys_missing(what: str, key: str, returned: Mapping[Any, Any]) -> str:
    """Say which key is missing, and which ones are there, the likeliest slip first.

    >>> keys_missing("your dictionary", "entropy", {"max": 1, "entropi": 2})
    'your dictionary has no key `entropy`; it has `entropi`, `max`'
    """
    keys = sorted(map(str, returned), key=lambda name: name != near(key, map(str, returned)))
    return f"{what} has no key `{key}`; it has {', '.join(f'`{name}`' for name in keys) or 'none'}"


def same_value(given: Any, expected: Any) -> bool:
    """Whether a value is what was expected: numbers up to rounding, with their shape; text and lists exactly.

    >>> same_value(0.1 + 0.2, 0.3), same_value(["cat"], ("cat",)), same_value(1.0, "1")
    (True, True, False)
    """
    if given is expected:  # functions and text among the arguments
        return True
    if isinstance(expected, Mapping):
        is_like = isinstance(given, Mapping) and set(given) == set(expected)
        return is_like and all(same_value(given[key], expected[key]) for key in expected)
    if isinstance(expected, str | None):
        return given == expected
    if isinstance(expected, tuple | list):
        is_like = isinstance(given, tuple | list) and len(given) == len(expected)
        return is_like and all(map(same_value, given, expected))
    ours, theirs = as_numbers(given), as_numbers(expected)
    return ours is not None and theirs is not None and same_numbers(ours, theirs)


def as_numbers(value: Any) -> Array | None:
    """Return tensors, arrays, numbers and nested lists of them as an array; None for anything else."""
    if isinstance(value, Tensor):
        return to_array(value)
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list
        return None
    return array.astype(np.float64) if array.dtype.kind in "bifu" else None
