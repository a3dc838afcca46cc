"""Whether asking twice gives the same answer: what must be known before anything else can be said."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from attention_surgeon.testing.answer import Answer, same_answer
from attention_surgeon.testing.arrays import to_array
from attention_surgeon.testing.contract import Conduct, Subject
from attention_surgeon.testing.surroundings import random_state_kept


def steadiness_of(subject: Subject) -> list[Conduct]:
    """Return the faults that show when the same call is made again: chance, or memory of the calls before."""
    cases = [case for case in subject.cases(0) if subject.ask(case).error is None]
    if not cases:
        return []
    with random_state_kept():
        first, again = subject.ask(cases[0]), subject.ask(cases[0])
        if not same_answer(first, again):
            return [_chance_or_memory(subject, cases[0])]
        other = cases[0].with_other_numbers()
        if other is not None and _is_the_same(first, subject.ask(other)):
            return [Conduct("shares_state", "other numbers of the same shapes get the answer of the call before")]
        if not same_answer(first, subject.ask(cases[0])):
            return [Conduct("shares_state", "the same call gives another answer after a call with other tensors")]
        if other is not None and _is_overwritten(subject, cases[0], other):
            return [Conduct("shares_state", "what one call returned is overwritten by the next: both share a buffer")]
        if _mask_is_remembered(subject, cases):
            return [Conduct("shares_state", "a mask is remembered: with another mask the answer stays the same")]
    return []


def _is_the_same(first: Answer, other: Answer) -> bool:
    """Whether two calls with other numbers gave one answer, and not just zeros."""
    value = first.values[0]
    return value is not None and bool(np.ptp(value) > 0) and same_answer(first, other)


def _is_overwritten(subject: Subject, case: Any, other: Any) -> bool:
    returned = subject.raw(case)
    kept = [to_array(x).copy() for x in returned]
    subject.raw(other)
    return any(
        not np.array_equal(to_array(x), before, equal_nan=True) for x, before in zip(returned, kept, strict=True)
    )


def _mask_is_remembered(subject: Subject, cases: Sequence[Any]) -> bool:
    """Whether a mask matters, and yet another mask in its place changes nothing."""
    for case in cases:
        again, without = subject.with_mask_of(case, "another"), subject.with_mask_of(case, "none")
        if again is None or without is None:
            continue
        answer = subject.ask(case)
        unmasked = subject.ask(without)
        if not all(value is None or np.isfinite(value).all() for value in answer.values):
            continue
        if unmasked.error is None and not same_answer(unmasked, answer) and same_answer(subject.ask(again), answer):
            return True
    return False


def _chance_or_memory(subject: Subject, case: object) -> Conduct:
    answers = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002  the target may draw from the old global source
        answers.append(subject.ask(case))
    if same_answer(*answers):
        return Conduct(
            "dropout_in_eval", "the same call gives another answer each time, and the same with the same seed"
        )
    return Conduct("shares_state", "the same call gives another answer the second time, whatever the seed")
