"""Judge a target by what it does."""

import dataclasses
import inspect
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from attention_surgeon.calls.definitions import others_of_file
from attention_surgeon.calls.device import without_gpu
from attention_surgeon.calls.reasons import refusal, words_of_error
from attention_surgeon.diagnose.diagnosis import Diagnosis, diagnosed
from attention_surgeon.diagnose.difference import counterexample, difference_in_answer, difference_of_circuit
from attention_surgeon.diagnose.explain import NUM_PROBES, Explanation, explain, explain_by, is_finite
from attention_surgeon.diagnose.kernels import (
    beneath_scale,
    diagnose_kernel,
    diagnose_layout,
    diagnose_pieces,
    diagnose_swept,
    works_in_pieces,
)
from attention_surgeon.diagnose.mask_functions import diagnose_mask
from attention_surgeon.diagnose.observed import diagnose_observed, words_of
from attention_surgeon.diagnose.packed_functions import diagnose_packed
from attention_surgeon.diagnose.position_functions import diagnose_positions
from attention_surgeon.diagnose.transformers_arguments import given_arguments
from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.faults import Fault, faults_of, find_fault
from attention_surgeon.ops import Circuit
from attention_surgeon.signatures import names_of_parameters, parameters_of
from attention_surgeon.testing import Contract, Subject, contracts_for, steadiness_of
from attention_surgeon.testing.function_behaviour import FunctionContract
from attention_surgeon.testing.kernel.contract import KernelSubject
from attention_surgeon.testing.layer.behaviour import LayerContract
from attention_surgeon.testing.steadiness import surroundings_kept
from attention_surgeon.verdict import Behaviour, Difference


def diagnose(target: Any, contract: Contract | str | None = None, **options: Any) -> Diagnosis:
    """Say whether an attention is right, and if not, what exactly is wrong.

    Args:
        target: A function, a callable object, a class or a module.
        contract: What it should be: a `Contract`, the name of one, or None: of those that fit such a target, the one
            under which it is right, or has the fewest faults.
        **options: Of the contract: `mask="hide"`, `returns="weights_first"`, `scaled=False`.

    Returns:
        The `Diagnosis`.

    Raises:
        OptionError: a contract of that name does not exist, or does not take such an option.

    >>> import torch
    >>> def attention(Q, K, V):
    ...     return torch.softmax(Q @ K.transpose(-2, -1), dim=-1) @ V
    >>> diagnose(attention).names
    ('scale_missing',)
    """
    start = time.perf_counter()
    choices = contracts_for(target, contract, **options)
    with surroundings_kept(), without_gpu(target):
        best = _by_both(target, choices, contract, options)
        best = best if contract is not None else _with_the_rest(best, target)
    return dataclasses.replace(best, seconds=time.perf_counter() - start)


def diagnose_answers(target: Any, contract: Contract | str | None = None, **options: Any) -> Diagnosis:
    """Judge a target by its answers alone, beside those of composed faults: what a repair measures its changes with.

    Arguments, result and errors as for `diagnose`.

    >>> diagnose_answers(lambda Q, K, V: Q).contract_name
    'attention'
    """
    choices = contracts_for(target, contract, **options)
    with surroundings_kept():
        return _best_of(choices, target)[0]


