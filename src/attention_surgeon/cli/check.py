"""What `surgeon check` prints."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from attention_surgeon.cli.cells import count, fit, text_lines
from attention_surgeon.cli.console import make_console, show, write
from attention_surgeon.cli.window import duration, window_lines
from attention_surgeon.course import Exercise
from attention_surgeon.course.asking import Allowance
from attention_surgeon.course.client import Judge
from attention_surgeon.course.session import Judged, following, judge_exercise
from attention_surgeon.course.workspace import Workspace
from attention_surgeon.errors import FileAccessError

_FORMAT, _VERSION = "attention-surgeon verdicts", 2
_EXIT_CODES = {"passed": 0, "mistake": 1, "unfinished": 1, "untouched": 1, "stopped": 2}
SIGNS = {"passed": ("✓", "good"), "covered": ("↷", "quiet"), "mistake": ("✗", "bad"), "stopped": ("✗", "bad")}
_IN_A_WORD = {"untouched": "not begun", "unfinished": "not finished", "passed": "right"}


def check_one(workspace: Workspace, exercise: Exercise, seconds: float, *, as_json: bool) -> int:
    """Judge one exercise, print the verdict and return the exit code."""
    with Judge() as judge:
        judged = judge_exercise(workspace, judge, exercise, Allowance(seconds))
    with workspace.state.changing() as state:
        state.current = exercise.name
    if as_json:
        _write_json([judged])
    else:
        console = make_console()
        lines = [_title(exercise, console.width), *window_lines(judged, exercise, console.width)]
        show([*lines, Text(""), *text_lines(_what_next(workspace, exercise, judged), console.width, "quiet")], console)
    return _EXIT_CODES[judged.verdict.status]


def check_all(workspace: Workspace, seconds: float, *, as_json: bool) -> int:
    """Judge every exercise that has a file, print a line for each and return 0 if all are passed."""
    judged: list[Judged] = []
    exercises = workspace.course.exercises
    console = make_console()
    with Judge() as judge:
        for exercise in exercises:
            try:
                judged.append(judge_exercise(workspace, judge, exercise, Allowance(seconds)))
            except FileAccessError as error:
                if not as_json:
                    show(text_lines(f"? {exercise.name}: {error}", console.width), console)
                continue
            if not as_json:
                show(_row(judged[-1], console.width), console)
    if as_json:
        _write_json(judged)
    else:
        show(_summary(judged, len(exercises), console.width), console)
    return 0 if len(judged) == len(exercises) and all(each.verdict.status == "passed" for each in judged) else 1


def _write_json(judged: list[Judged]) -> None:
    verdicts = [_plain(each) for each in judged]
    write(f"{json.dumps({'format': _FORMAT, 'version': _VERSION, 'verdicts': verdicts})}\n")


def _plain(judged: Judged) -> dict[str, Any]:
    own = {"since": judged.since, "level": judged.level, "notes": list(judged.notes), "first_pass": judged.is_new}
    return judged.verdict.as_dict() | own


def _title(exercise: Exercise, width: int) -> Text:
    return Text(fit(f"{exercise.name} · {exercise.title}", width), "heading")


def _row(judged: Judged, width: int) -> Iterator[Text]:
    verdict = judged.verdict
    sign, style = SIGNS.get(verdict.status, ("○", "quiet"))
    what = (
        ", ".join(verdict.names)
        or _IN_A_WORD.get(verdict.status)
        or verdict.sentence
        or "".join(verdict.found.unnamed[:1])
    )
    name = f"{verdict.exercise:<28} "
    yield Text.assemble((sign, style), " ", name, fit(what.replace("\n", " "), max(width - len(name) - 2, 8)))


def _summary(judged: list[Judged], total: int, width: int) -> Iterator[Text]:
    counted = Counter(each.verdict.status for each in judged)
    took = sum(each.verdict.seconds for each in judged)
    open_ = total - counted["passed"]
    yield from text_lines(f"{counted['passed']} of {total} passed, {open_} open · {duration(took)}", width, "heading")


def _what_next(workspace: Workspace, exercise: Exercise, judged: Judged) -> str:
    if judged.verdict.status == "passed":
        other = following(workspace.course.exercises, exercise, workspace.state.read().exercises)
        if other is None:
            return "no exercise is left · surgeon progress makes a page of it"
        place = os.path.relpath(workspace.file(other))
        return f"next: {other.name}, {other.title} ({count(other.minutes, 'minute')}), in {place}"
    more = {"question": "surgeon hint says where to look", "pointer": "surgeon hint shows the line"}
    last = "surgeon hint shows a patch" if workspace.course.allow_patch else "surgeon reset begins again"
    return f"{more.get(judged.level, last)} · surgeon undo goes back a version"
