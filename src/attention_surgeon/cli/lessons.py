"""What the small commands of the course print."""

import ast
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath

from rich.text import Text

from attention_surgeon.cli.cells import code_lines, count, fit, text_lines
from attention_surgeon.cli.console import make_console, show
from attention_surgeon.cli.window import window_lines
from attention_surgeon.cli.workspace_here import current
from attention_surgeon.course import Exercise, Unit
from attention_surgeon.course.evidence import checklist
from attention_surgeon.course.journal import entries, num_questions, unanswered
from attention_surgeon.course.page import progress_page
from attention_surgeon.course.registry import CHECKS
from attention_surgeon.course.session import Judged, covered, last_verdict, passed_in, raise_level
from attention_surgeon.course.solutions import ask_for_solution
from attention_surgeon.course.source import find_definition
from attention_surgeon.course.state import Standing, State
from attention_surgeon.course.versions import reset, restore, undo
from attention_surgeon.course.workspace import JOURNAL, Workspace
from attention_surgeon.files import write_file
from attention_surgeon.verdict import LEVELS

_DIGITS = 8
_LABELS = ("ask", "look", "fix")


def print_hint(workspace: Workspace, exercise: Exercise) -> None:
    """Tell one level more: of the mistake that was found last, or of the exercise where none was.

    After the last level comes a patch of the learner's file, where the course allows it.
    """
    before = workspace.state.read().of(exercise.name)
    told = LEVELS[min(before.level, len(LEVELS) - 1)]
    raise_level(workspace, exercise)
    standing = workspace.state.read().of(exercise.name)
    last = last_verdict(standing)
    console = make_console()
    if last is not None and last.mistakes:
        show(window_lines(Judged(last, standing), exercise, console.width), console)
        if told == LEVELS[-1] and workspace.course.allow_patch:
            show(patch_lines(workspace, exercise, console.width), console)
    else:
        show(hint_lines(exercise, standing.hints, console.width), console)


def patch_lines(workspace: Workspace, exercise: Exercise, width: int) -> Iterator[Text]:
    """Yield the smallest verified change of the learner's file; the file is not touched."""
    from attention_surgeon.cli.fix import diff_lines  # here, because it loads torch and libcst
    from attention_surgeon.repair import fix_file

    if exercise.contract.startswith(CHECKS):
        yield from text_lines("There is no patch for an exercise with a check of its own.", width, "quiet", indent=2)
        return
    target = f"{workspace.file(exercise)}:{exercise.object}"
    found = fix_file(target, exercise.contract, dict(exercise.options))
    if found.result == "fixed":
        yield from diff_lines(found.diff)
    elif found.result != "right":
        yield from text_lines(f"There is no patch: {found.reason}.", width, "quiet", indent=2)


def hint_lines(exercise: Exercise, number: int, width: int) -> Iterator[Text]:
    """Yield the first hints of an exercise."""
    yield from text_lines(f"{exercise.name} · {exercise.title}", width, "heading")
    for label, hint in zip(_LABELS, exercise.hints[:number], strict=False):
        if label == "fix":
            yield from code_lines(hint, label)
        else:
            yield from text_lines(f"{label:<6}{hint}", width, indent=2, more=6)
    if number < len(exercise.hints):
        yield from text_lines("surgeon hint again says more", width, "quiet")


def print_solution(workspace: Workspace, exercise: Exercise) -> None:
    """Open the solution of an exercise, and print the definition that is asked for."""
    path = ask_for_solution(workspace, exercise)
    console = make_console()
    show(text_lines(f"{exercise.name} · {path}", console.width, "heading"), console)
    text = workspace.read(path).decode()
    node = find_definition(ast.parse(text), exercise.object)
    lines = text.splitlines()
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        lines = lines[node.lineno - 1 : node.end_lineno]
    show(code_lines("\n".join(lines)), console)
    if not workspace.state.read().of(exercise.name).passed:
        show(text_lines("Not passed yet: your journal will say that you looked.", console.width, "quiet"), console)


def print_list(workspace: Workspace) -> None:
    """Print every exercise and how it stands."""
    console = make_console()
    show(list_lines(workspace, console.width), console)


def list_lines(workspace: Workspace, width: int) -> Iterator[Text]:
    """Yield every unit with its exercises; the current one has an arrow."""
    state = workspace.state.read()
    now = current(workspace, state)
    spared = covered(workspace.course.exercises, state.exercises)
    for unit in workspace.course.units:
        yield from text_lines(f"{unit.title} · {unit.folder}", width, "heading")
        for exercise in unit.exercises:
            standing, by = state.exercises.get(exercise.name, Standing()), spared.get(exercise.name, "")
            yield exercise_line(exercise, standing, exercise == now, width, by)
    yield from text_lines(_counted(workspace, state), width, "quiet")


def _counted(workspace: Workspace, state: State) -> str:
    """Return `31 of 53 passed, 4 covered by them`."""
    passed = sum(exercise.name in passed_in(state.exercises) for exercise in workspace.course.exercises)
    spared = covered(workspace.course.exercises, state.exercises)
    also = f", {len(spared)} covered by them" if spared else ""
    return f"{passed} of {len(workspace.course.exercises)} passed{also}"


