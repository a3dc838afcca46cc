"""Judge a target by what it does."""

import time
from typing import Any

from attention_surgeon.diagnose.diagnosis import Diagnosis
from attention_surgeon.diagnose.difference import counterexample, difference_in_answer, difference_of_circuit
from attention_surgeon.diagnose.explain import NUM_PROBES, Explanation, explain
from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing import Conduct, Contract, Subject, contract_for, steadiness_of


def diagnose(target: Any, contract: Contract | str | None = None) -> Diagnosis:
    """Say whether an attention is right, and if not, what exactly is wrong.

    Args:
        target: A function, a callable object, a class or a module.
        contract: What it should be: a `Contract`, the name of one, or None to choose by the kind of target.

    Returns:
        The `Diagnosis`.

    Raises:
        OptionError: a contract of that name does not exist.

    >>> import torch
    >>> def attention(Q, K, V):
    ...     return torch.softmax(Q @ K.transpose(-2, -1), dim=-1) @ V
    >>> diagnose(attention).names
    ('scale_missing',)
    """
    start = time.perf_counter()
    contract = contract_for(target, contract)
    try:
        subject = contract.bind(target)
    except UnjudgedError as error:
        return Diagnosis("unjudged", str(contract), reason=str(error))
    return _judge(subject, start)


def _judge(subject: Subject, start: float) -> Diagnosis:
    unsteady = steadiness_of(subject)
    explanation = Explanation(()) if unsteady else _explain(subject)
    found = explanation.hypotheses
    circuit = explanation.circuit
    conduct = [*unsteady, *_errors(subject, explanation), *([] if unsteady else subject.conduct(circuit))]
    is_right = found == ((),) and not any(seen.is_fault for seen in conduct)
    difference = example = None
    if not is_right:
        difference = difference_of_circuit(subject, circuit) if circuit and found[0] else difference_in_answer(subject)
        example = counterexample(subject)
    return Diagnosis(
        verdict="right" if is_right else "wrong",
        contract=str(subject.contract),
        explanations=tuple(h for h in found if h),
        conduct=(*conduct, *(Conduct(None, remark, is_fault=False) for remark in subject.remarks)),
        difference=difference,
        counterexample=example,
        called_with=subject.cases(0)[0].sentence,
        calls=tuple(case.name for case in subject.cases(0)),
        seconds=time.perf_counter() - start,
    )


def _explain(subject: Subject) -> Explanation:
    """Explain the first probe; if nothing does, the second, whose sizes are others."""
    for probe in range(NUM_PROBES):
        explanation = explain(subject, probe)
        if explanation.hypotheses:
            return explanation
    return explanation


def _errors(subject: Subject, explanation: Explanation) -> list[Conduct]:
    """Say in which calls the target raises though nothing that was recognised makes it."""
    if explanation.hypotheses and explanation.agrees_on_errors:
        return []
    for case in subject.cases(0):
        error = subject.ask(case).error
        if error is not None:
            return [Conduct(None, f"it raises in the call {case.sentence}: {error}")]
    return []
