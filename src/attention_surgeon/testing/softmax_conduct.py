"""How a softmax behaves where its values alone do not tell."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.ops import Circuit
from attention_surgeon.testing.answer import quietly, raised, same_answer
from attention_surgeon.testing.arrays import arrays_in, to_array, to_library
from attention_surgeon.testing.contract import Conduct
from attention_surgeon.testing.softmax_cases import SoftmaxCase, extreme_case, hidden_case

if TYPE_CHECKING:
    from attention_surgeon.testing.softmax_contract import SoftmaxSubject

_GRADIENT_TOLERANCE = 1e-4
"""Of an entry of the gradient, which is at most 1; float32 errs by about 1e-6."""


def softmax_conduct(subject: "SoftmaxSubject", circuit: Circuit | None) -> list[Conduct]:
    """Return what was seen; with None for a circuit only what needs no knowledge of what is computed."""
    looks = [_caller, _dtype] if circuit is None else [_extremes, _axis, _hidden, _caller, _gradient, _dtype]
    return [seen for look in looks for seen in look(subject, circuit)]


def _extremes(subject: "SoftmaxSubject", circuit: Circuit) -> Iterator[Conduct]:
    for fault, signs, rows in (
        ("softmax_no_max_subtraction", (1, 1, 1), "all rows"),
        ("global_max_subtracted", (1, -1, 1), "one row far below the others"),
    ):
        case = extreme_case(subject.layout, signs)
        expected, given = subject.answer(circuit, case), subject.ask(case)
        if not expected.is_finite or given.error is not None or same_answer(given, expected):
            continue
        what = "other weights" if given.is_finite else "NaN or infinity"
        yield Conduct(fault, f"scores of ±10⁴ ({rows}) give {what}")
        return


def _axis(subject: "SoftmaxSubject", circuit: Circuit) -> Iterator[Conduct]:
    """Ask for another axis, of a function that lets one choose and is right about the last."""
    if circuit is not subject.base or not subject.takes_axis or subject.layout == 1:
        return
    case = SoftmaxCase("another axis", subject.cases(0)[0].scores, dim=-2)
    given = subject.ask(case)
    if given.error is None and not same_answer(given, subject.answer(circuit, case)):
        yield Conduct(None, "asked for the axis -2 it normalises another")


def _hidden(subject: "SoftmaxSubject", circuit: Circuit) -> Iterator[Conduct]:
    if circuit is not subject.base:
        return
    case = hidden_case(subject.cases(0)[0])
    given, expected = subject.ask(case), subject.answer(circuit, case)
    if given.error is None and expected.is_finite and not given.is_finite:
        yield Conduct(None, "a score of -inf makes its row NaN; hide with a low finite number", is_fault=False)


def _caller(subject: "SoftmaxSubject", circuit: Circuit | None) -> Iterator[Conduct]:
    for case in subject.cases(0):
        given = to_library(case.scores, subject.library)
        kept = to_array(given).copy()
        try:
            with quietly():
                subject.call_with(given)
        except Exception:  # noqa: BLE001  what it raises is told elsewhere
            continue
        if not np.array_equal(to_array(given), kept):
            yield Conduct("mutates_inputs", "after the call the caller's x held other numbers")
            return


def _gradient(subject: "SoftmaxSubject", circuit: Circuit) -> Iterator[Conduct]:
    case = next((case for case in subject.cases(0) if subject.ask(case).error is None), None)
    if case is None or subject.library != "torch":
        return
    expected = _pulled_back(case.scores.clone(), lambda x: subject.compute(circuit, x, case.dim))
    try:
        given = _pulled_back(case.scores.float(), lambda x: subject.found_in(subject.call_with(x)))
    except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
        yield Conduct(None, f"its gradient cannot be computed: {raised(error).error}", is_fault=False)
        return
    if np.abs(given - expected).max() > _GRADIENT_TOLERANCE * max(1.0, np.abs(expected).max()):
        what = "the gradient is not the derivative" if given.any() else "no gradient reaches x"
        yield Conduct("cuts_gradient", what)


def _pulled_back(leaf: Tensor, function: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Return the gradient of a sum in which no two entries of the result count alike."""
    with quietly(), torch.enable_grad():
        result = function(leaf.requires_grad_() * 1)
        if result.requires_grad:
            counted = torch.cos(torch.arange(result.numel(), dtype=torch.float64)).reshape(result.shape)
            (result * counted.to(result.dtype)).sum().backward()
    return np.zeros(tuple(leaf.shape)) if leaf.grad is None else to_array(leaf.grad)


def _dtype(subject: "SoftmaxSubject", circuit: Circuit | None) -> Iterator[Conduct]:
    asked = (torch.float32, torch.float64, torch.bfloat16)
    for dtype in asked if subject.library == "torch" else asked[:2]:  # NumPy has no bfloat16
        x = subject.cases(0)[0].scores.to(dtype).clone()
        try:
            with quietly():
                found = arrays_in(subject.call_with(x if subject.library == "torch" else x.numpy()))
        except Exception:  # noqa: BLE001  a dtype that is not supported is no fault
            continue
        returned = torch.as_tensor(found[0]).dtype if found else dtype
        if returned != dtype:
            # NumPy promotes on its own where an array of float64, its usual dtype, takes part.
            is_fault = subject.library == "torch" or returned != torch.float64
            yield Conduct("wrong_dtype", f"{_name(dtype)} goes in and {_name(returned)} comes out", is_fault)
            return


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
