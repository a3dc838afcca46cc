"""The contract of a softmax: `f(x)` or `f(x, dim=-1)`, over the last axis, in torch or NumPy."""

import dataclasses
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.faults import Family
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.signatures import parameters_of
from attention_surgeon.testing.answer import (
    Answer,
    Library,
    arrays_in,
    as_code,
    quietly,
    raised,
    same_answer,
    to_array,
    to_library,
)
from attention_surgeon.testing.contract import Case, Contract, Subject
from attention_surgeon.testing.draw import SIZES, generator, numbers
from attention_surgeon.testing.make import make_function
from attention_surgeon.verdict import Behaviour

_LAST = -1

_COUNTED = {1: "one axis", 2: "two axes", 3: "three axes", 4: "four axes"}

_LAYOUTS = {"vectors": (1,), "matrices": (2,), "batches": (3,), "heads": (4,)}


_GRADIENT_TOLERANCE = 1e-4
"""Of an entry of the gradient, which is at most 1; float32 errs by about 1e-6."""

LAYOUTS = (3, 2, 4, 1)
"""Numbers of axes of the scores, in the order in which they are tried. A vector comes last: there every axis is the
last one, so that it tells least."""

_SEED = 5000


@dataclass(frozen=True)
class SoftmaxContract(Contract):
    """Softmax over the last axis, safe for any finite score.

    Attributes:
        takes: Number of axes of what it is given: `matrices` has two. With `anything` it is found by trying.
    """

    takes: Literal["anything", "vectors", "matrices", "batches", "heads"] = "anything"

    name: ClassVar[str] = "softmax"
    value_names: ClassVar[tuple[str, ...]] = ("softmax",)

    def bind(self, target: Any) -> "SoftmaxSubject":
        """Find the library, the number of axes and the axis argument that the function takes.

        Raises:
            UnjudgedError: it answers no call, with the error of the most usual one.
        """
        return SoftmaxSubject(self, make_function(target)(_LAST))  # a class is made for the axis, as nn.Softmax(dim=-1)


@dataclass(frozen=True, eq=False)
class SoftmaxCase(Case):
    """One call of a softmax.

    Attributes:
        name: `plain`.
        scores: In float64, exact in float32.
        dim: The axis that is asked for.
    """

    name: str
    scores: Tensor
    dim: int = -1

    @property
    def sentence(self) -> str:
        """`plain: x (2, 5, 7)`."""
        return f"{self.name}: x {tuple(self.scores.shape)}{'' if self.dim == -1 else f', dim={self.dim}'}"

    def with_other_numbers(self) -> "SoftmaxCase":
        """The same sizes, every row turned by one."""
        return dataclasses.replace(self, scores=self.scores.roll(1, -1))


