"""Print every sentence of every stub and how it is checked: `python -m docs.sentences`.

A sentence is checked where somebody's attempt that breaks it, and nothing else, is refused.
"""

from attention_surgeon.course import Exercise
from tests.course_content.attempts import WRONG
from tests.course_content.exercises import course
from tests.course_content.test_stub_sentences import ONLY_SAID, plain, sentences_of

_MOST = 3  # attempts that are named for one sentence


def rows(exercise: Exercise) -> list[tuple[str, str]]:
    """Return the sentences of an exercise, each with what is refused because of it."""
    attempts = [(plain(each.breaks), each.name) for each in WRONG if each.exercise == exercise.name and each.breaks]
    found = []
    for sentence in dict.fromkeys(sentences_of(exercise)):
        names = [name for words, name in attempts if words in sentence or sentence in words]
        more = f", and {len(names) - _MOST} more" if len(names) > _MOST else ""
        checked = ", ".join(names[:_MOST]) + more
        is_only_said = sentence in ONLY_SAID.get(exercise.name, ())
        found.append((sentence, "tells what is given" if is_only_said else f"refused: {checked}"))
    return found


def cell(text: str) -> str:
    """Return a text as it stands in a cell of a table."""
    return text.replace("|", "\\|").replace("*", "\\*")


def main() -> None:
    """Print one table."""
    print("| exercise | sentence | its check |\n| --- | --- | --- |")
    for exercise in course().exercises:
        for sentence, checked in rows(exercise):
            print(f"| {exercise.name} | {cell(sentence)} | {cell(checked)} |")


if __name__ == "__main__":
    main()
