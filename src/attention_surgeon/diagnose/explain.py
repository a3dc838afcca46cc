"""From answers to an explanation: the fewest faults that give the same answers, confirmed on a second probe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from attention_surgeon.diagnose.fit import fitted_faults
from attention_surgeon.diagnose.hypotheses import MOST_FAULTS, Hypothesis, hypotheses, make_table, singles, tables
from attention_surgeon.faults import operate
from attention_surgeon.ops import Circuit
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
    others = [Asked(subject, other) for other in range(NUM_PROBES) if other != probe]
    imperfect: Explanation | None = None
    for level in range(MOST_FAULTS + 1):
        for find in (_from_tables, _fitted):
            alive = [h for h in find(asked, level) if asked.fits(h) and all(other.fits(h) for other in others)]
            perfect = tuple(h for h in alive if asked.agrees_on_errors(h))
            if perfect:
                return Explanation(perfect)
            if alive and imperfect is None:
                imperfect = Explanation(tuple(alive), agrees_on_errors=False)
        if level == 0 and imperfect is not None:
            break
    return imperfect or Explanation(())


class Asked:
    """The subject's answers to one probe."""

    def __init__(self, subject: Subject, probe: int) -> None:
        """Ask every call of the probe once."""
        self.subject, self.probe = subject, probe
        self.cases = {case.name: case for case in subject.cases(probe)}
        self.answers: Mapping[str, Answer] = {name: subject.ask(case) for name, case in self.cases.items()}
        self.answered = [name for name, answer in self.answers.items() if answer.error is None]

    @property
    def telling(self) -> Any:
        """The answered call that tells most: one with a ragged mask if there is any."""
        name = next((name for name in self.answered if name.startswith("masked")), self.answered[0])
        return self.cases[name]

    def fits(self, hypothesis: Hypothesis) -> bool:
        """Whether the hypothesis gives the same numbers in every call that was answered."""
        return any(self._fits(operate(circuit, hypothesis)) for circuit in self.subject.variants())

    def agrees_on_errors(self, hypothesis: Hypothesis) -> bool:
        """Whether the hypothesis raises where the subject does."""
        circuit = operate(self.subject.base, hypothesis)
        silent = (case for name, case in self.cases.items() if name not in self.answered)
        return all(self.subject.answer(circuit, case).error is not None for case in silent)

    def _fits(self, circuit: Circuit) -> bool:
        answer = self.subject.answer
        return all(same_answer(self.answers[name], answer(circuit, self.cases[name])) for name in self.answered)


def _from_tables(asked: Asked, level: int) -> Iterator[Hypothesis]:
    """Yield what answers the most telling call alike, of the catalogue as it stands."""
    subject, case = asked.subject, asked.telling
    table = tables(subject.key).table(subject, level, asked.probe, case)
    return table.alike(asked.answers[case.name])


def _fitted(asked: Asked, level: int) -> Iterator[Hypothesis]:
    """Yield what answers alike once a number is read off: a constant scale, a fill."""
    if level == 0:
        return
    subject, case = asked.subject, asked.telling
    fitted = fitted_faults(subject, asked.probe)
    others = hypotheses(singles(subject), level - 1)
    some = [(fault, *rest) for rest in others for fault in fitted if all(f.stage != fault.stage for f in rest)]
    if level == 2:
        some += [(a, b) for a in fitted for b in fitted if a.stage < b.stage]
    yield from make_table(some, lambda h: subject.answer(operate(subject.base, h), case)).alike(
        asked.answers[case.name]
    )