class SoftmaxSubject(Subject):
    """A softmax that can be asked."""

    def __init__(self, contract: SoftmaxContract, function: Callable[..., Any]) -> None:
        """Bind."""
        self.contract = contract
        self.base = Circuit()
        self.families: frozenset[Family] = frozenset({"softmax"})
        self.remarks: list[str] = []
        self._function = function
        self._axis = _axis_argument(function)
        self.library: Library = "torch"
        self.layout = self._find_layout()

    @property
    def key(self) -> Hashable:
        """The contract and the number of axes."""
        return self.contract, self.layout

    @property
    def takes_axis(self) -> bool:
        """Whether one can choose the axis."""
        return self._axis is not None

    def cases(self, probe: int) -> tuple[SoftmaxCase, ...]:
        """Return the calls of one probe."""
        return softmax_cases(self.layout, probe)

    def small_cases(self) -> Iterator[SoftmaxCase]:
        """Yield calls with few numbers."""
        return small_softmax_cases(self.layout)

    def ask(self, case: SoftmaxCase) -> Answer:
        """Call the function; what it raises becomes its answer."""
        try:
            with quietly():
                found = self.found_in(self.call_with(to_library(case.scores, self.library), case.dim))
        except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
            return raised(error)
        return Answer((to_array(found),), dtype=str(found.dtype).removeprefix("torch."))

    def as_code(self, case: SoftmaxCase) -> str:
        """Return the assignment of x."""
        return as_code("x", to_library(case.scores, self.library))

    def raw(self, case: SoftmaxCase) -> list[Any]:
        """Return the very tensor or array that was returned."""
        with quietly():
            return [self.found_in(self.call_with(to_library(case.scores, self.library), case.dim))]

    def call_with(self, x: Any, dim: int = _LAST) -> Any:
        """Call the function with x as it is, and return what it returns."""
        if self._axis is None:
            return self._function(x)
        return self._function(x, **{self._axis: dim}) if self._axis else self._function(x, dim)

    def found_in(self, returned: Any) -> Any:
        """Return the tensor or array in what was returned; numbers in lists count as an array.

        Raises:
            TypeError: there is none.
        """
        found = arrays_in(returned)
        if found:
            return found[0]
        if isinstance(returned, list | tuple):
            return np.asarray(returned, dtype=np.float64)
        raise TypeError(f"it returned {type(returned).__name__}, expected a tensor or an array")

    def answer(self, circuit: Circuit, case: SoftmaxCase) -> Answer:
        """Run the normalise step of a circuit on the same scores."""
        try:
            return Answer((to_array(self.compute(circuit, case.scores, case.dim)),), dtype="float64")
        except (SurgeonError, RuntimeError, IndexError) as error:  # a faulty circuit may not fit these shapes
            return raised(error)

    def compute(self, circuit: Circuit, scores: Tensor, dim: int = _LAST) -> Tensor:
        """Return what a circuit makes of the scores, along `dim`."""
        turned = scores.transpose(dim, _LAST)
        return circuit.mechanism.normalise(turned, _operands(turned)).transpose(dim, _LAST)

    def steps(self, circuit: Circuit, case: SoftmaxCase) -> None:
        """Return None: a softmax is one step."""
        return None

    def behaviour(self, circuit: Circuit | None) -> list[Behaviour]:
        """Look at extremes, the axis argument, the caller's tensor, the gradient and the dtype."""
        return softmax_behaviour(self, circuit)

    def _find_layout(self) -> int:
        """Find library and number of axes by trying, those that run on different sizes before those that do not.

        Torch is tried with a tensor that needs a gradient, which NumPy code refuses.
        """
        errors: list[str] = []
        layouts = _LAYOUTS.get(self.contract.takes, LAYOUTS)
        for square, layout, library in product((0, 1), layouts, ("torch", "numpy")):
            if layouts is LAYOUTS and layout == 1 and not square:
                continue  # what can only do vectors is known by its failing at matrices, square ones as well
            x = to_library(softmax_cases(layout, 0)[square].scores, library)
            try:
                with quietly(), torch.enable_grad():
                    found = self.found_in(self.call_with(x.requires_grad_() * 1 if library == "torch" else x))
                    _require_own_kind(found, library)
            except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
                errors.append(str(raised(error).error))
                continue
            self.library = library
            return layout
        raise UnjudgedError(f"it answers no call; with x of {_COUNTED[layouts[0]]} it raises {errors[0]}")


def _require_own_kind(found: Any, library: Library) -> None:
    if isinstance(found, Tensor) is (library == "numpy"):
        raise TypeError(f"it returned {type(found).__name__} for {'an array' if library == 'numpy' else 'a tensor'}")


def _operands(scores: Tensor) -> Operands:
    """Return the attention call to which these scores could belong."""
    *batch, n_q, n_k = scores.shape if scores.ndim > 1 else (1, *scores.shape)
    query, key = scores.new_zeros(*batch, n_q, 1), scores.new_zeros(*batch, n_k, 1)
    return Operands(query, key, key, None, None, scores.dtype)


