"""The checklist that ticks itself, only from what is there: files, passed exercises, runs, answers in the journal."""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import final

from attention_surgeon.course.journal import entries, num_questions, unanswered
from attention_surgeon.course.state import State
from attention_surgeon.course.workspace import JOURNAL, Workspace

_LABEL = " = "


@final
@dataclass(frozen=True)
class Point:
    """One line of a checklist.

    Attributes:
        label: What is asked for.
        is_done: Whether the evidence is there.
        found: The evidence, or what is missing.
    """

    label: str
    is_done: bool
    found: str


def checklist(workspace: Workspace, folder: PurePosixPath, evidence: tuple[str, ...]) -> list[Point]:
    """Return the points of a unit or an exercise.

    Args:
        workspace: Where the evidence is looked for.
        folder: Of the unit.
        evidence: As in `course.toml`: a pattern of files in the folder, `passed:EXERCISE`, `experiment:NAME` or
            `answered:NAME`, each with ` = what it stands for` behind it or not.
    """
    state = workspace.state.read()
    return [_point(workspace, state, folder, *each.partition(_LABEL)[::2]) for each in evidence]


def _point(workspace: Workspace, state: State, folder: PurePosixPath, wanted: str, label: str) -> Point:
    kind, _, name = wanted.strip().partition(":")
    if kind == "passed" and name:
        standing = state.exercises.get(name)
        is_done = standing is not None and bool(standing.passed)
        return Point(label or f"{name} passed", is_done, standing.passed[:10] if standing and is_done else "not yet")
    if kind == "experiment" and name:
        run = _finished_run(workspace, name)
        return Point(label or f"experiment {name}", bool(run), run or f"surgeon experiment run {name}")
    if kind == "answered" and name:
        return _answers(workspace, name, label)
    files = sorted(path for path in (workspace.root / folder).glob(wanted.strip()) if path.is_file())
    kept = [path.relative_to(workspace.root).as_posix() for path in files if path.stat().st_size]
    return Point(label or wanted.strip(), bool(kept), kept[0] if kept else f"no {folder / wanted.strip()}")


def _finished_run(workspace: Workspace, name: str) -> str:
    """Return the newest finished run of an experiment anywhere in the workspace."""
    for file in sorted(workspace.root.glob("**/runs/*/config.json"), reverse=True):
        try:
            described = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        is_it = isinstance(described, dict) and described.get("experiment") == name
        if is_it and (file.parent / "verdict.txt").is_file():
            return file.parent.relative_to(workspace.root).as_posix()
    return ""


def _answers(workspace: Workspace, name: str, label: str) -> Point:
    entry = entries(workspace.root / JOURNAL).get(name)
    if entry is None or not num_questions(entry):
        return Point(label or f"questions of {name}", False, f"no questions of {name} in {JOURNAL} yet")
    left = unanswered(entry)
    found = f"{num_questions(entry) - left} of {num_questions(entry)} answered in {JOURNAL}"
    return Point(label or f"questions of {name}", not left, found)