def exercise_line(exercise: Exercise, standing: Standing, is_current: bool, width: int, covered_by: str = "") -> Text:
    """Return one exercise as a line; `covered_by`: the passed exercise that asks for the same and more."""
    if covered_by:
        sign, style = "↷", "quiet"
    else:
        sign, style = ("✓", "good") if standing.passed else ("…", "") if standing.attempts else ("○", "quiet")
    arrow = "▸" if is_current else " "
    minutes = f"{exercise.minutes:>3} min"
    room = max(width - len(minutes) - 5, 8)
    about = f"covered by {covered_by}" if covered_by else exercise.title
    told = fit(f"{exercise.name:<26} {about}", room)
    return Text.assemble(arrow, " ", (sign, style), " ", (told, "heading" if is_current else ""), (minutes, "quiet"))


def print_reset(workspace: Workspace, path: PurePosixPath) -> None:
    """Reset a file and say what became of the version before."""
    before = reset(workspace, path)
    kept = f"; your version is kept as {before[:_DIGITS]}, surgeon undo brings it back" if before else ""
    console = make_console()
    show(text_lines(f"{path} is as the course gave it{kept}", console.width), console)
    others = [exercise.name for exercise in workspace.course.exercises if exercise.path == path]
    if len(others) > 1:
        show(text_lines(f"this file holds {', '.join(others)}", console.width), console)


def print_undo(workspace: Workspace, path: PurePosixPath, to: str | None) -> None:
    """Go back a version and say which one it is."""
    version = undo(workspace, path) if to is None else restore(workspace, path, to)
    console = make_console()
    show(text_lines(f"{path} is version {version[:_DIGITS]} again; surgeon history shows all", console.width), console)


def print_history(workspace: Workspace, path: PurePosixPath) -> None:
    """Print every event of a file, the newest last."""
    console = make_console()
    show(_history_lines(workspace, path, console.width), console)


def _history_lines(workspace: Workspace, path: PurePosixPath, width: int) -> Iterator[Text]:
    events = workspace.history.events(str(path))
    yield from text_lines(f"{path}: {count(len(events), 'version')}", width, "heading")
    for event in events:
        what = event.status if event.what == "judged" else event.what
        mistakes = ", ".join(event.mistakes)
        at = datetime.fromisoformat(event.at).strftime("%Y-%m-%d %H:%M:%S")
        yield Text(fit(f"  {event.sha256[:_DIGITS]}  {at}  {what or 'seen':<10} {mistakes}", width))
    yield from text_lines("surgeon undo goes back one; surgeon undo --to HASH to any of these", width, "quiet")


def print_journal(workspace: Workspace) -> None:
    """Print what the journal asks and the checklists."""
    console = make_console()
    show(_journal_lines(workspace, console.width), console)


def _journal_lines(workspace: Workspace, width: int) -> Iterator[Text]:
    written = entries(workspace.root / JOURNAL)
    yield from text_lines(f"{JOURNAL}: {count(len(written), 'entry').replace('entrys', 'entries')}", width, "heading")
    for name, entry in written.items():
        asked, left = num_questions(entry), unanswered(entry)
        told = f"{asked - left} of {asked} answered" if asked else "nothing asked"
        yield from text_lines(f"{'○' if left else '✓'} {name}: {told}", width, indent=2)
    for unit in workspace.course.units:
        yield from checklist_lines(workspace, unit, width)


def checklist_lines(workspace: Workspace, unit: Unit, width: int) -> Iterator[Text]:
    """Yield the checklist of a unit, nothing where it has none."""
    points = checklist(workspace, unit.folder, unit.evidence)
    for exercise in unit.exercises:
        points += checklist(workspace, unit.folder, exercise.evidence)
    if points:
        yield Text("")
        yield from text_lines(unit.title, width, "heading")
    for point in points:
        yield from text_lines(
            f"[{'x' if point.is_done else ' '}] {point.label}: {point.found}", width, indent=2, more=4
        )


def print_progress(workspace: Workspace, out: Path) -> None:
    """Write the page and say where it is, and how things stand."""
    write_file(out, progress_page(workspace, datetime.now().astimezone()))
    console = make_console()
    state = workspace.state.read()
    show([progress_line(workspace, state, console.width), Text(f"written: {out}")], console)


def progress_line(workspace: Workspace, state: State, width: int) -> Text:
    """Return a bar with how many exercises are passed."""
    total = len(workspace.course.exercises)
    passed = sum(exercise.name in passed_in(state.exercises) for exercise in workspace.course.exercises)
    return Text(fit(f"{bar(passed, total)} {_counted(workspace, state)}", width))


def bar(passed: int, total: int, room: int = 10) -> str:
    """Return a bar of `room` cells.

    >>> bar(7, 24)
    '███░░░░░░░'
    """
    filled = round(room * passed / total) if total else 0
    filled = min(max(filled, 1 if passed else 0), room if passed == total else room - 1)
    return "█" * filled + "░" * (room - filled)
