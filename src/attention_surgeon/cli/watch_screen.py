"""The window of `surgeon watch`, drawn from what is known; it never asks or reads anything itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias, final

from rich.text import Text

from attention_surgeon.cli.cells import fit, shortened, text_lines, width_of
from attention_surgeon.cli.lessons import bar, exercise_line
from attention_surgeon.cli.watch_pages import markdown_lines
from attention_surgeon.cli.window import window_lines
from attention_surgeon.course import Exercise
from attention_surgeon.course.session import Judged, covered, following
from attention_surgeon.course.state import Standing

Mode: TypeAlias = Literal["verdict", "list", "predict", "page"]
_NARROWEST, _LOWEST = 20, 8
_CHOICES = "123456789"
_HELD = "\u00a0"
_LEAST_ASKED = 9  # lines; less is no help
_READABLE = 100  # cells; longer lines of prose are hard to follow


@final
@dataclass
class View:
    """Everything that is on the screen.

    Attributes:
        exercise: The current one.
        exercises: All of them.
        standings: How each stands.
        judged: The last verdict on the current one.
        mode: What takes the middle of the window.
        busy: What is going on at this moment, empty if nothing is.
        message: One sentence about the last key.
        cursor: Where the list, or the page, is.
        page: The lines of a page.
        title: Of the page.
        links: The pages that there are for this exercise, in the order of their numbers.
        asked: What the course's page says of this exercise, as Markdown; it fills what a large window leaves empty.
        news: What the last verdict said, while something else is on the screen.
        answer: Which choice of the prediction was just taken.
    """

    exercise: Exercise
    exercises: tuple[Exercise, ...]
    standings: dict[str, Standing]
    judged: Judged | None = None
    mode: Mode = "verdict"
    busy: str = ""
    message: str = ""
    cursor: int = 0
    page: list[Text] = field(default_factory=list)
    title: str = ""
    links: list[str] = field(default_factory=list)
    asked: str = ""
    news: str = ""
    answer: int | None = None


def frame(view: View, width: int, height: int) -> list[Text]:
    """Return the lines of the window: at most `height`, each at most `width` cells wide."""
    if width < _NARROWEST or height < _LOWEST:
        return [Text(shortened("make the window larger", width))]
    rule = Text("─" * width, "quiet")
    foot = [rule, *_foot_lines(view, width)][: max(height // 3, 2)]
    head = [_head_line(view, width), rule]
    room = height - len(head) - len(foot)
    is_news = bool(view.news) and view.mode != "verdict"
    news = list(text_lines(view.news, width, "heading"))[: max(room // 3, 1)] if is_news else []
    middle = _middle(view, width, room - len(news))[: room - len(news)]
    middle += [Text("")] * (room - len(news) - len(middle)) + news
    return [*head, *middle, *[Text("")] * (room - len(middle)), *foot]


def _head_line(view: View, width: int) -> Text:
    names = {exercise.name for exercise in view.exercises}
    passed = sum(bool(standing.passed) for name, standing in view.standings.items() if name in names)
    count = f"{bar(passed, len(view.exercises))} {passed}/{len(view.exercises)}"
    unit, _, name = view.exercise.name.partition(".")
    told = f"Attention Surgeon   {unit} · {name} · {view.exercise.object}"
    return Text.assemble((fit(told, width - width_of(count) - 1), "heading"), " ", count)


def _middle(view: View, width: int, room: int) -> list[Text]:
    match view.mode:
        case "list":
            return _list_lines(view, width, room)
        case "predict":
            return list(_prediction_lines(view, width))
        case "page":
            return [Text(fit(view.title, width), "heading"), *view.page[view.cursor : view.cursor + room - 1]]
        case _:
            return _verdict_lines(view, width, room)


def _verdict_lines(view: View, width: int, room: int) -> list[Text]:
    above = [Text(fit(view.busy, width), "quiet")] if view.busy else []
    told = view.message or _what_is_next(view)
    below = list(text_lines(told, width, "heading"))[: max(room // 3, 1)] if told else []  # the verdict stays above it
    if view.judged is None:
        middle = list(_opening_lines(view.exercise, width))
    else:
        middle = window_lines(view.judged, view.exercise, width, room - len(above) - len(below))
    lines = [*above, *middle, *below][:room]
    return [*lines, *_asked_lines(view, width, room - len(lines))]


def _asked_lines(view: View, width: int, room: int) -> list[Text]:
    """Return what the exercise asks, as much as the window leaves room for; nothing where that is too little."""
    status = "" if view.judged is None else view.judged.verdict.status
    if room < _LEAST_ASKED or not view.asked or status == "passed":
        return []
    is_told = status in ("", "untouched")  # the verdict has the shapes already
    shapes = [] if is_told else list(text_lines(view.exercise.shapes, width, "quiet", indent=2))
    head = [Text(""), Text("─── what is asked ".ljust(min(width, _READABLE), "─"), "quiet"), *shapes]
    lines = markdown_lines(view.asked, min(width, _READABLE))
    page = [line for above, line in pairwise([Text(""), *lines]) if line.plain or above.plain]
    rest = room - len(head)
    if len(page) > rest:
        page = [*page[: rest - 1], Text("o shows the whole page", "quiet")]
    return [*head, *page]


def _what_is_next(view: View) -> str:
    """Return what `n` leads to, once the present exercise is passed."""
    if view.judged is None or view.judged.verdict.status != "passed":
        return ""
    other = following(view.exercises, view.exercise, view.standings)
    if other is None:
        return "No exercise is left: surgeon progress makes a page of it."
    return f"n goes to: {other.title} ({other.minutes} min), {other.path}"


def _opening_lines(exercise: Exercise, width: int) -> Iterator[Text]:
    yield from text_lines(f"{exercise.title} · {exercise.minutes} min", width, "heading")
    yield from text_lines(f"write {exercise.object} in {exercise.path}", width)
    yield from text_lines(exercise.shapes, width, "quiet")


def _list_lines(view: View, width: int, room: int) -> list[Text]:
    first = max(0, min(view.cursor - room // 2, len(view.exercises) - room))
    lines = []
    spared = covered(view.exercises, view.standings)
    for place, exercise in enumerate(view.exercises[first : first + room], start=first):
        standing = view.standings.get(exercise.name, Standing())
        by = spared.get(exercise.name, "")
        lines.append(exercise_line(exercise, standing, place == view.cursor, width, by))
    return lines


def _prediction_lines(view: View, width: int) -> Iterator[Text]:
    asked = view.exercise.predict
    if asked is None:
        return
    yield from text_lines("Before you run it:", width, "quiet")
    yield from text_lines(asked.question, width, "heading")
    yield Text("")
    for place, choice in enumerate(asked.choices):
        taken = "▸" if place == view.answer else " "
        sign = "" if view.answer is None else "  ✓" if place == asked.answer else "  ✗" if place == view.answer else ""
        yield from text_lines(f"{taken} {_CHOICES[place]}  {choice}{sign}", width, more=5)
    if view.answer is not None:
        yield Text("")
        yield from text_lines(asked.why, width)


def _foot_lines(view: View, width: int) -> list[Text]:
    keys = " · ".join(key.replace(" ", _HELD) for key in _keys(view))
    return [Text(line.plain.replace(_HELD, " "), "quiet") for line in text_lines(keys, width)]


def _keys(view: View) -> list[str]:
    if view.mode == "list":
        return ["↑↓ choose", "enter go", "l back", "q quit"]
    if view.mode == "page":
        pages = [f"{number} {name}" for number, name in enumerate(view.links, start=1) if name != view.title]
        return ["↑↓ PgUp PgDn scroll", *pages, "o back", "q quit"]
    if view.mode == "predict":
        return [*([] if view.answer is not None else ["press a number"]), "p back", "q quit"]
    return [*_keys_of_verdict(view), "l list", "r reset", "u undo", "o page", "q quit"]


def _keys_of_verdict(view: View) -> Iterator[str]:
    judged = view.judged
    if judged is not None and judged.verdict.status == "passed":
        yield "n next"
        yield "d compare with the solution"
    elif judged is not None and judged.verdict.status == "mistake":
        if not judged.verdict.mistakes:
            yield "h hint"
        elif judged.level != "fix":
            yield "h pointer" if judged.level == "question" else "h fix"
        yield "s see your bug"
        yield "n next"
    else:
        yield "h hint"
        yield "n next"
    if view.exercise.predict is not None and view.standings.get(view.exercise.name, Standing()).prediction is None:
        yield "p predict"