def _by_both(
    target: Any, choices: Sequence[Contract], contract: Contract | str | None, options: dict[str, Any]
) -> Diagnosis:
    """Hear both witnesses: the operations of the target, and its answers beside those of composed faults.

    A contract that was asked for is judged by answers alone. Otherwise the operations come first: they need no guess
    at what the target is. Where they cannot be read, the answers decide; but only what they recognise is called wrong.
    """
    helper = None if contract is not None or options else _of_helper(target)
    if helper is not None:
        return helper
    if contract is not None or options.keys() - {"scaled"} or not (_is_attention(choices) or _is_module(target)):
        return _by_answers(target, choices, contract, options)
    kernel = diagnose_kernel(target)
    if kernel is not None and works_in_pieces(target):
        return _with_small_calls(kernel, target, choices, options)
    pieces = diagnose_pieces(target) if kernel is None and works_in_pieces(target) else None
    if pieces is not None:
        return pieces
    seen = diagnose_observed(target, is_unscaled=options.get("scaled") is False)
    if seen.verdict == "wrong" and not set(seen.names) & {fault.name for fault in faults_of("modern")}:
        return _with_answers(seen, choices, target)
    if kernel is not None and seen.verdict != "wrong":
        return kernel if kernel.verdict == "wrong" or seen.verdict == "unjudged" else _with_sizes(seen, kernel)
    if seen.verdict == "unjudged":
        return _by_answers_alone(seen, target, choices, options)
    other = diagnose_layout(target, seen.kind) or _beside(target) if seen.verdict == "right" else None
    return other or seen


def _with_the_rest(found: Diagnosis, target: Any) -> Diagnosis:
    """Mend the scale of a function in pieces, and add what is wrong then."""
    rest = beneath_scale(target, found.names) if found.verdict == "wrong" else None
    if rest is None:
        return found
    seen = (
        dataclasses.replace(each, evidence=f"with its scale mended, {each.evidence}")
        for each in rest.behaviour
        if each.is_fault
    )
    named = [find_fault(name) for name in (*found.names, *rest.names)]
    more = diagnosed("wrong", found.contract, explanations=(named,), behaviour=(*found.behaviour, *seen))
    parts = {name: getattr(more, name) for name in ("mistakes", "explanations", "behaviour")}
    return dataclasses.replace(found, **parts)


def _beside(target: Any) -> Diagnosis | None:
    """Judge the functions beside an attention in its file that make masks; None where none of them is known wrong."""
    for name, function in others_of_file(target, "mask").items():
        found = diagnose_mask(function, words_of(function)) if inspect.isroutine(function) else None
        if found is not None and found.verdict == "wrong" and found.names:
            seen = Behaviour(found.names[0], f"the mask that `{name}` makes, beside it in the file, is wrong")
            return dataclasses.replace(found, behaviour=(*found.behaviour, seen))
    return None


def _with_small_calls(
    kernel: Diagnosis, target: Any, choices: Sequence[Contract], options: dict[str, Any]
) -> Diagnosis:
    """Hear what small calls with every kind of mask say of a function in pieces that is right at every size."""
    if kernel.verdict != "right" or not any("mask" in name for name in names_of_parameters(target)):
        return kernel
    best, choice = _best_of(choices, target)
    if best.verdict == "wrong" and best.is_recognised and best.explanations:
        return _with_remarks(best, choice, target, options)
    if best.verdict == "right":
        return dataclasses.replace(kernel, calls=(*kernel.calls, *best.calls))
    masks = (name for name in names_of_parameters(target) if "mask" in name and name not in kernel.untried)
    return dataclasses.replace(kernel, untried=(*kernel.untried, *masks))


def _of_helper(target: Any) -> Diagnosis | None:
    """Judge what is a function beside attention, or attention over packed sequences, by its names."""
    return diagnose_positions(target) or diagnose_packed(target, words_of(target))


def _by_answers(
    target: Any, choices: Sequence[Contract], contract: Contract | str | None, options: dict[str, Any]
) -> Diagnosis:
    """Judge by answers what is no attention, or was asked for by name."""
    made = None if contract is not None or options else diagnose_mask(target, words_of(target))
    if made is not None:
        return made
    best, choice = _best_of(choices, target)
    is_unknown = not _says_what_it_is(target) and not best.is_recognised
    if contract is None and best.verdict == "wrong" and (is_unknown or _says_another(target, best)):
        reason = "I do not know what it is meant to be; say it with --contract (contract=...)."
        return Diagnosis("unjudged", best.contract, contract_name=best.contract_name, reason=reason)
    if best.contract_name == "transformers" and best.verdict == "right":
        return _with_arguments(best, target)
    return best if contract is not None else _with_remarks(best, choice, target, options)


