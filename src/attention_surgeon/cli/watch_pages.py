"""The pages of `surgeon watch`: the course's texts, the solution beside one's own file, one's own rows that differ."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from attention_surgeon.cli.cells import fit, shortened, text_lines
from attention_surgeon.cli.matrices import compared_lines
from attention_surgeon.cli.verdict import step_in_words
from attention_surgeon.course import Exercise, Unit
from attention_surgeon.course.verdict import ExerciseVerdict

_BESIDE = 100
"""From this width on two files stand beside each other."""

_SAME = 1e-6
_SEEN = 0.05  # a share of right answers; less is chance
_AROUND = 2  # equal lines that are shown before and after a difference
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")
_HEADING = re.compile(r"^(#+) ", re.MULTILINE)
_ROWS = re.compile(r"(?<=-\|\n)(?:\|.*(?:\n|\Z))+", re.MULTILINE)  # below the rule of a table
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def readings(root: Path, unit: Unit, exercise: Exercise) -> list[PurePosixPath]:
    """Return what there is to read for an exercise: the page beside its file, that of its unit, the unit's docs.

    Args:
        root: The workspace.
        unit: Of the exercise.
        exercise: The current one.

    Returns:
        Paths relative to the workspace, each once, only those that are there.
    """
    above = [folder for folder in exercise.path.parents if unit.folder in folder.parents]
    pages = [folder / "README.md" for folder in above] + [unit.folder / unit.page]
    pages += sorted(unit.folder / "docs" / path.name for path in (root / unit.folder / "docs").glob("*.md"))
    return [page for page in dict.fromkeys(pages) if (root / page).is_file()]


def asked(text: str, exercise: Exercise, *, is_own: bool) -> str:
    """Return what a page says of an exercise: the whole of its own page, else the section that names its object.

    Commands, the page's title and a table's rows about other exercises are left out.
    """
    starts = [match.start() for match in _HEADING.finditer(text)]
    sections = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    if is_own:
        chosen = [text[text.find("\n") + 1 :]]
    else:
        chosen = [part for part in sections[1:] if re.search(rf"`{re.escape(exercise.object)}\b", part)][:1]
    text = _FENCE.sub("", "".join(chosen)).strip()
    return text if is_own else _ROWS.sub(lambda table: _rows_about(exercise.object, table[0]), text)


def _rows_about(name: str, table: str) -> str:
    """Return the rows of a table's body that name something; all of them where none does."""
    rows = table.splitlines(keepends=True)
    own = [row for row in rows if re.search(rf"`{re.escape(name)}\b", row)]
    return "".join(own or rows)


def markdown_lines(text: str, width: int) -> list[Text]:
    """Return Markdown as the terminal shows it; of a figure its words and its file."""
    console = Console(width=width, color_system=None, emoji=False, highlight=False, legacy_windows=False)
    plain = _IMAGE.sub(r"*figure: \1* (`\2`)", text)
    lines = console.render_lines(Markdown(plain, hyperlinks=False), pad=False)
    found = [Text.assemble(*((part.text, part.style or "") for part in line if not part.control)) for line in lines]
    for line in found:
        line.rstrip()
    return found


def solution_lines(own: str, solution: str, width: int) -> list[Text]:
    """Return one's own file and the course's solution as a difference: beside each other where there is room."""
    mine, theirs = own.splitlines(), solution.splitlines()
    if mine == theirs:
        return list(text_lines("Your file is the course's solution, line by line.", width))
    if width < _BESIDE:
        rows = difflib.unified_diff(mine, theirs, "yours", "the course's", lineterm="", n=_AROUND)
        styles = {"+": "good", "-": "bad", "@": "quiet"}
        return [Text(shortened(row, width), styles.get(row[:1], "")) for row in rows]
    return list(_beside(mine, theirs, (width - 3) // 2))


def differing_lines(verdict: ExerciseVerdict, width: int) -> Iterator[Text]:
    """Yield the rows in which the learner's own numbers are not what they should be, beside the right ones."""
    difference = verdict.found.difference
    if difference is None or difference.yours is None or difference.expected is None:
        return
    yours, expected = (np.atleast_2d(values) for values in (difference.yours, difference.expected))
    if yours.shape != expected.shape:
        return
    rows = [row for row in range(len(yours)) if not np.allclose(yours[row], expected[row], _SAME, _SAME)]
    if not rows:
        return
    named = ", ".join(map(str, rows))
    which = "the row that differs" if len(rows) == 1 else "the rows that differ"
    what = f"{step_in_words(difference.step)}, {which}: {named}"
    yield from text_lines(f"{PurePosixPath(verdict.path).name} (sha {verdict.sha256[:8]}): {what}", width, "heading")
    if difference.call:
        yield from text_lines(f"in the call {difference.call}", width, "quiet")
    yield from compared_lines(yours[rows], expected[rows], width)
    yield Text("")


def trained_lines(found: Mapping[str, Any], name: str, width: int) -> Iterator[Text]:
    """Yield what a model learned with the course's solution and with the learner's file, only where the two differ.

    Args:
        found: As `course.beside.train_beside` returns it, or how it ended before.
        name: Of what the learner wrote.
        width: Of the window.
    """
    if found.get("status") == "unwanted":
        yield from text_lines("The training has ended: your file was saved meanwhile. s begins anew.", width)
        return
    if found.get("sentence"):
        yield from text_lines(f"No model could be trained with your file. {found['sentence']}", width)
        return
    if not found.get("steps"):
        yield from text_lines(f"Nothing is trained here: `{name}` alone cannot stand in a model.", width)
        return
    is_pattern = any("pattern" in row[0] for row in found["measured"])
    game = "to go on with a pattern of three symbols" if is_pattern else "to find a symbol at another place"
    steps = f"{found['steps']} steps, once with the course's solution and once with your file"
    yield from text_lines(f"A small model learned {game}: {steps}.", width)
    differ = [row for row in found["measured"] if abs(row[1] - row[2]) >= _SEEN]
    if not differ:
        yield from text_lines("Both answer alike: this game does not show your mistake. The verdict does.", width)
        return
    yield Text("")
    yield Text(shortened("solution  yours   right answers to", width), "quiet")
    for label, healthy, yours in differ:
        yield Text(shortened(f"{healthy:>8.0%}{yours:>7.0%}   {label}", width), "heading")
    yield from text_lines(_why(differ), width)


def _why(differ: Sequence[Sequence[Any]]) -> str:
    """Return one sentence about the numbers that differ."""
    looks_ahead = any("before anybody can know" in label and yours > healthy for label, healthy, yours in differ)
    if looks_ahead:
        return "Yours answers what nobody can know yet: it looks at what follows, which is not there when it writes."
    if all(yours > healthy for _, healthy, yours in differ):
        return "Yours learned this game faster. It computes something else all the same."
    return ""


def _beside(mine: list[str], theirs: list[str], room: int) -> Iterator[Text]:
    yield Text.assemble((fit("yours", room), "heading"), "   ", ("the course's", "heading"))
    for group in difflib.SequenceMatcher(None, mine, theirs, autojunk=False).get_grouped_opcodes(_AROUND):
        yield Text("─" * (2 * room + 3), "quiet")
        for kind, start, end, their_start, their_end in group:
            styles = ("", "") if kind == "equal" else ("bad", "good")
            sign = " " if kind == "equal" else "│"
            for left, right in zip_longest(mine[start:end], theirs[their_start:their_end], fillvalue=""):
                cells = (fit(left, room), styles[0]), f" {sign} ", (fit(right, room), styles[1])
                yield Text.assemble(*cells)
