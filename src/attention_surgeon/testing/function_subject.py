"""An attention function that can be asked: which library it is written for, how it is called, what it answers."""

import contextlib
import dataclasses
from collections.abc import Callable, Hashable
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.faults import Family, Fault
from attention_surgeon.ops import Circuit, Operands, Steps
from attention_surgeon.testing.answer import (
    Answer,
    Array,
    Library,
    arrays_in,
    as_code,
    quietly,
    raised,
    solve_weights,
    to_array,
    to_library,
)
from attention_surgeon.testing.contract import Subject
from attention_surgeon.testing.function_cases import (
    Asked,
    FunctionCase,
    FunctionSpec,
    fill_with_a_low_number,
    function_cases,
    said_of_mask,
    small_function_cases,
)
from attention_surgeon.testing.words import read_signature

Representation: TypeAlias = Literal["boolean", "integer", "float"]
REPRESENTATIONS: tuple[Representation, ...] = get_args(Representation)
"""Of a yes/no mask: the first that a function answers to is used."""

WITH_HEADS = 4
"""Axes of Q where there is one for the heads."""

SMALLEST_KEY_SIZE = 2
"""For which a class is built to read its signature."""


class AskableFunction(Subject[FunctionSpec]):
    """An attention function that can be asked; a subject, but for its behaviour."""

    def __init__(
        self,
        contract: FunctionSpec,
        make: Callable[[int], Callable[..., Any]],
        *,
        layouts: tuple[int, ...] = (3, 2, 4),
    ) -> None:
        """Bind; `make` returns the function for a key size, for those that are built with one."""
        self.contract = contract
        self.base = contract.circuit()
        self.families: frozenset[Family] = frozenset({"causal" if contract.hides_future else "attention"})
        self.remarks: list[str] = []
        self._make = make
        self._signature = read_signature(make(SMALLEST_KEY_SIZE))
        self.library: Library = "torch"
        self._representation: Representation = "boolean"
        self._asked = self._find_layout(layouts)

    @property
    def key(self) -> Hashable:
        """The contract and the cases."""
        return self.contract, self._asked

    @property
    def layout(self) -> int:
        """Number of axes of the tensors it is called with."""
        return self._asked.layout

    def faults(self, offered: tuple[Fault, ...]) -> tuple[Fault, ...]:
        """Leave out what needs a switch where there is none, and what only a wrong contract can have."""
        left_out = set() if self._asked.switch else {"scale_flag_ignored", "scale_flag_inverted"}
        left_out |= {"scale_not_asked"} if self.contract.scaled else {"scale_missing"}
        left_out |= {f"causal_aligned_at_{self.contract.align}"}
        if self.layout < WITH_HEADS:
            left_out |= {"scale_by_model_width", "scale_by_num_heads"}  # without heads d_k is the whole width
        return tuple(fault for fault in offered if fault.name not in left_out)

    def cases(self, probe: int) -> tuple[FunctionCase, ...]:
        """Return the calls of one probe."""
        return function_cases(self._asked, probe)

    def small_cases(self) -> tuple[FunctionCase, ...]:
        """Return calls with few tokens."""
        return small_function_cases(self._asked)

    def ask(self, case: FunctionCase) -> Answer:
        """Call the function; what it raises becomes its answer."""
        try:
            with quietly():
                returned = self.call(case.operands, case.scale)
        except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
            return raised(error)
        return self.read(returned, case.operands)

    def as_code(self, case: FunctionCase) -> str:
        """Return assignments of Q, K, V, the mask as this function reads masks, and the switch."""
        given = case.operands
        operands = {"Q": given.query, "K": given.key, "V": given.value}
        lines = [as_code(name, to_library(x, self.library)) for name, x in operands.items()]
        mask = self.mask_for(given)
        if mask is not None:
            lines.append(f"{as_code('mask', mask)}  # {said_of_mask(mask, self.contract.mask)}")
        return "\n".join([*lines, *([] if case.scale else [f"{self._signature.scale} = False"])])

    def raw(self, case: FunctionCase) -> list[Any]:
        """Call the function and return the very tensors or arrays that it returned."""
        with quietly():
            return arrays_in(self.call(case.operands, case.scale))

    def with_mask_of(self, case: FunctionCase, mask: Literal["another", "none"]) -> FunctionCase | None:
        """Return the same call with its mask turned around, or without."""
        allowed = case.operands.allowed
        if allowed is None:
            return None
        other = None if mask == "none" else allowed.flip(-1)
        return dataclasses.replace(case, operands=dataclasses.replace(case.operands, allowed=other))

    def variants(self) -> tuple[Circuit, ...]:
        """Zeros for a query without keys, or the mean of the values, which a finite fill gives."""
        return self.base, self.base.replace(mask=fill_with_a_low_number)

    def call(self, operands: Operands, scale: bool = True, *, dtype: torch.dtype | None = None) -> Any:
        """Call the function with fresh copies in its own library, and return what it returns."""
        tensors = (operands.query, operands.key, operands.value)
        return self.call_with([to_library(x, self.library, dtype) for x in tensors], operands, scale)

    def call_with(self, operands: list[Any], mask_of: Operands, scale: bool = True, *, mask: Any = None) -> Any:
        """Call the function with these operands as they are, and a fresh mask unless one is given."""
        positional, named = list(operands), {}
        mask = self.mask_for(mask_of) if mask is None else mask
        if self._signature.mask is not None and (mask is not None or self._signature.needs_mask):
            if self._signature.by_position:
                positional.append(mask)
            else:
                named[self._signature.mask] = mask
        if self._signature.scale is not None and not scale:
            named[self._signature.scale] = False
        return self._make(mask_of.key_size)(*positional, **named)

    def mask_for(self, operands: Operands) -> Any:
        """Return the mask of a case as the function takes it."""
        allowed = operands.allowed
        if allowed is None and operands.bias is None:
            return None
        if allowed is None or self.contract.mask == "additive":
            return to_library(_added(allowed, operands.bias), self.library)
        meant = allowed if self.contract.mask == "keep" else ~allowed
        kinds = {"boolean": torch.bool, "integer": torch.int64, "float": torch.float64}
        return to_library(meant.to(kinds[self._representation]), self.library)

    def read(self, returned: Any, operands: Operands) -> Answer:
        """Find the output and the weights in what was returned."""
        found = arrays_in(returned)
        if not found:
            return Answer(error=f"it returned {type(returned).__name__}, expected a tensor or (output, weights)")
        if self.contract.returns == "weights_first" and len(found) > 1:
            found[:2] = found[1::-1]
        weights_shape = (*operands.query.shape[:-1], operands.key.shape[-2])
        second = next((x for x in found[1:] if tuple(x.shape) == weights_shape), found[1] if len(found) == 2 else None)
        values = (to_array(found[0]), None if second is None else to_array(second))
        return Answer(values, dtype=str(found[0].dtype).removeprefix("torch."))

    def answer(self, circuit: Circuit, case: FunctionCase) -> Answer:
        """Run a circuit on the same numbers."""
        try:
            first, second = circuit.run(case.operands, scale=case.scale)
        except (SurgeonError, RuntimeError, IndexError) as error:  # a faulty circuit may not fit these shapes
            return raised(error)
        return Answer((to_array(first), to_array(second)), dtype="float64")

    def steps(self, circuit: Circuit, case: FunctionCase) -> Steps | None:
        """Return what a circuit computes on the way."""
        with contextlib.suppress(SurgeonError, RuntimeError, IndexError):
            return circuit.steps(case.operands, scale=case.scale)
        return None

    def allowed(self, case: FunctionCase) -> npt.NDArray[np.bool_] | None:
        """Return the mask of the call and the function's own, together."""
        given = case.operands
        allowed, pattern = given.allowed, self.base.pattern(given.query.shape[-2], given.key.shape[-2])
        if pattern is not None:
            allowed = pattern if allowed is None else allowed & pattern
        if allowed is None:
            return None
        return allowed.expand(*given.query.shape[:-1], given.key.shape[-2]).numpy()

    def asks_for_scale(self, case: FunctionCase) -> bool:
        """Whether the switch is on."""
        return case.scale

    def weights_of(self, answer: Answer, case: FunctionCase) -> Array | None:
        """Return the weights that made the output: `output = weights V`, solved where V has a row for every key."""
        output, value = answer.values[0] if answer.values else None, case.operands.value
        if output is None or output.shape != (*case.operands.query.shape[:-1], value.shape[-1]):
            return None
        return solve_weights(output, value.numpy())

    def _find_layout(self, layouts: tuple[int, ...]) -> Asked:
        """Find library and number of axes by trying, those that run on different sizes before those that do not."""
        errors: list[str] = []
        takes_mask = self._signature.mask is not None
        libraries: tuple[Library, ...] = ("torch", "numpy")
        choices: list[tuple[int, Library]] = [(layout, library) for layout in layouts for library in libraries]
        for names in (("plain", "masked"), ("plain",), ("all sizes equal",)):
            for layout, library in choices:
                self.library = library
                asked = Asked(
                    layout=layout,
                    mask=takes_mask,
                    bias=takes_mask and self.contract.mask == "additive",
                    switch=self._signature.scale is not None,
                    is_causal=self.contract.hides_future,
                )
                cases = [case for case in function_cases(asked, 0) if case.name in names]
                answers = [self._try(case) for case in cases]
                if all(answer.error is None for answer in answers):
                    return asked
                errors.append(next(answer.error for answer in answers if answer.error is not None))
        raised = errors[0] if errors[0].startswith("it returned") else f"it raises {errors[0]}"
        raise UnjudgedError(f"it answers no call; with Q, K, V of three axes {raised}")

    def _try(self, case: FunctionCase) -> Answer:
        """Ask with every representation of a yes/no mask, until one is answered."""
        if case.operands.allowed is None or self.contract.mask == "additive":
            return self._try_once(case)
        answers: list[Answer] = []
        for self._representation in REPRESENTATIONS:
            answers.append(self._try_once(case))
            if answers[-1].error is None:
                break
        return answers[-1]

    def _try_once(self, case: FunctionCase) -> Answer:
        """Ask with tensors that need a gradient, which NumPy code refuses: so it gets arrays in their turn."""
        if self.library == "numpy":
            return self.ask(case)
        operands = (case.operands.query, case.operands.key, case.operands.value)
        try:
            with quietly(), torch.enable_grad():
                leaves = [to_library(x, "torch").requires_grad_() * 1 for x in operands]
                return self.read(self.call_with(leaves, case.operands, case.scale), case.operands)
        except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
            return raised(error)


def _added(allowed: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return a mask that is added: the numbers of the bias, and -inf where nothing may be attended to."""
    if allowed is None:
        assert bias is not None
        return bias
    added = torch.zeros(allowed.shape, dtype=torch.float64) if bias is None else bias
    return added.masked_fill(~allowed, float("-inf"))