def _with_arguments(best: Diagnosis, target: Any) -> Diagnosis:
    """Give a function of transformers what only some models give it."""
    wrong, tried = given_arguments(target)
    if not wrong:
        untried = [name for name in _untried(target) if name not in (*tried, "scaling", "dropout")]
        return dataclasses.replace(best, calls=(*best.calls, *tried), untried=tuple(untried))
    named = tuple(find_fault(each.fault) for each in wrong if each.fault is not None)
    return diagnosed(
        "wrong",
        best.contract,
        explanations=(named,),
        behaviour=wrong,
        contract_name=best.contract_name,
        called_with=best.called_with,
        calls=best.calls,
    )


def _by_answers_alone(seen: Diagnosis, target: Any, choices: Sequence[Contract], options: dict[str, Any]) -> Diagnosis:
    """Judge an attention whose operations cannot be read; of what is wrong, only what is recognised is said."""
    if any(isinstance(choice, LayerContract) for choice in choices):  # a layer's mistakes were looked for in its steps
        return next((found for found in map(partial(right_as, target=target), choices) if found), seen)
    best, choice = _best_of(choices, target)
    if best.verdict == "right":
        return dataclasses.replace(best, untried=_untried(target))
    if best.verdict == "wrong" and best.is_recognised and best.explanations:
        return _with_remarks(best, choice, target, options)
    return seen


def _with_sizes(seen: Diagnosis, kernel: Diagnosis) -> Diagnosis:
    """Add the sizes, strides and dtypes at which a function was right, too."""
    behaviour = dict.fromkeys((*seen.behaviour, *kernel.behaviour))
    untried = [words for words in kernel.untried if words not in seen.untried]
    return dataclasses.replace(
        seen, behaviour=tuple(behaviour), calls=(*seen.calls, *kernel.calls), untried=(*seen.untried, *untried)
    )


def _with_answers(seen: Diagnosis, choices: Sequence[Contract], target: Any) -> Diagnosis:
    """Add the first step that differs and the smallest case, where the answers say the same as the operations."""
    if any(word in " ".join(seen.kind) for word in _BEYOND_CONTRACTS) or not seen.names:
        return seen
    for found in _explained(choices, target, seen.names):
        return dataclasses.replace(found, kind=seen.kind, location=seen.location, untried=seen.untried)
    return seen


def _explained(choices: Sequence[Contract], target: Any, names: Sequence[str]) -> Iterator[Diagnosis]:
    """Yield what contracts say of a target in which these faults were seen; in a layer nothing else is looked for."""
    for choice in choices:
        try:
            subject = _bound(choice, target)
        except UnjudgedError:
            continue
        explanation = explain_by(subject, names)
        if explanation.hypotheses:
            yield _judge(subject, explanation if isinstance(choice, LayerContract) else None)


_BEYOND_CONTRACTS = ("rotary", "ALiBi", "capped", "sink", "normed", "bias for", "window")
"""Words of what no contract of answers has."""


def right_as(contract: Contract, target: Any) -> Diagnosis | None:
    """Return the diagnosis of a target that answers as a contract asks, None for any other; nothing is searched for."""
    try:
        subject = _bound(contract, target)
        if not all(subject.accepts(subject.ask(case), case) for case in subject.cases(0)):
            return None
    except UnjudgedError:
        return None
    found = _judge(subject)
    return dataclasses.replace(found, untried=_untried(target)) if found.verdict == "right" else None


def _says_what_it_is(target: Any) -> bool:
    """Whether the name of a function says that it is one that a contract knows."""
    name = getattr(target, "__name__", "").lower()
    return any(word in name for word in ("mask", "softmax", "attention", "attend", "analyze", "statistic", "entropy"))


