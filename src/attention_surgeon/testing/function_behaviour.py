"""How a function behaves where its values alone do not tell: at extremes, in its gradient, its dtype and its state."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.testing.answer import arrays_in, quietly, raised, same_answer, to_array, to_library
from attention_surgeon.testing.function_cases import FunctionCase, FunctionSpec
from attention_surgeon.testing.function_subject import AskableFunction
from attention_surgeon.testing.make import make_function
from attention_surgeon.verdict import Behaviour

_GRADIENT_TOLERANCE = 2e-3
"""Of the largest entry of the gradient; float32 errs by about 1e-6 of it."""


def behaviour_of(subject: AskableFunction, circuit: Circuit | None) -> list[Behaviour]:
    """Return what was seen, in the order in which it should be said.

    Args:
        subject: The function.
        circuit: What it computes otherwise, as far as that is known; None: only what needs no such knowledge.
    """
    looks = [_caller, _dtype] if circuit is None else [_extremes, _empty_rows, _caller, _gradient, _dtype]
    return [seen for look in looks for seen in look(subject, circuit)]


def _extremes(subject: AskableFunction, circuit: Circuit) -> Iterator[Behaviour]:
    for names, signs in (
        (("softmax_no_max_subtraction", None), (1, 1, 1, 1, 1)),
        (("global_max_subtracted", "global_max_subtracted"), (1, -1, 1, 1, 1)),
    ):
        case = FunctionCase("extreme scores", _extreme_operands(subject.layout, signs))
        expected, given = subject.answer(circuit, case), subject.ask(case)
        if not expected.is_finite or given.error is not None or same_answer(given, expected):
            continue
        fault = names[1] if given.is_finite else names[0]
        what = "other weights" if given.is_finite else "NaN or infinity"
        rows = "all rows" if min(signs) > 0 else "one row far below the others"
        yield Behaviour(fault, f"scores of ±10⁴ ({rows}) give {what}")
        return


def _extreme_operands(layout: int, signs: tuple[int, ...]) -> Operands:
    """Return operands whose scores are 8000, 16000, ... in rows of the given signs, exact in float32.

    The highest score of every row, whatever its sign, lies where a causal mask lets it be seen: to hide after the
    exponentials is then as good as before.
    """
    batch = (1,) * (layout - 2)
    key = torch.tensor([[5.0, 0.0], [1.0, 0.0], [4.0, 0.0], [3.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    query = torch.tensor([[8192.0 * sign, 1.0] for sign in signs], dtype=torch.float64)
    value = torch.tensor([[1.0], [2.0], [-3.0], [4.0], [7.0]], dtype=torch.float64)
    query, key, value = (x.expand(*batch, *x.shape) for x in (query, key, value))
    return Operands(query, key, value, None, None, torch.float64)


def _empty_rows(subject: AskableFunction, circuit: Circuit) -> Iterator[Behaviour]:
    masked = next((case for case in subject.cases(0) if case.name == "masked"), None)
    if masked is None or subject.contract.allows_nan_rows:
        return
    given = masked.operands
    assert given.allowed is not None
    allowed = given.allowed.clone()
    allowed[..., 1, :] = False
    empty = Operands(given.query, given.key, given.value, allowed, None, given.dtype)
    case = FunctionCase("a query without keys", empty)
    answer = subject.ask(case)
    if answer.error is None and not answer.is_finite and subject.answer(circuit, case).is_finite:
        yield Behaviour("nan_rows", "a query that may attend to no key gets NaN")


def _caller(subject: AskableFunction, circuit: Circuit | None) -> Iterator[Behaviour]:
    for case in subject.cases(0)[:4]:
        tensors = (case.operands.query, case.operands.key, case.operands.value)
        given = [to_library(x, subject.library) for x in tensors]
        mask = subject.mask_for(case.operands)
        kept = [None if x is None else to_array(x).copy() for x in (*given, mask)]
        try:
            with quietly():
                subject.call_with(given, case.operands, case.scale, mask=mask)
        except Exception:  # noqa: BLE001  what it raises is told elsewhere
            continue
        names = ("Q", "K", "V", "mask")
        now = [None if x is None else to_array(x) for x in (*given, mask)]
        changed = [name for name, x, before in zip(names, now, kept, strict=True) if not _same(x, before)]
        if changed:
            yield Behaviour("mutates_inputs", f"after the call the caller's {' and '.join(changed)} held other numbers")
            return


def _gradient(subject: AskableFunction, circuit: Circuit) -> Iterator[Behaviour]:
    if subject.library != "torch":
        return
    case = next((case for case in subject.cases(0) if subject.ask(case).is_finite), None)
    if case is None:
        return
    expected = _gradients_of_circuit(circuit, case)
    try:
        given = _gradients(subject, case)
    except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
        yield Behaviour(None, f"its gradient cannot be computed: {raised(error).error}", is_fault=False)
        return
    wrong = [name for name, ours, theirs in zip("QKV", given, expected, strict=True) if differ(ours, theirs)]
    if wrong:
        gone = [name for name, ours in zip("QKV", given, strict=True) if name in wrong and not ours.any()]
        what = (
            f"no gradient reaches {', '.join(gone)}"
            if gone
            else f"the gradient of {', '.join(wrong)} is not the derivative"
        )
        yield Behaviour("cuts_gradient", what)


def differ(given: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two gradients are further apart than rounding; no verdict where what is expected is not finite."""
    if not np.isfinite(expected).all():
        return False
    return not np.abs(given - expected).max() <= _GRADIENT_TOLERANCE * max(1.0, np.abs(expected).max())