def _axis_argument(function: Callable[..., Any]) -> str | None:
    """Return the name of the argument that chooses the axis; "" if it goes second without a name, None without one.

    Raises:
        UnjudgedError: it takes no x, or needs more than x and an axis.
    """
    described = function.forward if isinstance(function, torch.nn.Module) else function
    parameters = parameters_of(described)
    if parameters is None:
        return ""
    rest = [p for p in parameters[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    axis = next((p for p in rest if p.name.lower() in ("dim", "axis")), None)
    unknown = [p.name for p in rest if p.default is p.empty and p is not axis]
    if not parameters:
        raise UnjudgedError("it takes no argument, expected one: x, the scores.")
    if unknown:
        raise UnjudgedError(f"it needs the argument {unknown[0]!r}, whose meaning the contract does not know.")
    if axis is None:
        return None
    return "" if axis.kind is axis.POSITIONAL_ONLY else axis.name


def softmax_behaviour(subject: SoftmaxSubject, circuit: Circuit | None) -> list[Behaviour]:
    """Return what was seen; with None for a circuit only what needs no knowledge of what is computed."""
    looks = [_columns, _caller, _dtype] if circuit is None else [_extremes, _axis, _hidden, _caller, _gradient, _dtype]
    return [seen for look in looks for seen in look(subject, circuit)]


def _columns(subject: SoftmaxSubject, circuit: Circuit | None) -> Iterator[Behaviour]:
    """Look for columns that sum to 1 in the place of rows, whatever was subtracted before."""
    found = [subject.ask(case) for case in subject.cases(0)] if subject.layout > 1 else []
    values = [answer.values[0] for answer in found if answer.values and answer.values[0] is not None]
    if values and all(_sum_to_one(each, -2) and not _sum_to_one(each, -1) for each in values):
        yield Behaviour("softmax_over_queries", "every column sums to 1")


def _sum_to_one(values: np.ndarray, axis: int) -> bool:
    return bool(values.ndim > 1 and np.allclose(values.sum(axis), 1.0, atol=1e-4))


def _extremes(subject: SoftmaxSubject, circuit: Circuit) -> Iterator[Behaviour]:
    for fault, signs, rows in (
        ("softmax_no_max_subtraction", (1, 1, 1), "all rows"),
        ("global_max_subtracted", (1, -1, 1), "one row far below the others"),
    ):
        case = extreme_case(subject.layout, signs)
        expected, given = subject.answer(circuit, case), subject.ask(case)
        if not expected.is_finite or given.error is not None or same_answer(given, expected):
            continue
        what = "other weights" if given.is_finite else "NaN or infinity"
        yield Behaviour(fault, f"scores of ±10⁴ ({rows}) give {what}")
        return


def _axis(subject: SoftmaxSubject, circuit: Circuit) -> Iterator[Behaviour]:
    """Ask for another axis, of a function that lets one choose and is right about the last."""
    if circuit is not subject.base or not subject.takes_axis or subject.layout == 1:
        return
    case = SoftmaxCase("another axis", subject.cases(0)[0].scores, dim=-2)
    given = subject.ask(case)
    if given.error is None and not same_answer(given, subject.answer(circuit, case)):
        yield Behaviour("softmax_axis_ignored", "asked for the axis -2 it normalises another")


def _hidden(subject: SoftmaxSubject, circuit: Circuit) -> Iterator[Behaviour]:
    if circuit is not subject.base:
        return
    case = hidden_case(subject.cases(0)[0])
    given, expected = subject.ask(case), subject.answer(circuit, case)
    if given.error is None and expected.is_finite and not given.is_finite:
        yield Behaviour(None, "a score of -inf makes its row NaN; hide with a low finite number", is_fault=False)


def _caller(subject: SoftmaxSubject, circuit: Circuit | None) -> Iterator[Behaviour]:
    for case in subject.cases(0):
        given = to_library(case.scores, subject.library)
        kept = to_array(given).copy()
        try:
            with quietly():
                subject.call_with(given)
        except Exception:  # noqa: BLE001  what it raises is told elsewhere
            continue
        if not np.array_equal(to_array(given), kept):
            yield Behaviour("mutates_inputs", "after the call the caller's x held other numbers")
            return


def _gradient(subject: SoftmaxSubject, circuit: Circuit) -> Iterator[Behaviour]:
    case = next((case for case in subject.cases(0) if subject.ask(case).error is None), None)
    if case is None or subject.library != "torch":
        return
    expected = _pulled_back(case.scores.clone(), lambda x: subject.compute(circuit, x, case.dim))
    try:
        given = _pulled_back(case.scores.float(), lambda x: subject.found_in(subject.call_with(x)))
    except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
        yield Behaviour(None, f"its gradient cannot be computed: {raised(error).error}", is_fault=False)
        return
    if np.abs(given - expected).max() > _GRADIENT_TOLERANCE * max(1.0, np.abs(expected).max()):
        what = "the gradient is not the derivative" if given.any() else "no gradient reaches x"
        yield Behaviour("cuts_gradient", what)


def _pulled_back(leaf: Tensor, function: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Return the gradient of a sum in which no two entries of the result count alike."""
    with quietly(), torch.enable_grad():
        result = function(leaf.requires_grad_() * 1)
        if result.requires_grad:
            counted = torch.cos(torch.arange(result.numel(), dtype=torch.float64)).reshape(result.shape)
            (result * counted.to(result.dtype)).sum().backward()
    return np.zeros(tuple(leaf.shape)) if leaf.grad is None else to_array(leaf.grad)


def _dtype(subject: SoftmaxSubject, circuit: Circuit | None) -> Iterator[Behaviour]:
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
            yield Behaviour("wrong_dtype", f"{_name(dtype)} goes in and {_name(returned)} comes out", is_fault)
            return


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@lru_cache(maxsize=16)
def softmax_cases(layout: int, probe: int) -> tuple[SoftmaxCase, ...]:
    """Return the calls of one probe: sizes that differ, sizes that are equal, and scores far from zero.

    No two of them have the same shape, so that an answer remembered by shape does not spoil the next.
    """
    sizes, source = SIZES[probe % len(SIZES)], generator(_SEED + probe)
    batch = {1: (), 2: (), 3: (sizes.batch,), 4: (sizes.batch, sizes.heads)}[layout]
    rows, square = ((), ()) if layout == 1 else ((sizes.n_q,), (sizes.n_k,))
    return (
        SoftmaxCase("plain", numbers(source, *batch, *rows, sizes.n_k)),
        SoftmaxCase("square", numbers(source, *batch, *square, sizes.n_k)),
        SoftmaxCase("far below zero", numbers(source, *batch, *rows, sizes.n_q) - 16),
    )


def small_softmax_cases(layout: int) -> Iterator[SoftmaxCase]:
    """Yield calls with whole numbers, the fewest first; then scores too large for exp, and rows too far apart."""
    source = generator(_SEED + 7)
    for shape in ((1, 2), (2, 2), (2, 3), (3, 3)):
        for _ in range(3):
            yield _small(torch.randint(-2, 3, shape, generator=source).double(), layout)
    yield _small(torch.tensor([[1000.0, 1001.0]], dtype=torch.float64), layout)
    yield _small(torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0]], dtype=torch.float64), layout)


def _small(matrix: Tensor, layout: int) -> SoftmaxCase:
    return SoftmaxCase("small", matrix[0] if layout == 1 else matrix.expand(*(1,) * (layout - 2), *matrix.shape))


def extreme_case(layout: int, signs: tuple[int, ...]) -> SoftmaxCase:
    """Return rows of ±8192, ±16384, ...: their exponentials are infinite, or all zero."""
    row = torch.tensor([1.0, 2.0, 4.0, 3.0, 5.0], dtype=torch.float64) * 8192
    if layout == 1:
        return SoftmaxCase("extreme scores", row * signs[0])
    rows = torch.tensor(signs, dtype=torch.float64)[:, None] * row
    return SoftmaxCase("extreme scores", rows.expand(*(1,) * (layout - 2), *rows.shape))


def hidden_case(case: SoftmaxCase) -> SoftmaxCase:
    """Return the same with one score of every row at -inf, as a mask leaves it."""
    scores = case.scores.clone()
    scores[..., 0] = float("-inf")
    return SoftmaxCase("a hidden key", scores)
