"""The contract of a softmax: `f(x)` or `f(x, dim=-1)`, over the last axis, in torch or NumPy."""

import inspect
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.faults import Family
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.testing.answer import Answer, quietly, raised
from attention_surgeon.testing.arrays import Library, arrays_in, as_code, to_array, to_library
from attention_surgeon.testing.contract import Conduct, Contract, Subject
from attention_surgeon.testing.make import make_function
from attention_surgeon.testing.softmax_cases import LAYOUTS, SoftmaxCase, small_softmax_cases, softmax_cases
from attention_surgeon.testing.softmax_conduct import softmax_conduct

_LAST = -1
_COUNTED = {1: "one axis", 2: "two axes", 3: "three axes", 4: "four axes"}
_LAYOUTS = {"vectors": (1,), "matrices": (2,), "batches": (3,), "heads": (4,)}


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

    def conduct(self, circuit: Circuit | None) -> list[Conduct]:
        """Look at extremes, the axis argument, the caller's tensor, the gradient and the dtype."""
        return softmax_conduct(self, circuit)

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
    try:
        parameters = list(inspect.signature(described).parameters.values())
    except (TypeError, ValueError):  # built in, as torch.softmax
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