def _gradients(subject: AskableFunction, case: FunctionCase) -> list[np.ndarray]:
    with quietly(), torch.enable_grad():
        tensors = (case.operands.query, case.operands.key, case.operands.value)
        leaves = [to_library(x, "torch").requires_grad_() for x in tensors]
        found = arrays_in(subject.call_with([x * 1 for x in leaves], case.operands, case.scale))
        output = found[1] if subject.contract.returns == "weights_first" and len(found) > 1 else found[0]
        if output.requires_grad:
            (output * _coefficients(tuple(output.shape)).to(output.dtype)).sum().backward()
    return [np.zeros(tuple(x.shape)) if x.grad is None else to_array(x.grad) for x in leaves]


def _gradients_of_circuit(circuit: Circuit, case: FunctionCase) -> list[np.ndarray]:
    given = case.operands
    with torch.enable_grad():
        leaves = [x.clone().requires_grad_() for x in (given.query, given.key, given.value)]
        query, key, value = leaves
        operands = Operands(query, key, value, given.allowed, given.bias, given.dtype)
        output, _ = circuit.run(operands, scale=case.scale)
        if output.requires_grad:
            (output * _coefficients(tuple(output.shape))).sum().backward()
    return [np.zeros(tuple(x.shape)) if x.grad is None else to_array(x.grad) for x in leaves]


def _coefficients(shape: tuple[int, ...]) -> torch.Tensor:
    """Return what the output is multiplied with before it is summed, so that no two entries count alike."""
    return torch.cos(torch.arange(torch.Size(shape).numel(), dtype=torch.float64)).reshape(shape)


def _dtype(subject: AskableFunction, circuit: Circuit | None) -> Iterator[Behaviour]:
    case = subject.cases(0)[0]
    asked = (torch.float32, torch.float64, torch.bfloat16)
    for dtype in asked if subject.library == "torch" else asked[:2]:  # NumPy has no bfloat16
        found = _returned_dtype(subject, case, dtype)
        if found is None or found == dtype:
            continue
        if subject.library == "numpy" and found == torch.float64:
            continue  # NumPy's own rules promote float32 as soon as a float64 scalar takes part
        yield Behaviour("wrong_dtype", f"{_name(dtype)} goes in and {_name(found)} comes out")
        return


def _returned_dtype(subject: AskableFunction, case: FunctionCase, dtype: torch.dtype) -> torch.dtype | None:
    given = case.operands
    tensors: list[Any] = [x.to(dtype, copy=True) for x in (given.query, given.key, given.value)]
    if subject.library == "numpy":
        tensors = [x.numpy() for x in tensors]
    try:
        with quietly():
            found = arrays_in(subject.call_with(tensors, given, case.scale))
    except Exception:  # noqa: BLE001  a dtype that is not supported is no fault
        return None
    return torch.as_tensor(found[0]).dtype if found else None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _same(now: np.ndarray | None, before: np.ndarray | None) -> bool:
    if now is None or before is None:
        return True
    return now.shape == before.shape and bool(np.array_equal(now, before, equal_nan=True))


@final
class FunctionSubject(AskableFunction):
    """A function bound to what is asked of it."""

    def behaviour(self, circuit: Circuit | None) -> list[Behaviour]:
        """Look at extremes, gradients, dtypes and state."""
        return behaviour_of(self, circuit)


@final
@dataclass(frozen=True)
class FunctionContract(FunctionSpec):
    """Attention as a function, in torch or NumPy; the options are those of `FunctionSpec`."""

    def bind(self, target: Any) -> "FunctionSubject":
        """Find the library, the layout and the kind of mask that the function takes.

        Raises:
            UnjudgedError: it answers no call, with the error of the most usual one.
        """
        return FunctionSubject(self, make_function(target))
