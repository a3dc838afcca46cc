"""The learner's journal: an entry for each exercise and each unit that is done. What the learner wrote stays."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from attention_surgeon.course.registry import Exercise, Unit
from attention_surgeon.course.state import Standing
from attention_surgeon.course.verdict import ExerciseVerdict
from attention_surgeon.journal import add_entry, read_journal

_ANSWER = "Your answer:"
_QUESTION = re.compile(r"^\d+\. ", re.MULTILINE)
_NOTHING = {"todo", "tbd", "tba", "later", "xxx", "n a", "na", "none", "your answer", "answer", "i don t know", "idk"}
_ENTRY = re.compile(r"^<!-- surgeon: (\S+) -->$", re.MULTILINE)


def exercise_entry(exercise: Exercise, standing: Standing, verdict: ExerciseVerdict) -> str:
    """Return the entry of an exercise, as Markdown."""
    day = datetime.fromisoformat(standing.passed).strftime("%Y-%m-%d %H:%M")
    tries = f"{standing.attempts} version{'' if standing.attempts == 1 else 's'} judged"
    beaten = ", ".join(f"`{name}`" for name in standing.beaten) or "none"
    parts = [
        _mark(exercise.name),
        f"## {day} · {exercise.title}",
        exercise.passed,
        f"`{exercise.path}`, {exercise.object}, sha {verdict.sha256[:12]} · {tries} · {exercise.shapes}",
        f"Mistakes beaten: {beaten}.",
        *([f"The solution was opened before, on {standing.solution[:10]}."] if standing.solution else []),
        *_predicted(exercise, standing),
        *_questions(exercise.reflect),
    ]
    return "\n\n".join(parts) + "\n"


def unit_entry(unit: Unit, when: datetime) -> str:
    """Return the entry of a unit that is done: its questions."""
    parts = [_mark(unit.name), f"## {when:%Y-%m-%d} · {unit.title}: done", *_questions(unit.reflect)]
    return "\n\n".join(parts) + "\n"


def add_entry_once(file: Path, entry: str) -> None:
    """Add an entry at the end, unless there is one of that name.

    Raises:
        FileAccessError: the journal cannot be read or written.
    """
    mark = _ENTRY.search(entry)
    if mark is None or mark[1] not in entries(file):
        add_entry(file, entry)


def entries(file: Path) -> dict[str, str]:
    """Return the text of each entry by the name of its exercise or unit.

    Raises:
        FileAccessError: the journal is there and cannot be read.
    """
    text = read_journal(file).decode(errors="replace")
    marks = list(_ENTRY.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return {mark[1]: text[mark.end() : end] for mark, end in zip(marks, ends, strict=False)}


def unanswered(entry: str) -> int:
    """Return how many questions of an entry have no answer yet.

    >>> unanswered("1. Why?\\n\\n   Your answer: because\\n\\n2. What?\\n\\n   Your answer: ...\\n")
    1
    """
    return sum(not answer for _, answer in answers(entry))


def num_questions(entry: str) -> int:
    """Return how many questions an entry asks."""
    return len(answers(entry))


def answers(entry: str) -> list[tuple[str, str]]:
    """Return the questions of an entry, each with its answer; empty where nothing was said, or only a placeholder.

    >>> answers("1. Why?\\n\\n   Your answer: because\\n\\n2. What?\\n\\n   Your answer: TODO\\n")
    [('Why?', 'because'), ('What?', '')]
    """
    before, *parts = re.split(rf"^\s*{_ANSWER}", entry, flags=re.MULTILINE)
    found = []
    for place, part in enumerate(parts):
        asked = list(_QUESTION.finditer(before))
        question = before[asked[-1].end() :] if asked else before
        own = re.split(r"^#", part, maxsplit=1, flags=re.MULTILINE)[0]
        following = list(_QUESTION.finditer(own)) if place < len(parts) - 1 else []
        own = own[: following[-1].start()] if following else own  # a list of one's own may have numbers too
        found.append((" ".join(question.split()), _said(own)))
        before = part
    return found


def _said(text: str) -> str:
    """Return what somebody wrote, empty where it says nothing."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip()
    words = re.findall(r"\w+", text.lower())
    return "" if not words or " ".join(words) in _NOTHING else text


def _mark(name: str) -> str:
    return f"<!-- surgeon: {name} -->"


def _predicted(exercise: Exercise, standing: Standing) -> list[str]:
    asked = exercise.predict
    if asked is None or standing.prediction is None:
        return []
    was = "right" if standing.prediction == asked.answer else f"not so: {asked.choices[asked.answer]}"
    return [f"Predicted: {asked.question} {asked.choices[standing.prediction]} ({was}). {asked.why}"]


def _questions(questions: Sequence[str]) -> list[str]:
    return [f"{number}. {question}\n\n   {_ANSWER}" for number, question in enumerate(questions, start=1)]