def _says_another(target: Any, found: Diagnosis) -> bool:
    """Whether what was judged as a softmax, for want of anything better, says by its name that it makes a mask."""
    name = getattr(target, "__name__", "").lower()
    return found.contract_name == "softmax" and "mask" in name and "softmax" not in name


def _is_attention(choices: Sequence[Contract]) -> bool:
    """Whether a target may be attention at all, and not a mask, a softmax or a statistic."""
    return any(isinstance(choice, FunctionContract | LayerContract) for choice in choices)


def _is_module(target: Any) -> bool:
    """Whether a target is a class of modules: a block whose sizes have names that no contract knows is still read."""
    return isinstance(target, type) and any(base.__module__ == "torch.nn.modules.module" for base in target.__mro__)


def _untried(target: Any) -> tuple[str, ...]:
    """Return the arguments that may be left out, which the calls of a contract leave out."""
    function = getattr(target, "forward", None) or (target.__call__ if isinstance(target, type) else target)
    return tuple(
        p.name for p in parameters_of(function) or () if p.default is not p.empty and "mask" not in p.name.lower()
    )


def _best_of(choices: Sequence[Contract], target: Any) -> tuple[Diagnosis, Contract]:
    """Return the diagnosis that leaves the least open, and the contract that it was made by."""
    found: list[Diagnosis] = []
    for choice in choices:
        found.append(_judged_as(choice, target))
        if found[-1].verdict == "right":
            break
    best = min(found, key=_how_much_is_left_open)
    return best, choices[found.index(best)]


def _judged_as(contract: Contract, target: Any) -> Diagnosis:
    try:
        subject = _bound(contract, target)
        if isinstance(subject, KernelSubject) and subject.is_right:
            return diagnose_swept(subject)
    except UnjudgedError as error:
        return Diagnosis("unjudged", str(contract), contract_name=contract.registered_name, reason=str(error))
    return _judge(subject)


def _bound(contract: Contract, target: Any) -> Subject:
    """Return the target as the subject of a contract.

    Raises:
        UnjudgedError: it cannot be, or it raises when it is made.
    """
    try:
        return contract.bind(target)
    except SurgeonError:
        raise
    except ModuleNotFoundError as error:
        raise UnjudgedError(f"{refusal(target.__name__, [words_of_error(error)], 1).reason}.") from error
    except Exception as error:
        raise UnjudgedError(f"it raises when it is made: {type(error).__name__}: {error}") from error


def _how_much_is_left_open(diagnosis: Diagnosis) -> tuple[int, int]:
    """Order diagnoses: right, wrong with few faults, wrong and not recognised, not judged."""
    if diagnosis.verdict == "right":
        return 0, 0
    if diagnosis.verdict == "unjudged":
        return 3, 0
    return (1, len(diagnosis.faults)) if diagnosis.is_recognised else (2, 0)


def _with_remarks(diagnosis: Diagnosis, contract: Contract, target: Any, options: dict[str, Any]) -> Diagnosis:
    remarks = _remarks(diagnosis, contract, target, options)
    return dataclasses.replace(diagnosis, behaviour=(*diagnosis.behaviour, *remarks))


def _remarks(diagnosis: Diagnosis, contract: Contract, target: Any, options: dict[str, Any]) -> tuple[Behaviour, ...]:
    """Say what the target would be right as, where the contract was chosen and not declared."""
    asked = _OTHER_CONTRACTS if "mask" not in options else {}
    for name, (change, words) in asked.items():
        if name in diagnosis.names and hasattr(contract, next(iter(change))):
            other = dataclasses.replace(contract, **change)
            if _judged_as(other, target).verdict == "right":
                return (Behaviour(None, words, is_fault=False),)
    return ()


