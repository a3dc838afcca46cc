"""Targets whose faults are known: for every contract, a right circuit or one with faults, behind a usual signature."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from attention_surgeon.diagnose.doctor.patient_functions import (
    Build,
    Target,
    as_in_transformers,
    make_attention,
    make_causal_attention,
    make_numpy_attention,
    make_softmax,
    make_statistics,
)
from attention_surgeon.diagnose.doctor.patient_layers import LayerPlan, make_layer
from attention_surgeon.diagnose.doctor.patient_masks import (
    causal_circuit,
    make_causal_mask,
    make_padding_mask,
    make_reverse_mask,
)
from attention_surgeon.errors import OptionError
from attention_surgeon.faults import Fault, Wrapping, operate
from attention_surgeon.ops import Circuit
from attention_surgeon.testing import Contract, make_contract


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of target: a contract with its options, and how a circuit becomes a target.

    Attributes:
        name: As it is shown, `attention, hide`.
        contract: Name of the contract.
        options: Of the contract.
        circuit: What is right, as a circuit.
        build: `circuit -> target`, for functions.
        layer: What a layer of this kind is made of.
        adapt: `function -> target`, where the contract has another calling convention.
        cannot_have: Faults that this kind cannot have, whatever its family can.
        is_special: Whether it differs so little from another kind that a quick round leaves it out.
    """

    name: str
    contract: str
    circuit: Callable[[Contract], Circuit]
    build: Build | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    layer: LayerPlan | None = None
    adapt: Callable[[Target], Target] | None = None
    cannot_have: frozenset[str] = frozenset()
    is_special: bool = False

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


def kinds_of(contract: str | None = None, *, special: bool = True) -> tuple[Kind, ...]:
    """Return the kinds of one contract, or of all.

    Args:
        contract: Its name, or None.
        special: Whether those are among them that a quick round leaves out.

    Raises:
        OptionError: there is no kind of such a contract.
    """
    contracts = dict.fromkeys(kind.contract for kind in KINDS)
    if contract is not None and contract not in contracts:
        raise OptionError(f"the doctor knows no contract {contract!r}; expected one of {', '.join(contracts)}.")
    return tuple(k for k in KINDS if contract in (None, k.contract) and (special or not k.is_special))


def kind_under(contract: str, options: Mapping[str, Any]) -> Kind:
    """Return a kind of target that is right under a contract with these options.

    Args:
        contract: Its name.
        options: Of the contract; of the kinds that are made with no other, the one is taken that shares most of them.

    Raises:
        OptionError: there is no kind of such a contract, or none with these options.

    >>> kind_under("padding_mask", {"source": "tokens"}).name
    'padding_mask, tokens'
    """
    fitting = [kind for kind in kinds_of(contract) if {**options, **kind.options} == {**kind.options, **options}]
    if not fitting:
        raise OptionError(f"the doctor has no targets for the contract {contract!r} with {dict(options)}.")
    kind = max(fitting, key=lambda kind: len(options.items() & kind.options.items()))
    return dataclasses.replace(kind, options={**kind.options, **options})


def find_kind(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        OptionError: there is none.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise OptionError(f"there is no kind {name!r}; the kinds are {', '.join(kind.name for kind in KINDS)}.")


def _own(contract: Any) -> Circuit:
    return contract.circuit()


def _functions(name: str, meaning: str) -> tuple[Kind, Kind]:
    options = MappingProxyType({"mask": meaning})
    return (
        Kind(name, "attention", _own, make_attention(meaning), options),
        Kind(f"{name}, NumPy", "attention", _own, make_numpy_attention(meaning), options, cannot_have=_NOT_IN_NUMPY),
    )


def _layer(name: str, *, is_packed: bool = False, is_special: bool = False) -> Kind:
    plan, shown = LayerPlan(name, is_packed=is_packed), f"{name}, packed" if is_special else name
    return Kind(shown, name, _own, layer=plan, is_special=is_special)


def _masks(name: str, build: Build, **options: str) -> Kind:
    """Return masks that are to be added: of a mask of 0s and 1s, only a declared meaning can be wrong."""
    align: Any = options.get("align", "end")
    right = Circuit() if name == "padding_mask" else causal_circuit(align)
    shown = ", ".join([name, *options.values()])
    return Kind(shown, name, lambda contract: right, build, MappingProxyType({"mask": "additive", **options}))


_NOT_IN_NUMPY = frozenset({"cuts_gradient", "wrong_dtype"})

KINDS: tuple[Kind, ...] = (
    Kind("softmax", "softmax", lambda contract: Circuit(), make_softmax),
    *_functions("attention", "keep"),
    *_functions("attention, hide", "hide"),
    *_functions("attention, additive", "additive"),
    Kind(
        "attention, unscaled",
        "attention",
        _own,
        make_attention("keep"),
        MappingProxyType({"scaled": False}),
        is_special=True,
    ),
    Kind("causal_attention", "causal_attention", _own, make_causal_attention),
    Kind(
        "causal_attention, start",
        "causal_attention",
        _own,
        make_causal_attention,
        MappingProxyType({"align": "start"}),
    ),
    Kind("transformers", "transformers", _own, make_attention("additive"), adapt=as_in_transformers, is_special=True),
    *(_layer(name) for name in ("simple", "self", "multihead")),
    _layer("multihead", is_packed=True, is_special=True),
    _layer("causal_multihead", is_packed=True),
    *(_layer(name) for name in ("cross", "grouped", "multiquery")),
    _masks("causal_mask", make_causal_mask),
    _masks("causal_mask", make_causal_mask, align="start"),
    _masks("reverse_mask", make_reverse_mask),
    _masks("padding_mask", make_padding_mask),
    _masks("padding_mask", functools.partial(make_padding_mask, source="tokens"), source="tokens"),
    Kind("statistics", "statistics", lambda contract: Circuit(), make_statistics),
)
