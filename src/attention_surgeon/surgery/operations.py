"""What can be done to an attention: the surgeon's own operations, and the faults of the catalogue that can act.

An operation changes a circuit between the vectors that arrive at the attention function and the output projection:
how heads are shared, which of query, key and value serves as which, the five steps, how heads are merged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError, SurgeryError
from attention_surgeon.faults import Fault, catalogue, find_fault
from attention_surgeon.faults.mask_content import change_allowed
from attention_surgeon.faults.parts import CAP, SINK, Part
from attention_surgeon.masks import reverse_mask
from attention_surgeon.ops import STEP_NAMES, Circuit, Operands
from attention_surgeon.ops.steps import Step
from attention_surgeon.require import kind_of

_ACTING = frozenset({*STEP_NAMES, "share", "assign", "merge", "cap", "sink"})
_HANDED_OVER = (CAP, SINK)  # what a model hands to its attention function, beside query, key, value, mask and scale
_REASONS = {
    "project": "it changes the projections, which the model applies before and after its attention function",
    "source": "it changes which vectors are projected, which the model does before its attention function",
    "split": "it changes how heads are cut, which the model does before its attention function",
    "position": "it changes what is added to queries, keys or values, which the model does before its attention function",
    "join": "it changes what follows the output projection, which the model does after its attention function",
    "report": "it changes only what is returned to be looked at, which changes nothing in a model",
    "measure": "it changes how weights are measured, not attention",
    "pattern": "it changes a mask made inside attention; a model hands its mask in: use drop_mask or reverse_mask",
    "use_scale": "it changes how a switch called scale is read, which models do not have",
}
_WRAPPED = "it is about the callable (its arguments, its dtype, its memory of the last call), not about the five steps"


@final
@dataclass(frozen=True)
class Operation:
    """Something to do to the attention of a model.

    Attributes:
        name: As it is asked for, its number included: `temperature:2`.
        summary: What it does, in one sentence.
        change: From the healthy circuit to the operated one.
        is_for_cross: Whether it means anything where keys are of another text than queries.
        needs: The part that an attention must have for it, such as soft caps; None: every attention can have it done.
    """

    name: str
    summary: str
    change: Callable[[Circuit], Circuit]
    is_for_cross: bool = True
    needs: Part[Any] | None = None


def find_operation(fault: object) -> Operation:
    """Return the operation that is meant.

    Args:
        fault: A name (`no_scale`, `knock_out`, `temperature:2`, any fault of the catalogue), a `Fault`, an `Operation`.

    Raises:
        ArgumentTypeError: something else.
        OptionError: no such name, or a number that is missing or wrong.
        SurgeryError: a fault of the catalogue that cannot act on a model; the message says why.

    >>> find_operation("no_scale").summary
    'The scores go into the softmax as they are; nothing divides them by √d_k.'
    >>> find_operation("projection_shared")
    Traceback (most recent call last):
    attention_surgeon.errors.SurgeryError: projection_shared cannot act on a model: it changes the projections, \
which the model applies before and after its attention function.
    """
    if isinstance(fault, Operation):
        return fault
    if isinstance(fault, Fault):
        return _from_fault(fault, fault.name)
    if not isinstance(fault, str):
        raise ArgumentTypeError(
            f"operate: fault is {kind_of(fault)}, expected a name such as 'no_scale', a Fault or an Operation."
        )
    name, has_number, number = fault.partition(":")
    if name in _WITH_NUMBER:
        return _with_number(name, number if has_number else None)
    if has_number:
        takes = ", ".join(f"{known}:{example}" for known, (_, example, _) in _WITH_NUMBER.items())
        raise OptionError(f"operate: {name} takes no number; these do: {takes}.")
    if name in _OWN:
        summary, change = _OWN[name]
        return Operation(name, summary, change, is_for_cross=name != "reverse_mask")
    if name in _ALIASES:
        return _from_fault(find_fault(_ALIASES[name]), name)
    if name in {known.name for known in catalogue()}:
        return _from_fault(find_fault(name), name)
    raise OptionError(_unknown(name))


def pattern_operation(function: Callable[[Tensor], Tensor], name: str = "own_pattern") -> Operation:
    """Return the operation that replaces the weights of the chosen heads by a function of one's own.

    Args:
        function: From the weights `(batch, heads, n_q, n_k)`, in working precision, to what is to stand in their place.
        name: For the receipt.

    >>> import torch
    >>> from attention_surgeon.surgery import operate, capture
    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> itself = pattern_operation(lambda weights: torch.eye(weights.shape[-1]).expand_as(weights))
    >>> with operate(model, itself, layers=0):
    ...     print(capture(model, [3, 1, 4]).layer(0).trace.weights[0].tolist())
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    def make(usual: Step) -> Step:
        def own_pattern(masked: Tensor, operands: Operands) -> Tensor:
            return function(usual(masked, operands)).to(masked.dtype)

        return own_pattern

    return Operation(name, "The weights are what a function of one's own makes of them.", _normalise_with(make))


def operations() -> tuple[Operation, ...]:
    """Return everything that can be done: the surgeon's own operations first, then the faults that can act.

    >>> {"knock_out", "no_scale", "temperature:2", "weights_transposed"} <= {known.name for known in operations()}
    True
    """
    own = [*_ALIASES, *_OWN, *(f"{name}:{example}" for name, (_, example, _) in _WITH_NUMBER.items())]
    taken = set(_ALIASES.values())
    acting = [fault for fault in catalogue() if fault.name not in taken and why_not(fault) is None]
    return (*(find_operation(name) for name in own), *(_from_fault(fault, fault.name) for fault in acting))


