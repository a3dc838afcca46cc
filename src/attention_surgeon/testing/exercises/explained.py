"""A failed exercise, explained: what was seen, a question, where to look, the line; and the numbers to draw."""

from typing import final

from attention_surgeon.errors import SurgeonError
from attention_surgeon.testing.answer import Array


@final
class ExplainedError(SurgeonError, AssertionError):
    """What somebody wrote is not what the exercise asks, and this is why.

    The text is the symptom and the question: enough to go on with, and nothing given away.

    Attributes:
        name: Of the mistake, `snake_case`; None for one that was not recognised.
        symptom: What was seen, in a sentence.
        question: Leads there without saying it.
        pointer: Says where to look.
        fix: The line, as code.
        step: Which value differs, `scores`; empty where none does.
        yours: That value as it was given, where it is numbers.
        expected: As it should be.
    """

    def __init__(
        self,
        name: str | None,
        symptom: str,
        *,
        question: str = "",
        pointer: str = "",
        fix: str = "",
        step: str = "",
        yours: Array | None = None,
        expected: Array | None = None,
    ) -> None:
        """Keep every level of the explanation."""
        super().__init__(f"{symptom} {question}".strip())
        self.name, self.symptom, self.question, self.pointer, self.fix = name, symptom, question, pointer, fix
        self.step, self.yours, self.expected = step, yours, expected
