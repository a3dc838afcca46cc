"""How a check says that something is not what its exercise asks, and how it says that it stopped with an error."""

from typing import final

from attention_surgeon.diagnose.crash import Crash
from attention_surgeon.errors import SurgeonError
from attention_surgeon.verdict import Array, Location, Mistake


@final
class CrashError(SurgeonError, AssertionError):
    """A line of the learner's own stopped with an error; the text is file, line, the line itself, and what it means.

    Attributes:
        crash: All of it.
    """

    def __init__(self, crash: Crash) -> None:
        """Keep what is known."""
        self.crash = crash
        super().__init__(str(crash))


@final
class ExplainedError(SurgeonError, AssertionError):
    """What somebody wrote is not what the exercise asks, and this is why.

    The text is what was seen and the question: enough to go on with, and nothing given away.

    Attributes:
        mistake: Its name, empty for one that was not recognised, and what leads to it.
        step: Which value differs, `scores`; empty where none does.
        yours: That value as it was given, where it is numbers.
        expected: As it should be.
        location: The line, where it is known.
    """

    def __init__(
        self,
        name: str | Mistake | None,
        symptom: str = "",
        *,
        question: str = "",
        pointer: str = "",
        fix: str = "",
        step: str = "",
        yours: Array | None = None,
        expected: Array | None = None,
        location: Location | None = None,
    ) -> None:
        """Keep every level of the explanation.

        Args:
            name: A whole `Mistake`; or a name, `snake_case`, with the words that follow; None: not recognised.
            symptom: What was seen, in a sentence.
            question: Leads there without saying it.
            pointer: Says where to look.
            fix: The line, as code.
            step: Which value differs.
            yours: That value as it was given.
            expected: As it should be.
            location: The line, where it is known.
        """
        if not isinstance(name, Mistake):
            name = Mistake(name or "", symptom=symptom, question=question, pointer=pointer, fix=fix)
        self.mistake = name
        self.step, self.yours, self.expected, self.location = step, yours, expected, location
        super().__init__(f"{self.symptom} {self.question}".strip())

    @property
    def name(self) -> str | None:
        """Of the mistake; None for one that was not recognised."""
        return self.mistake.name or None

    @property
    def symptom(self) -> str:
        """What was seen, in a sentence."""
        return self.mistake.seen[0] if self.mistake.seen else self.mistake.symptom

    @property
    def question(self) -> str:
        """Leads there without saying it."""
        return self.mistake.question

    @property
    def pointer(self) -> str:
        """Says where to look."""
        return self.mistake.pointer

    @property
    def fix(self) -> str:
        """The line, as code."""
        return self.mistake.fix


def not_written_yet(error: NotImplementedError) -> ExplainedError:
    """Return what an untouched stub is told."""
    return ExplainedError(
        "not_written_yet", f"Not written yet ({error}).", question="What is the first line that you are sure of?",
        pointer="Write below `# YOUR CODE HERE` and remove the line that raises.", fix="",
    )  # fmt: skip


def other_values(symptom: str, fix: str) -> ExplainedError:
    """Return what is said to a function that returns something else than its text promises."""
    return ExplainedError(
        "other_values", symptom, question="What does the text above your function promise?",
        pointer="Look at what stands behind `return`.", fix=fix,
    )  # fmt: skip
