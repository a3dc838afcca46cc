"""The second witness in court: what its observation says, as a diagnosis.

The target is made and called as its own signature, words and behaviour say (`calls`), its operations are read
(`witness`), and what was read becomes faults with their names and lines.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from attention_surgeon.calls import Plan, Refusal, find_plan
from attention_surgeon.calls.device import without_gpu
from attention_surgeon.diagnose.diagnosis import Diagnosis, Difference, diagnosed
from attention_surgeon.errors import SurgeonError
from attention_surgeon.faults import catalogue
from attention_surgeon.verdict import Behaviour
from attention_surgeon.witness import Finding, Observation, observe

_STEPS = ("projections", "scores", "scaled", "masked", "weights", "output")


def diagnose_observed(
    target: Any,
    *,
    example: Callable[[], Any] | None = None,
    hints: Mapping[str, Any] | None = None,
    is_unscaled: bool = False,
) -> Diagnosis:
    """Return what observing a target says of it.

    Args:
        target: A function, class or object.
        example: Makes the object and the arguments of one call.
        hints: Arguments for its constructor.
        is_unscaled: Whether no scale is wanted.
    """
    with without_gpu(target):
        return _observed(target, example, hints or {}, is_unscaled)


def _observed(target: Any, example: Callable[[], Any] | None, hints: Mapping[str, Any], is_unscaled: bool) -> Diagnosis:
    name, says = getattr(target, "__name__", type(target).__name__), words_of(target)
    plan = find_plan(target, name=name, source=says, example=example, hints=hints)
    if isinstance(plan, Refusal):
        reason = "\n".join(filter(None, (plan.reason, *(f"tried: {way}" for way in plan.tried[:3]), plan.advice)))
        return Diagnosis("unjudged", "", reason=reason)
    try:
        found = observe(plan, name=name, says=says, is_unscaled=is_unscaled)
    except SurgeonError as error:
        reason = str(error)
        return Diagnosis("unjudged", "", reason=f"{reason}.")
    except Exception as error:  # noqa: BLE001  what the reader stumbles over is no fault of the target's
        reason = f"I could not read its operations ({type(error).__name__}: {error}); that is my limit, not its fault."
        return Diagnosis("unjudged", "", reason=reason)
    return as_diagnosis(found, plan)


def with_location(diagnosis: Diagnosis, target: Any) -> Diagnosis:
    """Return a diagnosis that was made by answers with the line that the operations show, where both name the same.

    Args:
        diagnosis: What was found.
        target: Of what.
    """
    if diagnosis.status != "wrong" or diagnosis.location is not None or not diagnosis.names:
        return diagnosis
    seen = diagnose_observed(target)
    is_same = bool(seen.names) and set(seen.names) <= set(diagnosis.names)
    return replace(diagnosis, location=seen.location) if is_same else diagnosis


def as_diagnosis(found: Observation, plan: Plan) -> Diagnosis:
    """Return an observation as a diagnosis."""
    named = {fault.name: fault for fault in catalogue()}
    faults = [finding for finding in found.findings if finding.fault in named]
    others = [finding for finding in found.findings if finding.fault not in named]
    explanation = tuple(dict.fromkeys(named[finding.fault] for finding in faults))
    first = found.findings[0] if found.findings else None
    behaviour = [
        Behaviour(finding.fault if finding.fault in named else None, finding.sentence) for finding in (*faults, *others)
    ]
    behaviour += [Behaviour(None, remark, is_fault=False) for remark in found.remarks]
    return diagnosed(
        status=found.verdict,  # pyright: ignore[reportArgumentType]
        contract=", ".join(found.kind) or "attention",
        explanations=(explanation,) if explanation else (),
        behaviour=tuple(behaviour),
        difference=None if first is None else _difference(first),
        called_with=found.tried[0] if found.tried else "",
        calls=found.tried[1:],
        reason="; ".join(found.unknown) if found.verdict == "unjudged" else "",
        kind=found.kind,
        untried=found.untried,
        location=None if first is None else first.place,
    )


def _difference(finding: Finding) -> Difference | None:
    if finding.yours is None or finding.expected is None:
        return None
    before = _STEPS[: _STEPS.index(finding.step)] if finding.step in _STEPS else ()
    return Difference(finding.step, before, finding.sentence, finding.yours, finding.expected)


def words_of(target: Any) -> str:
    """Return the text of a target: its docstring and comments say what a mask means."""
    try:
        return inspect.getsource(target if inspect.isroutine(target) or inspect.isclass(target) else type(target))
    except (OSError, TypeError):
        return inspect.getdoc(target) or ""
