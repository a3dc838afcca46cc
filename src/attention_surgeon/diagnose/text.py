"""A diagnosis in plain words, for a test's report and for `print`."""

from collections.abc import Iterator

import numpy as np

from attention_surgeon.diagnose.diagnosis import Counterexample, Diagnosis, Difference
from attention_surgeon.testing.answer import Array

_MOST_ROWS = 4


def as_text(diagnosis: Diagnosis) -> str:
    """Return the diagnosis as lines of text.

    >>> print(as_text(Diagnosis("right", "attention")))
    RIGHT as attention
    """
    return "\n".join(_lines(diagnosis))


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    if diagnosis.verdict == "unjudged":
        yield f"COULD NOT BE JUDGED as {diagnosis.contract}: {diagnosis.reason}"
        return
    yield f"{diagnosis.verdict.upper()} as {diagnosis.contract}"
    for fault in diagnosis.faults:
        yield f"  {fault.name} ({fault.stage}): {fault.summary}"
        yield f"    {fault.pointer}"
        if fault.sightings:
            yield f"    seen in the wild: {' · '.join(map(str, fault.sightings))}"
    if diagnosis.ties:
        yield f"  the same function here: {' or '.join(' + '.join(names) for names in diagnosis.ties)}"
    if not diagnosis.is_recognised:
        yield "  this mistake is not in the catalogue"
    yield from (f"  {'' if seen.is_fault else 'remark: '}{seen.evidence}" for seen in diagnosis.conduct)
    if diagnosis.difference is not None:
        yield from _difference(diagnosis.difference)
    if diagnosis.counterexample is not None:
        yield from _counterexample(diagnosis.counterexample)


def _difference(difference: Difference) -> Iterator[str]:
    before = f" ({', '.join(difference.right_before)} right)" if difference.right_before else ""
    yield f"  the first step that differs: {difference.step}{before}, in the call {difference.call}"
    yield from _pair(difference.yours, difference.expected)


def _counterexample(example: Counterexample) -> Iterator[str]:
    yield "  the smallest call that shows it:"
    yield from (f"    {line}" for line in example.inputs.splitlines())
    if isinstance(example.yours, str):
        yield f"    it raises {example.yours}"
    else:
        yield f"    {example.what}:"
        yield from _pair(example.yours, example.expected)


def _pair(yours: Array, expected: Array) -> Iterator[str]:
    for name, matrix in (("yours", yours), ("expected", expected)):
        rows = np.atleast_2d(matrix)
        for index, row in enumerate(rows[:_MOST_ROWS]):
            yield f"    {name if index == 0 else '':<9}{'  '.join(f'{number:8.4g}' for number in row[:9])}"
        if len(rows) > _MOST_ROWS:
            yield f"    {'':<9}({len(rows) - _MOST_ROWS} more row{'s' if len(rows) > _MOST_ROWS + 1 else ''})"
