"""A diagnosis that went through JSON, as an object again: what a child process sends, and what was saved."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from attention_surgeon.diagnose.diagnosis import Counterexample, Diagnosis, Difference
from attention_surgeon.faults import Fault, find_fault
from attention_surgeon.testing.answer import Array
from attention_surgeon.testing.contract import Conduct


def diagnosis_from_dict(data: Mapping[str, Any]) -> Diagnosis:
    """Return the diagnosis whose `as_dict` this is; numbers have the six decimals that were written.

    >>> diagnosis_from_dict(Diagnosis("unjudged", "attention", reason="it answers no call").as_dict()).reason
    'it answers no call'
    """

    def fault(name: str) -> Fault:
        return dataclasses.replace(find_fault(name), summary=data["summaries"][name])

    difference, example = data["difference"], data["counterexample"]
    return Diagnosis(
        verdict=data["verdict"],
        contract=data["contract"],
        contract_name=data["contract_name"],
        explanations=tuple(tuple(fault(name) for name in names) for names in data["explanations"]),
        conduct=tuple(Conduct(**seen) for seen in data["conduct"]),
        difference=None if difference is None else _difference(**difference),
        counterexample=None if example is None else _counterexample(**example),
        called_with=data["called_with"],
        calls=tuple(data["calls"]),
        reason=data["reason"],
        seconds=data["seconds"],
    )


def _difference(step: str, right_before: list[str], call: str, yours: Any, expected: Any) -> Difference:
    return Difference(step, tuple(right_before), call, _array(yours), _array(expected))


def _counterexample(inputs: str, what: str, yours: Any, expected: Any) -> Counterexample:
    return Counterexample(inputs, what, yours if isinstance(yours, str) else _array(yours), _array(expected))


def _array(values: Any) -> Array:
    """Return nested lists as an array; NaN and infinities stand there as text."""
    return np.asarray(values).astype(np.float64)