def why_not(fault: Fault) -> str | None:
    """Return why a fault of the catalogue cannot act on a model, None if it can."""
    if fault.operate is None:
        return _WRAPPED
    if fault.needs is not None and fault.needs not in _HANDED_OVER:
        return "it changes a position, a norm, a slope or a window, which a model keeps to itself"
    usual = Circuit() if fault.needs is None else fault.needs.put_into(Circuit())
    before, after = ({*circuit.changed()} for circuit in (usual, fault.operate(usual)))
    changed = {part.partition("=")[0] for part in before ^ after}
    # What stands only in parts that a model does not let us reach, or leaves parts half changed, does not act.
    beyond = sorted(changed - _ACTING - {"report"})
    if beyond:
        return _REASONS[beyond[0]]
    if not changed & _ACTING:
        return _REASONS["report"] if changed else "it leaves every step as it is"
    return None


def _from_fault(fault: Fault, name: str) -> Operation:
    reason = why_not(fault)
    if reason is not None:
        raise SurgeryError(f"{fault.name} cannot act on a model: {reason}.")
    assert fault.operate is not None
    return Operation(name, fault.summary, fault.operate, needs=fault.needs)


def _normalise_with(make: Callable[[Step], Step]) -> Callable[[Circuit], Circuit]:
    return lambda circuit: circuit.replace(normalise=make(circuit.mechanism.normalise))


def _uniform(usual: Step) -> Step:
    def evenly(masked: Tensor, operands: Operands) -> Tensor:
        return usual(torch.zeros_like(masked).masked_fill(masked == float("-inf"), float("-inf")), operands)

    return evenly


def _one_hot(usual: Step) -> Step:
    return lambda masked, operands: _largest_only(masked)


def _cooled_by(temperature: float) -> Callable[[Step], Step]:
    def make(usual: Step) -> Step:
        return lambda masked, operands: usual(masked / temperature, operands)

    return make


def _toward(distance: int) -> Callable[[Step], Step]:
    """Return the maker of a step in which each query gives everything to the key `distance` before it.

    Where that key is hidden or does not exist, the visible key nearest to it gets everything.
    """

    def make(usual: Step) -> Step:
        def all_to_one(masked: Tensor, operands: Operands) -> Tensor:
            n_q, n_k = masked.shape[-2:]
            wanted = torch.arange(n_k - n_q, n_k, device=masked.device, dtype=masked.dtype)[:, None] - distance
            nearness = -(torch.arange(n_k, device=masked.device, dtype=masked.dtype) - wanted).abs()
            return _largest_only(nearness.expand_as(masked).masked_fill(masked == float("-inf"), float("-inf")))

        return all_to_one

    return make


def _largest_only(scores: Tensor) -> Tensor:
    """Give all weight to the largest score of each row, nothing in a row without keys."""
    largest = torch.zeros_like(scores).scatter(-1, scores.argmax(-1, keepdim=True), 1.0)
    return largest.masked_fill(scores == float("-inf"), 0.0)


def _zero_output(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.combine
    return circuit.replace(combine=lambda weights, operands: usual(weights, operands) * 0.0)


def _see_all(allowed: Tensor) -> Tensor:
    return torch.ones_like(allowed)


def _mirror(allowed: Tensor) -> Tensor:
    """Mirror who comes before and who after; a key that nobody may see (padding) stays hidden."""
    n_q, n_k = allowed.shape[-2:]
    seen, seeing = allowed.any(-2, keepdim=True), allowed.any(-1, keepdim=True)
    order = allowed | ~seen | ~seeing  # without padding, which has no order
    if n_q > 1 and order.all():
        return allowed
    mirrored = order.transpose(-2, -1) if n_q == n_k else reverse_mask(n_q, n_k).dense(allowed.device)
    return mirrored & seen


_ALIASES = {"no_scale": "scale_missing", "average_heads": "heads_averaged"}
_OWN: dict[str, tuple[str, Callable[[Circuit], Circuit]]] = {
    "healthy": (
        "Nothing: the healthy mechanism, written by hand, in the place of the model's own.",
        lambda usual: usual,
    ),
    "knock_out": ("What the head gathered is set to 0, in front of the output projection.", _zero_output),
    "drop_mask": ("Every query sees every key: the future, and padding.", change_allowed(_see_all)),
    "reverse_mask": ("A query sees what comes after it in place of what came before.", change_allowed(_mirror)),
    "uniform": ("Every key that may be seen gets the same weight.", _normalise_with(_uniform)),
    "one_hot": ("The key with the largest score gets all the weight.", _normalise_with(_one_hot)),
}
_WITH_NUMBER: dict[str, tuple[str, str, Callable[[float], Any]]] = {
    "temperature": ("The scores are divided by {} before the softmax.", "2", _cooled_by),
    "look_back": (
        "Each query gives all its weight to the key {} before it.",
        "1",
        lambda distance: _toward(int(distance)),
    ),
}


def _with_number(name: str, text: str | None) -> Operation:
    summary, example, make = _WITH_NUMBER[name]
    try:
        number = float(text or "")
    except ValueError:
        number = float("nan")
    whole = name == "look_back"
    fits = number >= 0 and number == int(number) if whole and number == number else 0 < number < float("inf")
    if not fits:
        expected = "a whole number from 0 on" if whole else "a number above 0"
        raise OptionError(f"operate: {name} needs {expected} after a colon, such as {name}:{example}.")
    return Operation(f"{name}:{text}", summary.format(text), _normalise_with(make(number)))


def _unknown(name: str) -> str:
    import difflib  # here, because it is needed only to help

    names = [known.name.partition(":")[0] for known in operations()]
    near = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "surgeon operate MODEL --fault list shows all."
    return f"operate: no operation is called {name!r}; {hint}"
