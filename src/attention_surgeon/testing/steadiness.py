"""Whether asking twice gives the same answer: what must be known before anything else can be said."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from attention_surgeon.testing.answer import Answer, Array, same_answer, same_numbers, to_array
from attention_surgeon.testing.contract import Subject
from attention_surgeon.threads import one_thread
from attention_surgeon.verdict import Behaviour

LARGE = 1e3
"""What stands for infinity where nothing is far away and a small number was divided by."""

_Ratio: TypeAlias = Callable[[Array, npt.NDArray[np.bool_]], float]


def steadiness_of(subject: Subject) -> list[Behaviour]:
    """Return the faults that show when the same call is made again: chance, or memory of the calls before."""
    cases = [case for case in subject.cases(0) if subject.ask(case).error is None]
    if not cases:
        return []
    with random_state_kept():
        first, again = subject.ask(cases[0]), subject.ask(cases[0])
        if not same_answer(first, again):
            return [_chance_or_memory(subject, cases[0])]
        other = cases[0].with_other_numbers()
        if other is not None and _is_the_same(first, subject.ask(other)):
            return [Behaviour("shares_state", "other numbers of the same shapes get the answer of the call before")]
        if not same_answer(first, subject.ask(cases[0])):
            return [Behaviour("shares_state", "the same call gives another answer after a call with other tensors")]
        if other is not None and _is_overwritten(subject, cases[0], other):
            return [Behaviour("shares_state", "what one call returned is overwritten by the next: both share a buffer")]
        if _mask_is_remembered(subject, cases):
            return [Behaviour("shares_state", "a mask is remembered: with another mask the answer stays the same")]
    return []


def _is_the_same(first: Answer, other: Answer) -> bool:
    """Whether two calls with other numbers gave one answer, and not just zeros."""
    value = first.values[0]
    return value is not None and bool(np.ptp(value) > 0) and same_answer(first, other)


def _is_overwritten(subject: Subject, case: Any, other: Any) -> bool:
    returned = subject.raw(case)
    kept = [to_array(x).copy() for x in returned]
    subject.raw(other)
    return any(
        not np.array_equal(to_array(x), before, equal_nan=True) for x, before in zip(returned, kept, strict=True)
    )


def _mask_is_remembered(subject: Subject, cases: Sequence[Any]) -> bool:
    """Whether a mask matters, and yet another mask in its place changes nothing."""
    for case in cases:
        again, without = subject.with_mask_of(case, "another"), subject.with_mask_of(case, "none")
        if again is None or without is None:
            continue
        answer = subject.ask(case)
        unmasked = subject.ask(without)
        if not all(value is None or np.isfinite(value).all() for value in answer.values):
            continue
        if unmasked.error is None and not same_answer(unmasked, answer) and same_answer(subject.ask(again), answer):
            return True
    return False


def _chance_or_memory(subject: Subject, case: object) -> Behaviour:
    answers = []
    if _makes_parameters(subject, case):
        return Behaviour(None, "each call makes a layer with new random numbers; make it once, in `__init__`")
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002  the target may draw from the old global source
        answers.append(subject.ask(case))
    if same_answer(*answers):
        return Behaviour(
            "dropout_in_eval", "the same call gives another answer each time, and the same with the same seed"
        )
    return Behaviour("shares_state", "the same call gives another answer the second time, whatever the seed")


def _makes_parameters(subject: Subject, case: object) -> bool:
    """Whether a call makes parameters: they are random, and no optimizer knows them."""
    made: list[str] = []
    heard = register_module_parameter_registration_hook(lambda module, name, parameter: made.append(name))
    try:
        subject.ask(case)
    finally:
        heard.remove()
    return bool(made)


def _to_the_rest(weights: Array, near: npt.NDArray[np.bool_]) -> float:
    return _divide(weights[..., near].sum(), weights[..., ~near].sum())


def _to_all(weights: Array, near: npt.NDArray[np.bool_]) -> float:
    return float(weights[..., near].sum() / weights.sum())


def _by_row(weights: Array, near: npt.NDArray[np.bool_]) -> float:
    local = np.where(near, weights, 0.0).sum(-1)
    far = np.where(near, 0.0, weights).sum(-1)
    return float(np.mean([_divide(*pair) for pair in zip(local.ravel(), far.ravel(), strict=True)]))


def _by_pair(weights: Array, near: npt.NDArray[np.bool_]) -> float:
    return _divide(weights[..., near].mean(), weights[..., ~near].mean()) if (~near).any() else float("inf")


_RATIOS: Mapping[str, _Ratio] = {
    "the weight on keys up to {} away, to the weight on the others": _to_the_rest,
    "the weight on keys up to {} away, to all weight": _to_all,
    "the weight on keys up to {} away, to the weight on the others, averaged over rows": _by_row,
    "the mean weight of keys up to {} away, to that of the others": _by_pair,
}


@dataclass(frozen=True)
class Locality:
    """One meaning.

    Attributes:
        ratio: In words, with a place for the window.
        windows: How far local reaches, for every matrix that it was read from.
    """

    ratio: str
    windows: tuple[frozenset[int], ...]

    @property
    def sentence(self) -> str:
        """`local_vs_global is the weight on keys up to 2 away, to the weight on the others`."""
        common = frozenset.intersection(*self.windows)
        window = str(min(common)) if common else "/".join(str(min(found)) for found in self.windows)
        return f"local_vs_global is {self.ratio.format(window)}"


def find_locality(weights: Sequence[Array], numbers: Sequence[Array | None]) -> Locality | None:
    """Return what was measured, the simplest meaning first; None if it is no such ratio.

    Args:
        weights: Several matrices `(*batch, n, n)`.
        numbers: The ratio that was given for each.
    """
    if any(number is None for number in numbers):
        return None
    pairs = [(matrix, number) for matrix, number in zip(weights, numbers, strict=True) if number is not None]
    meanings = (Locality(ratio, tuple(windows_of(ratio, *pair) for pair in pairs)) for ratio in _RATIOS)
    return next((locality for locality in meanings if all(locality.windows)), None)


def windows_of(ratio: str, weights: Array, number: Array) -> frozenset[int]:
    """Return the windows with which the ratio is that number."""
    if number.ndim:
        return frozenset()
    position = np.arange(weights.shape[-1])
    distance = np.abs(position[:, None] - position)
    return frozenset(window for window in range(len(position)) if _is_ratio(ratio, weights, distance <= window, number))


def _is_ratio(ratio: str, weights: Array, near: npt.NDArray[np.bool_], number: Array) -> bool:
    expected = _RATIOS[ratio](weights, near)
    return bool(abs(number) >= LARGE) if np.isinf(expected) else same_numbers(number, np.array(expected))


def _divide(local: float, far: float) -> float:
    return float(local / far) if far > 1e-7 * local else float("inf")


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Leave torch's and NumPy's global sources of random numbers as they were."""
    numpy_state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002


@contextmanager
def surroundings_kept() -> Iterator[None]:
    """Judge with one thread, and leave everything as it was: the target may draw, and the judge sets seeds."""
    with random_state_kept(), one_thread():
        yield