_OTHER_CONTRACTS: Mapping[str, tuple[dict[str, Any], str]] = {
    "mask_inverted": ({"mask": "hide"}, "it is right if True in its masks means hidden: say mask='hide' (--mask hide)"),
    "mask_added_as_zero_one": (
        {"mask": "additive"},
        "it is right if its masks are numbers to add: say mask='additive' (--mask additive)",
    ),
    "scale_missing": ({"scaled": False}, "it is right if no scale is asked for: say scaled=False (--unscaled)"),
    "causal_aligned_at_start": (
        {"align": "start"},
        "it is right if the first query sees the first key only: say align='start' (--align start)",
    ),
}


def _judge(subject: Subject, explanation: Explanation | None = None) -> Diagnosis:
    unsteady = steadiness_of(subject)
    explanation = Explanation(()) if unsteady else explanation or _explain(subject)
    found = explanation.hypotheses
    circuit = explanation.circuit
    behaviour = [*unsteady, *_errors(subject, explanation), *_not_numbers(subject, circuit)]
    if not unsteady:
        behaviour += [
            seen for seen in subject.behaviour(circuit) if seen.fault not in {other.fault for other in behaviour}
        ]
    is_right = found == ((),) and not any(seen.is_fault for seen in behaviour)
    difference = example = None
    if not is_right:
        difference = difference_of_circuit(subject, circuit) if circuit and found[0] else difference_in_answer(subject)
        difference = _without_claims_on(difference, behaviour, found[1:])
        example = counterexample(subject)
    return diagnosed(
        status="right" if is_right else "wrong",
        contract=str(subject.contract),
        contract_name=subject.contract.registered_name,
        explanations=tuple(h for h in found if h),
        behaviour=(*behaviour, *(Behaviour(None, remark, is_fault=False) for remark in subject.remarks)),
        difference=difference,
        counterexample=example,
        called_with=subject.cases(0)[0].sentence,
        calls=tuple(case.name for case in subject.cases(0)),
    )


_STEP_OF: Mapping[str, str] = {
    "scale": "scaled",
    "mask": "masked",
    "normalise": "weights",
    "combine": "output",
    "merge": "output",
    "output": "output",
    "state": "output",
}
"""The step that a mistake of a stage shows in; those of the stages before the scale show in the scores."""


def _without_claims_on(
    difference: Difference | None, behaviour: Sequence[Behaviour], others: Sequence[Sequence[Fault]]
) -> Difference | None:
    """Take back that a step is right where something seen in the behaviour, or another explanation, may be wrong."""
    if difference is None:
        return None
    if any(seen.is_fault and seen.fault is None for seen in behaviour):
        return dataclasses.replace(difference, right_before=())
    seen_too = [find_fault(seen.fault) for seen in behaviour if seen.is_fault and seen.fault is not None]
    before = difference.right_before
    for fault in (*seen_too, *(fault for faults in others for fault in faults)):
        step = _STEP_OF.get(fault.words.stage, "scores")
        before = before[: before.index(step)] if step in before else before
    return dataclasses.replace(difference, right_before=before)


def _explain(subject: Subject) -> Explanation:
    """Explain the first probe; if nothing does, the second, whose sizes are others."""
    found = (explain(subject, probe) for probe in range(NUM_PROBES))
    return next((explanation for explanation in found if explanation.hypotheses), Explanation(()))


def _not_numbers(subject: Subject, circuit: Circuit | None) -> list[Behaviour]:
    """Say in which call the target gives NaN though what it computes otherwise would give numbers."""
    if circuit is None:
        return []
    for case in subject.cases(0):
        given, expected = subject.ask(case), subject.answer(circuit, case)
        if given.error is None and not is_finite(given) and expected.error is None and is_finite(expected):
            return [Behaviour("nan_rows", f"NaN comes out of the call {case.sentence}")]
    return []


def _errors(subject: Subject, explanation: Explanation) -> list[Behaviour]:
    """Say in which calls the target raises though nothing that was recognised makes it."""
    if explanation.hypotheses and explanation.agrees_on_errors:
        return []
    for case in subject.cases(0):
        error = subject.ask(case).error
        if error is not None:
            return [Behaviour(None, f"it raises in the call {case.sentence}: {error}")]
    return []
