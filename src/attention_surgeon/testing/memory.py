"""Whether a target remembers an answer by the shape of a call, and gives it again for other numbers."""

from attention_surgeon.ops import Circuit
from attention_surgeon.testing.answer import same_answer
from attention_surgeon.testing.contract import Conduct, Subject


def remembered(subject: Subject, circuit: Circuit) -> list[Conduct]:
    """Return the fault `shares_state` where the first call, made again with other numbers, gets the old answer.

    Args:
        subject: What is judged.
        circuit: What it computes, as far as the calls of the probes tell. A target that always answers the same (an
            output of zeros) has a circuit that does so, too.
    """
    case = subject.cases(0)[0]
    other = case.with_other_numbers()
    if other is None:
        return []
    first, given = subject.ask(case), subject.ask(other)
    if given.error is not None or not same_answer(given, first) or same_answer(given, subject.answer(circuit, other)):
        return []
    return [Conduct("shares_state", "a call with other numbers of the same sizes gets the answer of the call before")]
