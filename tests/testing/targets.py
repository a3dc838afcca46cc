"""Targets with a known fault: a right circuit, or one with the fault in it, behind the signature of its contract."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.faults import Family, Fault, faults_of, find_fault, operate
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Operands

SEEN_AT_EXTREMES = ("softmax_no_max_subtraction", "global_max_subtracted")


def names_of(family: Family) -> list[str]:
    """Return the names of the faults of a family that a circuit can have."""
    return [fault.name for fault in faults_of(family) if fault.operate is not None]


def wrapped_names_of(family: Family) -> list[str]:
    """Return the names of those that only a callable can have."""
    return [fault.name for fault in faults_of(family) if fault.operate is None]


def with_faults(circuit: Circuit, names: Iterable[str]) -> Circuit:
    return operate(circuit, [find_fault(name) for name in names])


def softmax_with(*names: str) -> Callable[[Tensor], Tensor]:
    circuit = with_faults(Circuit(), names)

    def softmax(x: Tensor) -> Tensor:
        steps = circuit.steps(_operands_for(x))
        return steps.output if "cuts_gradient" in names else steps.weights

    return softmax


def _operands_for(x: Tensor) -> Operands:
    """Return operands whose scores, after the division by √d_k = 1, are x, and whose output is the weights."""
    eye = torch.eye(x.shape[-1], dtype=x.dtype)
    key = eye.expand(*x.shape[:-2], *eye.shape)
    return Operands(x * x.shape[-1] ** 0.5, key, key, None, None, x.dtype)


def causal_mask_with(*names: str) -> Callable[..., Tensor]:
    return _mask_of(with_faults(Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense()), names))


def reverse_mask_with(*names: str) -> Callable[[int], Tensor]:
    """Mistakes are made from the other end: the mask of the circuit is turned over."""
    turned = causal_mask_with(*names)
    return lambda n: turned(n).flip(-2, -1)


def _mask_of(circuit: Circuit) -> Callable[..., Tensor]:
    def mask(n_q: int, n_k: int | None = None) -> Tensor:
        query, key = torch.zeros(n_q, 1), torch.zeros(n_k or n_q, 1)
        return circuit.steps(Operands(query, key, key, None, None, torch.float32)).masked

    return mask


def padding_mask_with(*names: str) -> Callable[[Tensor, int], Tensor]:
    circuit = with_faults(Circuit(), names)

    def mask(lengths: Tensor, n: int) -> Tensor:
        x = torch.zeros(len(lengths), n, 1)
        allowed = (torch.arange(n) < lengths[:, None])[:, None].expand(-1, n, -1)
        return circuit.steps(Operands(x, x, x, allowed, None, torch.float32)).masked

    return mask


def statistics_with(*names: str) -> Callable[[Tensor], dict[str, Any]]:
    circuit = with_faults(Circuit(), names)
    return lambda weights: {name: number.item() for name, number in circuit.measure(weights).items()}


def wrap(fault: Fault, target: Callable[..., Any]) -> Callable[..., Any]:
    assert fault.wrap is not None
    return fault.wrap(target)
