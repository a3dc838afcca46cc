"""An attention layer that can be asked: how it is called, how its parameters are read, what it answers."""

import contextlib
import copy
import dataclasses
from collections.abc import Hashable
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.faults import Fault
from attention_surgeon.ops import Circuit, Linears, Operands, Steps, leave_unscaled
from attention_surgeon.testing.answer import (
    Answer,
    Array,
    Library,
    arrays_in,
    as_code,
    quietly,
    raised,
    same_answer,
    solve_weights,
    to_array,
    to_library,
)
from attention_surgeon.testing.contract import Subject
from attention_surgeon.testing.function_cases import fill_with_a_low_number, said_of_mask
from attention_surgeon.testing.layer.build import LayerCall, LayerSizes, read_forward
from attention_surgeon.testing.layer.cases import (
    MASK_FORMS,
    LayerAsked,
    LayerCase,
    LayerSpec,
    MaskForm,
    layer_cases,
    small_layer_cases,
)
from attention_surgeon.testing.layer.parameters import (
    Affine,
    Projections,
    Reading,
    Tensors,
    fitting_readings,
    hold,
    projections,
    projections_of,
)

_BEFORE_THE_STEPS = ("source", "project", "split", "share")
"""The parts of a circuit that make its operands."""


class AskableLayer(Subject[LayerSpec]):
    """A layer that can be asked; a subject, but for its behaviour."""

    def __init__(self, contract: LayerSpec, target: Any) -> None:
        """Bind: build for each probe, write our numbers, find the mask's form and the reading of the parameters."""
        self.contract, self.target = contract, target
        self.base = contract.circuit()
        self.families = contract.families
        self.remarks: list[str] = []
        self._is_cross = contract.kind == "cross"
        self._held = tuple(hold(target, contract, probe) for probe in range(2))
        self._call: LayerCall = read_forward(self._held[0].layer, is_cross=self._is_cross)
        self._forms: tuple[MaskForm, ...] = ()
        self._representation = torch.bool
        self._mean_weights = False
        self._weights_place: int | None = None
        self._operands: tuple[LayerCase, Linears, Operands] | None = None
        self._choose_reading()
        self._choose_forms()

    def again(self, target: Any) -> Self:
        """Bind another text of the same layer: it is asked for the same forms of masks, which are not looked for anew.

        Raises:
            UnjudgedError: as binding it.
        """
        other = copy.copy(self)
        other.target, other.remarks = target, []
        other._held = tuple(hold(target, self.contract, probe) for probe in range(2))
        other._call = read_forward(other._held[0].layer, is_cross=self._is_cross)
        other._mean_weights, other._weights_place = False, None
        other._choose_reading()
        return other

    @property
    def reading(self) -> Reading:
        """Which tensors of the first layer are which projection."""
        return self._readings[0]

    @property
    def library(self) -> Library:
        """What the layer computes with."""
        return self._held[0].library

    @property
    def key(self) -> Hashable:
        """The contract, the parameters, and how they are read."""
        return self.contract, self._held[0].sizes, self._held[0].shapes, self.reading, self._forms, self._mean_weights

    def faults(self, offered: tuple[Fault, ...]) -> tuple[Fault, ...]:
        """Leave out what this layer cannot have: wrong chunks where nothing is packed, a bias where there is none."""
        linears, is_scaled = self._linears(0), self.base.mechanism.scale is not leave_unscaled
        left_out = {"scale_not_asked"} if is_scaled else {"scale_missing"}
        if not self.reading.is_packed:
            left_out.add("chunk_order_wrong")
        if not self.reading.has_output:
            left_out |= {"output_projection_missing", "output_bias_dropped"}
        if linears["query"].bias is None:
            left_out.add("bias_dropped")
        if self._held[0].sizes.heads == 1:  # then the head is as wide as the layer
            left_out |= {"scale_by_model_width", "scale_by_value_size", "scale_by_num_heads"}
        return tuple(fault for fault in offered if fault.name not in left_out)

    def cases(self, probe: int) -> tuple[LayerCase, ...]:
        """Return the calls of one probe."""
        return layer_cases(self._asked(probe), probe)

    def small_cases(self) -> tuple[LayerCase, ...]:
        """Return calls with few tokens."""
        return small_layer_cases(self._asked(0))

    def ask(self, case: LayerCase) -> Answer:
        """Call the layer that has this case's width; what it raises becomes its answer."""
        try:
            with quietly():
                returned = self.call(self._held[case.probe].layer, case)
        except Exception as error:  # noqa: BLE001  somebody else's layer may raise anything
            return raised(error)
        return self.read(returned, case)

    def as_code(self, case: LayerCase) -> str:
        """Return assignments of x, the context and the mask, and which parameters the layer has."""
        s, context, mask = self.sizes(case), case.context, self._mask(case)
        lines = [
            f"# a layer of width {s.embed} with {s.heads} head{'s' if s.heads > 1 else ''}; "
            "its parameters: attention_surgeon.testing.fill_parameters(layer)",
            as_code("x", to_library(case.x, self.library)),
        ]
        if context is not None:
            lines.append(as_code("context", to_library(context, self.library)))
        if mask is not None:
            lines.append(f"{as_code('mask', mask)}  # {said_of_mask(mask, self.contract.mask)}")
        return "\n".join(lines)

    def raw(self, case: LayerCase) -> list[Any]:
        """Call the layer and return the very tensors or arrays that it returned."""
        with quietly():
            return arrays_in(self.call(self._held[case.probe].layer, case))

    def with_mask_of(self, case: LayerCase, mask: Literal["another", "none"]) -> LayerCase | None:
        """Return the same call with its mask turned around, or without."""
        if case.allowed is None:
            return None
        other = None if mask == "none" else case.allowed.flip(-1)
        return dataclasses.replace(case, allowed=other, form=case.form if other is not None else "none")

    def variants(self) -> tuple[Circuit, ...]:
        """Zeros for a query without keys, or the mean of the values, which a finite fill gives."""
        return self.base, self.base.replace(mask=fill_with_a_low_number)

    def call(self, layer: Any, case: LayerCase, *, dtype: torch.dtype | None = None, x: Any = None) -> Any:
        """Call a layer with fresh copies, or with `x` itself, and return what it returns."""
        x = to_library(case.x, self.library, dtype) if x is None else x
        context = None if case.context is None else to_library(case.context, self.library, dtype)
        return self._call(layer, x, context, self._mask(case, dtype))

    def read(self, returned: Any, case: LayerCase) -> Answer:
        """Find the output and the weights in what was returned."""
        found = arrays_in(returned)
        if not found:
            return Answer(error=f"it returned {type(returned).__name__}, expected a tensor or (output, weights)")
        if self._weights_place is None:
            self._weights_place = self._find_weights(found, case)
        second = to_array(found[self._weights_place]) if 0 < self._weights_place < len(found) else None
        if second is not None and second.ndim == 4 and self.sizes(case).heads == 1 == second.shape[1]:
            second = second[:, 0]  # an axis for the one head
        if (
            second is not None
            and second.ndim == 3
            and len(second) == len(case.x) * self.sizes(case).heads > len(case.x)
        ):
            second = second.reshape(len(case.x), -1, *second.shape[1:])  # heads beside sequences, as for `bmm`
        return Answer((to_array(found[0]), second), dtype=str(found[0].dtype).removeprefix("torch."))

    def answer(self, circuit: Circuit, case: LayerCase) -> Answer:
        """Run a circuit with the same parameters."""
        linears = self._linears(case.probe)
        try:
            gathered, weights = circuit.run(self._known_operands(circuit, case, linears))
            output = circuit.finish(case.x, gathered, linears)
        except (SurgeonError, RuntimeError, IndexError, AttributeError, TypeError) as error:
            return raised(error)  # a faulty circuit may not fit these shapes
        if self.sizes(case).heads == 1 and weights.ndim == 4:
            weights = weights.squeeze(1)
        elif self._mean_weights and weights.ndim == 4:
            weights = weights.mean(1)
        return Answer((to_array(output), to_array(weights)), dtype="float64")

    def run(self, circuit: Circuit, x: Tensor, case: LayerCase, linears: Linears) -> tuple[Tensor, Tensor]:
        """Return the output and the weights of a circuit, in float64, with gradients where they are wanted."""
        gathered, weights = circuit.run(self.operands(circuit, x, case, linears))
        return circuit.finish(x, gathered, linears), weights

    def operands(self, circuit: Circuit, x: Tensor, case: LayerCase, linears: Linears) -> Operands:
        """Return what the five steps get."""
        sizes = self.sizes(case)
        context = x if case.context is None else case.context
        query, key, value = circuit.heads(x, context, linears, num_heads=sizes.heads, num_kv_heads=sizes.kv_heads)
        allowed = None if case.allowed is None else case.allowed[:, None]  # (b, n, n) -> (b, 1, n, n)
        bias = case.bias
        if bias is None and case.allowed is not None and self.contract.mask == "additive":
            bias = torch.zeros(case.allowed.shape[1:], dtype=torch.float64)  # what is added is numbers, if only zeros
        return Operands(query, key, value, allowed, bias, torch.float64, model_size=sizes.embed)

    def _known_operands(self, circuit: Circuit, case: LayerCase, linears: Linears) -> Operands:
        """Return the same, kept where what makes them is the usual: a table asks thousands of circuits one case."""
        if any(getattr(circuit, part) is not getattr(self.base, part) for part in _BEFORE_THE_STEPS):
            return self.operands(circuit, case.x, case, linears)
        known = self._operands
        if known is None or known[0] is not case or known[1] is not linears:
            known = self._operands = (case, linears, self.operands(circuit, case.x, case, linears))
        return known[2]

    def steps(self, circuit: Circuit, case: LayerCase) -> Steps | None:
        """Return what a circuit computes on the way."""
        with contextlib.suppress(SurgeonError, RuntimeError, IndexError, AttributeError, TypeError):
            return circuit.steps(self.operands(circuit, case.x, case, self._linears(case.probe)))
        return None

    def allowed(self, case: LayerCase) -> npt.NDArray[np.bool_] | None:
        """Return the mask of the call, or the layer's own."""
        n_q, n_k = case.x.shape[1], (case.x if case.context is None else case.context).shape[1]
        pattern = self.base.pattern(n_q, n_k)
        allowed = case.allowed if pattern is None else pattern
        if allowed is None:
            return None
        full = allowed if allowed.ndim == 2 else allowed[:, None]
        return full.expand(case.x.shape[0], self.sizes(case).heads, n_q, n_k).numpy()

    def weights_of(self, answer: Answer, case: LayerCase) -> Array | None:
        """Return the weights that were returned, or those that the output tells of where it can be solved for them."""
        if len(answer.values) > 1 and answer.values[1] is not None and not self._mean_weights:
            weights = answer.values[1]
            return weights[:, None] if weights.ndim == 3 else weights
        output = answer.values[0] if answer.values else None
        return None if output is None else self._solved_weights(output, case)

    def sizes(self, case: LayerCase) -> LayerSizes:
        """Return the sizes of the layer that answers a case."""
        return self._held[case.probe].sizes

    def layer(self, probe: int = 0) -> Any:
        """Return the layer of a probe."""
        return self._held[probe].layer

    def tensors(self, probe: int = 0) -> Tensors:
        """Return the numbers in the layer of a probe, by parameter."""
        return self._held[probe].tensors

    def linears_from(self, tensors: Tensors, probe: int = 0) -> Projections:
        """Return the projections that these numbers make."""
        return projections(self._readings[probe], tensors, self._held[probe].sizes)

    def _linears(self, probe: int) -> Projections:
        return projections_of(self._held[probe].shapes, probe, self._readings[probe], self._held[probe].sizes)

    def _asked(self, probe: int) -> LayerAsked:
        held = self._held[probe]
        linears = self._linears(probe)
        asking, answering = linears["query"], linears["key"]
        assert isinstance(asking, Affine)
        assert isinstance(answering, Affine)
        is_additive = self.contract.mask == "additive"
        return LayerAsked(
            held.sizes, asking.width, answering.width if self._is_cross else None, self._forms, is_additive
        )

    def _find_weights(self, found: list[Any], case: LayerCase) -> int:
        """Return which of the values are the weights, told by their shape in a call of unequal sizes; 0: none."""
        n_q, n_k = case.x.shape[1], (case.x if case.context is None else case.context).shape[1]
        for place, value in enumerate(found[1:], start=1):
            if value.ndim >= 3 and tuple(value.shape[-2:]) == (n_q, n_k):
                self._mean_weights = value.ndim == 3 and len(value) == len(case.x) and self.sizes(case).heads > 1
                return place
        return 0

    def _choose_reading(self) -> None:
        """Take the first reading under which the layer is right; if there is none, the most usual one."""
        candidates = zip(*(fitting_readings(held) for held in self._held), strict=False)
        fitting: list[tuple[Reading, ...]] = list(candidates)
        if not fitting:
            held = self._held[0]
            shapes = ", ".join(f"{name} {shape}" for name, shape in held.shapes)
            raise UnjudgedError(
                f"its parameters do not fit together as projections of {held.sizes.heads} heads: {shapes}."
            )
        for self._readings in fitting:
            case = self.cases(0)[0]
            given = self.ask(case)
            if given.error is None and same_answer(given, self.answer(self.base, case)):
                return
        self._readings = fitting[0]

    def _choose_forms(self) -> None:
        """Find the forms of mask that the layer answers to; a yes/no mask may have to be whole numbers or floats."""
        if self._call.mask is None:
            return
        kinds = (torch.bool, torch.int64, torch.float32) if self.contract.mask != "additive" else (torch.float32,)
        for self._representation in kinds:
            answered: tuple[MaskForm, ...] = tuple(form for form in MASK_FORMS if self._answers(form))
            if answered:
                shared: tuple[MaskForm, ...] = ("n n", "b 1 n n")
                self._forms = tuple(form for form in shared if form in answered) if "n n" in answered else answered[:1]
                return
        self.remarks.append(
            "no form of mask was answered: (n, n), (b, 1, n, n), (b, n, n), (b, h, n, n), (b, n) all raise"
        )

    def _answers(self, form: MaskForm) -> bool:
        cases = layer_cases(dataclasses.replace(self._asked(0), forms=(form,)), 0)
        return any(self._is_answered(case) for case in cases if case.form == form)

    def _is_answered(self, case: LayerCase) -> bool:
        """Whether the output has the shape it has without a mask: one of the wrong axes may spread over sequences."""
        answer, unmasked = self.ask(case), self.ask(self.cases(0)[0])
        output = answer.values[0] if answer.values else None
        if output is None or output.shape[:-1] != tuple(case.x.shape[:-1]):
            return False
        usual = unmasked.values[0] if unmasked.values else None
        return usual is None or output.shape[-1] == usual.shape[-1]

    def _mask(self, case: LayerCase, dtype: torch.dtype | None = None) -> Any:
        shaped = case.shaped_mask(self.sizes(case).heads)
        if shaped is None:
            return None
        if self.contract.mask == "additive":
            added = torch.zeros(shaped.shape, dtype=dtype or torch.float32)
            added = added if case.bias is None else added + case.bias.to(added.dtype)
            hidden = added.masked_fill(~shaped, float("-inf"))
            return hidden if self.library == "torch" else hidden.double().numpy()
        meant = (shaped if self.contract.mask == "keep" else ~shaped).to(self._representation).contiguous()
        return meant if self.library == "torch" else meant.numpy()

    def _solved_weights(self, output: Array, case: LayerCase) -> Array | None:
        """Solve for the weights of the heads: undo the output projection, then `heads = weights V`."""
        if output.shape[:-1] != tuple(case.x.shape[:-1]):
            return None
        linears = self._linears(case.probe)
        steps = self.operands(self.base, case.x, case, linears)
        merged = linears["output"].undo(output)
        sizes, value = self.sizes(case), steps.value.numpy()
        if merged is None or merged.shape[-1] != sizes.embed:
            return None
        return solve_weights(merged.reshape(*merged.shape[:-1], sizes.heads, sizes.head).swapaxes(-3, -2), value)
