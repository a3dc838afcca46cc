"""From answers to an explanation: the fewest faults that give the same answers, confirmed on a second probe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from attention_surgeon.diagnose.fit import fitted_faults
from attention_surgeon.diagnose.hypotheses import MOST_FAULTS, Hypothesis, make_table, singles, tables
from attention_surgeon.faults import operate
from attention_surgeon.testing.answer import Answer, same_answer
from attention_surgeon.testing.contract import Subject

NUM_PROBES = 2


@dataclass(frozen=True)
class Explanation:
    """What gives the same answers as the subject.

    Attributes:
        hypotheses: Each a set of faults; more than one where they are the same function on every probe. An empty
            set says that it is right; no set at all, that it was not recognised.
        agrees_on_errors: Whether it also raises in the same calls.
    """

    hypotheses: tuple[Hypothesis, ...]
    agrees_on_errors: bool = True


def explain(subject: Subject, probe: int = 0) -> Explanation:
    """Return the simplest explanation of what the subject answers."""
    asked = Asked(subject, probe)
    if not asked.answered:
        return Explanation(())
    imperfect: Explanation | None = None
    for level in range(MOST_FAULTS + 1):
        alive = [h for h in _alike(asked, level) if asked.fits(h)]
        confirmed = [h for h in alive if _is_confirmed(subject, probe, h)]
        perfect = tuple(h for h in confirmed if asked.agrees_on_errors(h))
        if perfect:
            return Explanation(perfect)
        if confirmed and imperfect is None:
            imperfect = Explanation(tuple(confirmed), agrees_on_errors=False)
            if level == 0:
                break
    return imperfect or Explanation(())


class Asked:
    """The subject's answers to one probe."""

    def __init__(self, subject: Subject, probe: int) -> None:
        """Ask every call of the probe once."""
        self.subject, self.probe = subject, probe
        self.answers: Mapping[str, Answer] = {case.name: subject.ask(case) for case in subject.cases(probe)}
        self.cases = {case.name: case for case in subject.cases(probe)}
        self.answered = [name for name, answer in self.answers.items() if answer.error is None]

    @property
    def telling(self) -> Any:
        """The answered call that tells most: a masked one if there is any."""
        name = next((name for name in self.answered if "mask" in name), self.answered[0])
        return self.cases[name]

    def fits(self, hypothesis: Hypothesis) -> bool:
        """Whether the hypothesis gives the same numbers in every call that was answered."""
        circuit = operate(self.subject.base, hypothesis)
        return all(
            same_answer(self.answers[name], self.subject.answer(circuit, self.cases[name])) for name in self.answered
        )

    def agrees_on_errors(self, hypothesis: Hypothesis) -> bool:
        """Whether the hypothesis raises where the subject does."""
        circuit = operate(self.subject.base, hypothesis)
        return all(
            self.subject.answer(circuit, case).error is not None
            for name, case in self.cases.items()
            if name not in self.answered
        )


def _alike(asked: Asked, level: int) -> Iterator[Hypothesis]:
    """Yield what answers the most telling call alike: from the table, and with what was fitted to this subject."""
    subject, case = asked.subject, asked.telling
    answer = asked.answers[case.name]
    yield from tables(subject.key).table(subject, level, asked.probe, case).alike(answer)
    if level == 0:
        return
    fitted = fitted_faults(subject, asked.probe)
    others = [()] if level == 1 else [(fault,) for fault in singles(subject)] if level == 2 else []
    some = [(fault, *rest) for fault in fitted for rest in others if all(f.stage != fault.stage for f in rest)]
    if level == 2:
        some += [(a, b) for a in fitted for b in fitted if a.stage < b.stage]
    yield from make_table(some, lambda h: subject.answer(operate(subject.base, h), case)).alike(answer)


def _is_confirmed(subject: Subject, probe: int, hypothesis: Hypothesis) -> bool:
    """Whether the hypothesis also holds where sizes and numbers are others."""
    return all(Asked(subject, other).fits(hypothesis) for other in range(NUM_PROBES) if other != probe)
