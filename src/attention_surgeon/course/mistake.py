"""What a unit's own check raises: a mistake with a name and three levels of words."""

from typing import final


@final
class Mistake(AssertionError):
    """A mistake that a function of a checks file has recognised; under plain pytest a test that meets it fails.

    Attributes:
        name: `snake_case`, as the faults of the catalogue.
        symptom: What is seen, in one sentence.
        question: Leads there; empty for the exercise's own hint.
        pointer: Where to look; the same.
        fix: The line, as code; the same.

    >>> raise Mistake("axes_swapped", "Queries stand on the x axis.", question="Which axis do queries belong to?")
    Traceback (most recent call last):
    attention_surgeon.course.mistake.Mistake: Queries stand on the x axis.
    """

    def __init__(self, name: str, symptom: str, *, question: str = "", pointer: str = "", fix: str = "") -> None:
        """Keep the words."""
        super().__init__(symptom)
        self.name, self.symptom = name, symptom
        self.question, self.pointer, self.fix = question, pointer, fix
