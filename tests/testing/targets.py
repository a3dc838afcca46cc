"""Targets with a known fault, by names: the doctor's patients."""

from collections.abc import Callable
from typing import Any

from attention_surgeon.diagnose.doctor.targets import target_with
from attention_surgeon.faults import Family, Fault, faults_of, find_fault


def names_of(family: Family) -> list[str]:
    """Return the names of the faults of a family that a circuit can have."""
    return [fault.name for fault in faults_of(family) if fault.operate is not None]


def wrapped_names_of(family: Family) -> list[str]:
    """Return the names of those that only a callable can have."""
    return [fault.name for fault in faults_of(family) if fault.operate is None]


def softmax_with(*names: str) -> Callable[..., Any]:
    return target_with("softmax", map(find_fault, names))


def causal_mask_with(*names: str) -> Callable[..., Any]:
    return target_with("causal_mask", map(find_fault, names))


def reverse_mask_with(*names: str) -> Callable[..., Any]:
    return target_with("reverse_mask", map(find_fault, names))


def padding_mask_with(*names: str) -> Callable[..., Any]:
    return target_with("padding_mask", map(find_fault, names))


def statistics_with(*names: str) -> Callable[..., Any]:
    return target_with("statistics", map(find_fault, names))


def wrap(fault: Fault, target: Callable[..., Any]) -> Callable[..., Any]:
    assert fault.wrap is not None
    return fault.wrap(target)
