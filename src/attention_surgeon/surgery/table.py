"""The operating table: which modules are operated on right now, by what, and what a call of theirs gives.

A module lies on the table while at least one operation or observer is on it. Operations on one module add up in the
order in which they came, and each can leave at any time, so nested and overlapping operations undo themselves exactly.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import SurgeryError
from attention_surgeon.ops import Circuit, Steps
from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.choose import check_heads
from attention_surgeon.surgery.operations import Operation
from attention_surgeon.surgery.receipt import Tally


@final
@dataclass(eq=False)
class Active:
    """One operation on one module: what, on which heads (None: all), and its tally."""

    operation: Operation
    heads: tuple[int, ...] | None
    tally: Tally


@final
@dataclass(frozen=True, eq=False)
class Computed:
    """What a circuit gave in one call.

    Attributes:
        steps: The five steps of all heads.
        output: `(batch, n_q, heads, d_v)` in the model's dtype.
    """

    steps: Steps
    output: Tensor


@final
class Sight:
    """What can be seen of a call, operations included; asking for the steps costs the n x n matrices."""

    def __init__(self, theatre: "_Theatre", by_head: "list[tuple[Active, ...]]", own: Tensor) -> None:
        """Look at the call that `theatre` computes, and for which the model's own function gave `own`."""
        self.call = theatre.call
        self._theatre, self._by_head, self._own = theatre, by_head, own

    def steps(self) -> Steps:
        """Return the steps of all heads, each head's from its own circuit, in working precision.

        Raises:
            SurgeryError: the mechanism by hand is not the model's own, so that its steps would be of another attention.
        """
        require_agreement(self.call, self._theatre.computed(()).output, self._own)
        return self._theatre.mixed_steps(self._by_head)

    def step_names(self) -> tuple[str, ...]:
        """Return the function of each step; where heads differ, each one that runs, with | between them."""
        circuits = [self._theatre.circuit(kind) for kind in dict.fromkeys(self._by_head)]
        by_circuit = [circuit.mechanism.step_names().values() for circuit in circuits]
        return tuple(" | ".join(dict.fromkeys(names)) for names in zip(*by_circuit, strict=True))


Observer = Callable[[Sight], None]

Touch = Callable[[Tensor], Tensor | None]
"""Gets a tensor of a call, and returns what is to stand in its place; None: it was only read."""

_OPERANDS = {"q": "query", "k": "key", "v": "value"}


@final
@dataclass(eq=False)
class Patient:
    """A module on the table."""

    active: tuple[Active, ...] = ()
    observers: tuple[Observer, ...] = ()
    touches: tuple[tuple[str, Touch], ...] = ()
    put_back: Callable[[], None] = field(default=lambda: None)

    def attend(self, call: AttentionCall) -> tuple[Tensor, Sight]:
        """Return the output of a call, `(batch, n_q, heads, d_v)`, and what can be seen of it.

        Operated heads are ours, the others the model's own.
        """
        call = self._touch_operands(call)
        own = call.own(call.query, call.key, call.value)
        active = [(one, check_heads(one.heads, call.num_heads, call.layer.name)) for one in self.active]
        by_head = [tuple(one for one, heads in active if head in heads) for head in range(call.num_heads)]
        theatre = _Theatre(call)
        output = _put_together(own, by_head, theatre)
        for one, heads in active:
            _measure(one, heads, by_head, theatre, own, output)
        sight = Sight(theatre, by_head, own)
        for observer in self.observers:
            observer(sight)
        return self._touch_result(output, sight), sight

    def _touch_operands(self, call: AttentionCall) -> AttentionCall:
        """Return the call with what is written into query, key and value."""
        for what, touch in self.touches:
            if what in _OPERANDS:
                written = touch(getattr(call, _OPERANDS[what]))
                call = call if written is None else dataclasses.replace(call, **{_OPERANDS[what]: written})
        return call

    def _touch_result(self, output: Tensor, sight: Sight) -> Tensor:
        """Return the output, `(batch, n_q, heads, d_v)`, with what is written into the weights and into it."""
        for what, touch in self.touches:
            if what == "scores":  # read only: what stands in front of the softmax
                touch(sight.steps().masked)
            elif what == "pattern":
                output = _with_pattern(output, sight, touch)
            elif what == "z":
                written = touch(output.transpose(-3, -2))  # (..., q, heads, d) -> (..., heads, q, d)
                output = output if written is None else written.transpose(-3, -2)
        return output


@final
class _Theatre:
    """The circuits of one call, each computed once: healthy, and with each set of operations that some head has."""

    def __init__(self, call: AttentionCall) -> None:
        self.call = call
        self._computed: dict[tuple[Active, ...], Computed] = {}

    def circuit(self, operations: tuple[Active, ...]) -> Circuit:
        """Return the healthy circuit with these operations in it, one after the other.

        Raises:
            SurgeryError: an operation on a part that this attention does not have.
        """
        is_cross = self.call.layer.stack == "cross"
        acting = [one.operation for one in operations if one.operation.is_for_cross or not is_cross]
        for operation in acting:
            if operation.needs is not None and not operation.needs.is_in(self.call.circuit):
                raise SurgeryError(
                    f"layer {self.call.layer.name}: {operation.name} needs {operation.needs.words}, and this "
                    f"attention has none."
                )
        return reduce(lambda made, operation: operation.change(made), acting, self.call.circuit)

    def computed(self, operations: tuple[Active, ...]) -> Computed:
        """Return what the call gives under these operations; none: the healthy mechanism."""
        if operations not in self._computed:
            circuit = self.circuit(operations)
            steps = self.call.steps(circuit)
            self._computed[operations] = Computed(steps, self.call.output(circuit, steps))
        return self._computed[operations]

    def mixed_steps(self, by_head: list[tuple[Active, ...]]) -> Steps:
        """Return the steps of all heads, each head's from its own circuit."""
        kinds = list(dict.fromkeys(by_head))
        first = self.computed(kinds[0]).steps
        if len(kinds) == 1:
            return first
        mixed = [part.clone() for part in first]
        for kind in kinds[1:]:
            heads = [head for head, operations in enumerate(by_head) if operations == kind]
            for part, other in zip(mixed, self.computed(kind).steps, strict=True):
                part[..., heads, :, :] = other[..., heads, :, :]
        return Steps(*mixed)


