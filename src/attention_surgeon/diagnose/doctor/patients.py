"""Targets whose faults are known: for every contract, a right circuit or one with faults, behind a usual signature."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.diagnose.doctor.patient_layers import LayerPlan, make_layer
from attention_surgeon.diagnose.doctor.patient_masks import (
    causal_circuit,
    make_causal_mask,
    make_padding_mask,
    make_reverse_mask,
    read_mask,
)
from attention_surgeon.errors import OptionError
from attention_surgeon.faults import Fault, Wrapping, operate
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.testing import Contract, make_contract

Target: TypeAlias = Callable[..., Any]
Build: TypeAlias = Callable[[Circuit], Target]


@dataclass(frozen=True)
class Kind:
    """One kind of target: a contract with its options, and how a circuit becomes a target.

    Attributes:
        name: As it is shown, `attention, mask=hide`.
        contract: Name of the contract.
        options: Of the contract.
        circuit: What is right, as a circuit.
        build: `circuit -> target`, for functions.
        layer: What a layer of this kind is made of.
        adapt: `function -> target`, where the contract has another calling convention.
        cannot_have: Faults that this kind cannot have, whatever its family can.
    """

    name: str
    contract: str
    circuit: Callable[[Contract], Circuit]
    build: Build | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    layer: LayerPlan | None = None
    adapt: Callable[[Target], Target] | None = None
    cannot_have: frozenset[str] = frozenset()

    def make_contract(self) -> Contract:
        """Return the contract, with its options."""
        return make_contract(self.contract, **self.options)


def target_with(kind: Kind | str, faults: Iterable[Fault] = ()) -> Target:
    """Return a target of this kind that has exactly these faults.

    Args:
        kind: A `Kind`, or the name of one.
        faults: Any that can be together in one circuit; those that no circuit can have are put around the target.

    Raises:
        OptionError: there is no kind of that name.

    >>> from attention_surgeon.diagnose import diagnose
    >>> from attention_surgeon.faults import find_fault
    >>> diagnose(target_with("multihead", [find_fault("heads_reversed")]), "multihead").names
    ('heads_reversed',)
    """
    kind, faults = find_kind(kind) if isinstance(kind, str) else kind, tuple(faults)
    at_training = {fault.name for fault in faults if fault.name == "dropout_not_rescaled"}
    circuit = operate(kind.circuit(kind.make_contract()), (f for f in faults if f.name not in at_training))
    wrappings = [fault.wrap for fault in faults if fault.operate is None and fault.wrap is not None]
    if kind.layer is not None:
        plan = LayerPlan(kind.layer.kind, kind.layer.mask, kind.layer.is_packed, drops_rescaled=not at_training)
        return make_layer(plan, circuit, wrappings)
    assert kind.build is not None
    target = functools.reduce(_wrapped, wrappings, kind.build(circuit))
    return target if kind.adapt is None else kind.adapt(target)


def _wrapped(function: Target, wrapping: Wrapping) -> Target:
    return functools.update_wrapper(wrapping(function), function)


def find_kind(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        OptionError: there is none.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise OptionError(f"there is no kind {name!r}; the kinds are {', '.join(kind.name for kind in KINDS)}.")


def _attend(circuit: Circuit, operands: Sequence[Tensor], mask: Tensor | None, meaning: Any, scale: bool) -> Any:
    """Run the circuit in float32 at least, and round to the dtype that came in."""
    dtype = operands[0].dtype
    query, key, value = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in operands)
    allowed, bias = read_mask(mask, meaning)
    first, second = circuit.run(Operands(query, key, value, allowed, bias, dtype), scale=scale)
    return first.to(dtype), second.to(dtype)


def _attention(meaning: str) -> Build:
    def build(circuit: Circuit) -> Target:
        def attention(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None, scale: bool = True) -> Any:
            return _attend(circuit, (Q, K, V), mask, meaning, scale)

        return attention

    return build


def _numpy_attention(meaning: str) -> Build:
    def build(circuit: Circuit) -> Target:
        def attention(Q: Any, K: Any, V: Any, mask: Any = None, scale: bool = True) -> Any:
            tensors = [torch.from_numpy(x) for x in (Q, K, V)]
            given = None if mask is None else torch.from_numpy(mask)
            return tuple(x.numpy() for x in _attend(circuit, tensors, given, meaning, scale))

        return attention

    return build


def _without_mask(circuit: Circuit) -> Target:
    def attention(Q: Tensor, K: Tensor, V: Tensor) -> Any:
        return _attend(circuit, (Q, K, V), None, "keep", True)

    return attention


def _as_in_transformers(attention: Target) -> Target:
    def forward(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any) -> Any:
        output, weights = attention(query, key, value, attention_mask)
        return output.transpose(1, 2), weights  # (b, h, n, d) -> (b, n, h, d)

    return forward


def _softmax(circuit: Circuit) -> Target:
    """Give the circuit scores of its own making: √d times x against the unit vectors, whose values gather the weights."""

    def softmax(x: Tensor) -> Tensor:
        eye = torch.eye(x.shape[-1], dtype=x.dtype)
        key = eye.expand(*x.shape[:-2], *eye.shape)
        return circuit.steps(Operands(x * x.shape[-1] ** 0.5, key, key, None, None, x.dtype)).output

    return softmax


def _statistics(circuit: Circuit) -> Target:
    return lambda weights: {name: number.item() for name, number in circuit.measure(weights).items()}


def _own(contract: Any) -> Circuit:
    return contract.circuit()


def _functions(name: str, meaning: str) -> tuple[Kind, Kind]:
    options = MappingProxyType({"mask": meaning})
    return (
        Kind(name, "attention", _own, _attention(meaning), options),
        Kind(f"{name}, NumPy", "attention", _own, _numpy_attention(meaning), options, cannot_have=_NOT_IN_NUMPY),
    )


def _layer(name: str, *, is_packed: bool = False) -> Kind:
    plan = LayerPlan(name, is_packed=is_packed)
    return Kind(f"{name}, packed" if is_packed else name, name, _own, layer=plan)


_NOT_IN_NUMPY = frozenset({"cuts_gradient", "wrong_dtype"})

KINDS: tuple[Kind, ...] = (
    Kind("softmax", "softmax", lambda contract: Circuit(), _softmax),
    *_functions("attention", "keep"),
    *_functions("attention, mask=hide", "hide"),
    *_functions("attention, mask=additive", "additive"),
    Kind("attention, unscaled", "attention", _own, _attention("keep"), MappingProxyType({"scaled": False})),
    Kind("causal_attention", "causal_attention", _own, _without_mask),
    Kind("causal_attention, align=start", "causal_attention", _own, _without_mask, MappingProxyType({"align": "start"})),
    Kind("transformers", "transformers", _own, _attention("additive"), adapt=_as_in_transformers),
    *(_layer(name) for name in ("simple", "self", "multihead", "causal_multihead", "cross", "grouped", "multiquery")),
    _layer("multihead", is_packed=True),
    _layer("causal_multihead", is_packed=True),
    Kind("causal_mask", "causal_mask", lambda contract: causal_circuit(), make_causal_mask),
    Kind(
        "causal_mask, align=start",
        "causal_mask",
        lambda contract: causal_circuit("start"),
        make_causal_mask,
        MappingProxyType({"align": "start"}),
    ),
    Kind("reverse_mask", "reverse_mask", lambda contract: causal_circuit(), make_reverse_mask),
    Kind("padding_mask", "padding_mask", lambda contract: Circuit(), make_padding_mask),
    Kind(
        "padding_mask, source=tokens",
        "padding_mask",
        lambda contract: Circuit(),
        functools.partial(make_padding_mask, source="tokens"),
        MappingProxyType({"source": "tokens"}),
    ),
    Kind("statistics", "statistics", lambda contract: Circuit(), _statistics),
)
