"""Which judge leads a search: the operations of a layer, the answers of a function; then the other one."""

from collections.abc import Iterator, Mapping
from typing import Any

from attention_surgeon.diagnose.judge import diagnose, right_as
from attention_surgeon.repair.judge import Judge
from attention_surgeon.repair.judge_answers import AnswersJudge
from attention_surgeon.repair.judge_masks import MaskJudge
from attention_surgeon.repair.judge_operations import OperationsJudge
from attention_surgeon.repair.workbench import TooLongError, bounded
from attention_surgeon.testing import contracts_for
from attention_surgeon.testing.function_behaviour import FunctionContract
from attention_surgeon.testing.layer.behaviour import LayerContract
from attention_surgeon.testing.steadiness import surroundings_kept

_FIRST, _SECOND = 0.6, 0.4
"""What of the time the judge that leads may take, and the one after it."""


def judges_of(
    target: Any, contract: str | None, options: Mapping[str, Any], seconds: int | float
) -> Iterator[tuple[Judge, float]]:
    """Yield the judges that may lead a search, each with the CPU seconds that it gets; 0 where nothing can be searched.

    A judge that finds the object right comes alone: then there is nothing to mend.

    Args:
        target: The object.
        contract: What it should be; None: whatever its own operations say that it is.
        options: Of the contract.
        seconds: Of CPU for all of them.
    """
    choices = contracts_for(target, contract, **options)
    is_layer = any(isinstance(choice, LayerContract) for choice in choices)
    if not is_layer and not any(isinstance(choice, FunctionContract) for choice in choices):
        mask = MaskJudge(target) if contract is None and not options else None
        if mask is not None and mask.first.status != "unjudged":
            yield mask, seconds
            return
        answers = AnswersJudge(target, contract, options)
        with surroundings_kept():
            is_meant = contract is not None or set(diagnose(target, **options).names) <= set(answers.first.names)
        yield answers, seconds if is_meant else 0.0  # a prefix mask is no causal one: to make it one mends nothing
        return
    with surroundings_kept():
        is_as_asked = contract is not None and any(right_as(choice, target) for choice in choices)
    seen = OperationsJudge(target, contract, options)
    if is_as_asked:
        yield AnswersJudge(target, contract, options), seconds
    elif seen.first.status == "right" and contract is None:
        yield seen, seconds
    elif seen.first.status != "wrong":
        answers = _answers(target, contract, options, seconds)
        if answers is None or (contract is None and answers.first.status == "wrong" and not answers.is_recognised):
            yield seen, 0.0
        else:
            yield answers, seconds
    elif is_layer:
        yield seen, _FIRST * seconds
        answers = _answers(target, contract, options, _SECOND * seconds)
        if answers is not None and answers.is_recognised:
            answers.beside = seen
            answers.places, answers.words = seen.places, seen.words
            yield answers, _SECOND * seconds
    else:
        answers = _answers(target, contract, options, seconds)
        if answers is not None and answers.is_recognised:
            answers.beside = seen if contract is None else None
            answers.places, answers.words = seen.places, seen.words
            yield answers, _FIRST * seconds
        yield seen, _SECOND * seconds


def _answers(
    target: Any, contract: str | None, options: Mapping[str, Any], seconds: int | float
) -> AnswersJudge | None:
    """Return the judge by answers; None where it takes too long to say what is wrong."""
    try:
        with bounded(seconds):
            return AnswersJudge(target, contract, options)
    except TooLongError:
        return None
