"""From the faults that explain a target and what was seen of it to the verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from attention_surgeon.faults import Fault, find_fault
from attention_surgeon.verdict import STAGES, Behaviour, Counterexample, Difference, Mistake, Status, Verdict

__all__ = ["Counterexample", "Diagnosis", "Difference", "diagnosed"]

Diagnosis = Verdict
"""The name of `Verdict` until this release."""


def diagnosed(
    status: Status,
    contract: str,
    *,
    explanations: Sequence[Iterable[Fault]] = (),
    behaviour: Iterable[Behaviour] = (),
    **found: Any,
) -> Verdict:
    """Return the verdict that names what explains a target and what was seen of it.

    Args:
        status: `right`, `wrong` or `unjudged`.
        contract: What it was judged as, in words.
        explanations: Sets of faults that give the same answers, the first of them the one that is told.
        behaviour: What else was seen.
        **found: The other fields of the `Verdict`.

    >>> diagnosed("wrong", "attention", behaviour=[Behaviour("nan_rows", "NaN comes out")]).mistakes[0].seen
    ('NaN comes out',)
    """
    explained = tuple(tuple(fault.words for fault in faults) for faults in explanations)
    behaviour = tuple(behaviour)
    mistakes = _mistakes(explained[0] if explained else (), behaviour)
    return Verdict(status, contract, mistakes, explanations=explained, behaviour=behaviour, **found)


def _mistakes(explained: Iterable[Mistake], behaviour: Sequence[Behaviour]) -> tuple[Mistake, ...]:
    """Return what has a name, in the order of the pipeline, each with what was seen of it."""
    named = {mistake.name: mistake for mistake in explained}
    for name in (each.fault for each in behaviour if each.fault and each.is_fault):
        named.setdefault(name, find_fault(name).words)
    ordered = sorted(named.values(), key=lambda mistake: STAGES.index(mistake.stage or "state"))
    return tuple(replace(mistake, seen=_evidence(mistake.name, behaviour)) for mistake in ordered)


def _evidence(name: str, behaviour: Sequence[Behaviour]) -> tuple[str, ...]:
    return tuple(each.evidence for each in behaviour if each.is_fault and each.fault == name)