def _with_pattern(output: Tensor, sight: Sight, touch: Touch) -> Tensor:
    """Return the output where rows of weights were written; every other row stays as it is, bit for bit."""
    weights = sight.steps().weights
    written = touch(weights)
    if written is None:
        return output
    rows = (written != weights).any(-1).transpose(-2, -1)  # (..., heads, q, k) -> (..., q, heads)
    gathered = written @ sight.call.shared(sight.call.circuit).value  # (..., q, k) @ (..., k, v) -> (..., q, v)
    return torch.where(rows[..., None], gathered.transpose(-3, -2).to(output.dtype), output)


def _put_together(own: Tensor, by_head: list[tuple[Active, ...]], theatre: _Theatre) -> Tensor:
    kinds = [kind for kind in dict.fromkeys(by_head) if kind]
    if not kinds:
        return own
    heads = torch.arange(len(by_head))
    output = own.clone()
    for kind in kinds:
        mine = heads[[operations == kind for operations in by_head]].to(own.device)
        output[..., mine, :] = theatre.computed(kind).output[..., mine, :].to(own.dtype)
    return output


def _measure(
    one: Active,
    heads: tuple[int, ...],
    by_head: list[tuple[Active, ...]],
    theatre: _Theatre,
    own: Tensor,
    output: Tensor,
) -> None:
    call, tally = theatre.call, one.tally
    tally.count(call, heads)
    for kind in dict.fromkeys(by_head[head] for head in heads):
        mine = [head for head in heads if by_head[head] == kind]
        operated, before = theatre.computed(kind), theatre.computed(tuple(other for other in kind if other is not one))
        tally.weigh(call, mine, operated.steps)
        tally.compare(operated.output[..., mine, :], before.output[..., mine, :])
    require_agreement(call, theatre.computed(()).output, own)
    tally.agree(theatre.computed(()).output, own, call.rows_with_keys())
    untouched = [head for head, operations in enumerate(by_head) if not operations]
    if untouched:
        tally.see_others(torch.equal(output[..., untouched, :], own[..., untouched, :]))


def require_agreement(call: AttentionCall, healthy: Tensor, own: Tensor) -> None:
    """Refuse a layer whose attention our mechanism does not reproduce, rows without a key aside.

    Raises:
        SurgeryError: with how far it is off.
    """
    rows = call.rows_with_keys()
    difference, size = (healthy - own).detach().abs(), own.detach().abs()
    if rows is not None:
        difference, size = difference[rows], size[rows]
    if not difference.numel():
        return
    room = max(_AGREES, 8 * torch.finfo(own.dtype).eps) * max(float(size.max()), 1e-6)
    off = float(difference.max())
    if off > room:
        raise SurgeryError(
            f"layer {call.layer.name}: our attention does not reproduce this model's (off by {off:.2g} in outputs up "
            f"to {float(size.max()):.2g}); nothing is operated on."
        )


_AGREES = 1e-4  # relative, in float32: more than any order of summing makes, less than any other attention
_LOCK = threading.RLock()
_PATIENTS: dict[nn.Module, Patient] = {}


def patient_of(module: nn.Module) -> Patient:
    """Return what lies on the table for a module that is being called.

    Raises:
        SurgeryError: nothing does: the module kept our function after the operation was undone.
    """
    try:
        return _PATIENTS[module]
    except KeyError:
        raise SurgeryError(f"{type(module).__name__} calls an operation that is over; load the model again.") from None


def lay_down(
    modules: Iterable[nn.Module],
    change: Callable[[Patient, nn.Module], None],
    connect: Callable[[nn.Module], Callable[[], None]],
) -> None:
    """Put modules on the table, connecting those that were not there, and change what is done to them.

    Args:
        modules: Which.
        change: Adds an operation or an observer.
        connect: Makes a module call us, and returns what makes it as it was.
    """
    with _LOCK:
        for module in modules:
            if module not in _PATIENTS:
                put_back = connect(module)
                _PATIENTS[module] = Patient(put_back=put_back)
            change(_PATIENTS[module], module)


def take_up(modules: Iterable[nn.Module], change: Callable[[Patient, nn.Module], None]) -> None:
    """Undo a change; a module to which nothing is done any more leaves the table as it came."""
    with _LOCK:
        for module in modules:
            patient = _PATIENTS.get(module)
            if patient is None:
                continue
            change(patient, module)
            if not patient.active and not patient.observers and not patient.touches:
                patient.put_back()
                del _PATIENTS[module]
