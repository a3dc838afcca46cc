"""From `course.toml` to a `Course`."""

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import attention_surgeon
from attention_surgeon.course.registry import CHECKS, Course, Exercise, Prediction, Unit
from attention_surgeon.course.table import TomlTable
from attention_surgeon.errors import FileAccessError, FileFormatError
from attention_surgeon.files import read_text

REGISTRY = "course.toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_HINTS = 3


def content_folder() -> Path:
    """Return the folder of the course that comes with this package.

    Raises:
        FileAccessError: it is not there.
    """
    package = Path(attention_surgeon.__file__).parent
    for folder in (package / "course_content", package.parent.parent / "course"):
        if (folder / REGISTRY).is_file():
            return folder
    raise FileAccessError(
        "cannot read the course: it is not part of this installation; install attention-surgeon again."
    )


def load_course(*folders: str | Path) -> Course:
    """Read the course in one or more folders, each with a `course.toml`; without any, the one that comes along.

    Later folders add units; they may build on units of earlier ones.

    Raises:
        FileAccessError: a registry is not there.
        FileFormatError: it is no TOML, or not what a course needs; the text names the place.
    """
    places = tuple(Path(folder).absolute() for folder in folders or (content_folder(),))
    parts = [_read(place) for place in places]
    units = tuple(unit for part in parts for unit in part.units)
    _check_together(units)
    return Course(parts[0].title, parts[0].version, units, places, all(part.allow_patch for part in parts))


def _read(folder: Path) -> Course:
    file = folder / REGISTRY
    try:
        values = tomllib.loads(read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"cannot read {file}: it is not TOML: {error}.") from error
    top = TomlTable(values, str(file))
    about = TomlTable(top.get("course", dict), f"{file}, [course]")
    title, version = about.get("title", str), about.get("version", int)
    allow_patch = about.get("allow_patch", bool, False)
    about.finish()
    units = tuple(_unit(values, folder) for values in top.tables("unit"))
    top.require(bool(units), "it has no [[unit]]; a course has at least one.")
    top.finish()
    return Course(title, version, units, allow_patch=allow_patch)


def _unit(values: dict[str, Any], root: Path) -> Unit:
    table = TomlTable(values, f"{root / REGISTRY}, unit {values.get('name')!r}")
    name = table.get("name", str)
    table.require(bool(_NAME.fullmatch(name)), "its name must be of a-z, 0-9 and _.")
    folder = _inside(table, "folder", table.get("folder", str))
    content = root / folder
    unit = Unit(
        name=name,
        title=table.get("title", str),
        folder=folder,
        content=content,
        minutes=_minutes(table),
        difficulty=_difficulty(table),
        builds_on=table.texts("builds_on", ()),
        page=str(_inside(table, "page", table.get("page", str, "README.md"))),
        checks=content / _inside(table, "checks", table.get("checks", str, "checks.py")),
        exercises=(),
        evidence=table.texts("evidence", ()),
        reflect=table.texts("reflect", ()),
    )
    exercises = tuple(_exercise(values, unit, root) for values in table.tables("exercise"))
    table.require(bool(exercises), "it has no [[unit.exercise]]; a unit has at least one.")
    table.finish()
    return Unit(**{**vars(unit), "exercises": exercises})


def _exercise(values: dict[str, Any], unit: Unit, root: Path) -> Exercise:
    table = TomlTable(values, f"{root / REGISTRY}, exercise {values.get('name')!r}")
    name = table.get("name", str)
    first, _, rest = name.partition(".")
    table.require(
        first == unit.name and bool(_NAME.fullmatch(rest)),
        f"its name must be {unit.name}.SOMETHING, of a-z, 0-9 and _.",
    )
    difficulty = _difficulty(table)
    points = table.get("points", int, difficulty)
    table.require(points >= 0, f"points is {points}, expected 0 or more.")
    exercise = Exercise(
        name=name,
        title=table.get("title", str),
        unit=unit.name,
        **{key: str(_inside(table, key, table.get(key, str))) for key in ("file", "tests", "solution", "source")},
        object=table.get("object", str),
        contract=table.get("contract", str),
        options=table.get("options", dict, {}),
        minutes=_minutes(table),
        difficulty=difficulty,
        points=points,
        shapes=table.get("shapes", str),
        hints=_hints(table),
        passed=table.get("passed", str),
        folder=unit.folder,
        content=unit.content,
        checks=unit.checks,
        predict=_prediction(table),
        experiment=table.get("experiment", str, "") or None,
        evidence=table.texts("evidence", ()),
        reflect=table.texts("reflect", ()),
        covered_by=table.texts("covered_by", ()),
    )
    function = exercise.check
    table.require(
        function is None or function.isidentifier(), f"contract is {exercise.contract!r}, expected {CHECKS}FUNCTION."
    )
    dotted = all(part.isidentifier() for part in exercise.object.split("."))
    table.require(dotted, f"object is {exercise.object!r}, expected the name of a function or class.")
    table.finish()
    return exercise


def _prediction(table: TomlTable) -> Prediction | None:
    values = table.get("predict", dict, {})
    if not values:
        return None
    inner = TomlTable(values, f"{table.where}, predict")
    question, choices = inner.get("question", str), inner.texts("choices")
    answer, why = inner.get("answer", int), inner.get("why", str)
    inner.require(len(choices) > 1, "it needs at least two choices.")
    inner.require(0 <= answer < len(choices), f"answer is {answer}, expected 0 to {len(choices) - 1}.")
    inner.finish()
    return Prediction(question, choices, answer, why)


def _hints(table: TomlTable) -> tuple[str, str, str]:
    hints = table.texts("hints")
    table.require(
        len(hints) == _HINTS and all(hints), f"it has {len(hints)} hints, expected three: question, pointer, fix."
    )
    return hints[0], hints[1], hints[2]


def _minutes(table: TomlTable) -> int:
    minutes = table.get("minutes", int)
    table.require(minutes > 0, f"minutes is {minutes}, expected a number above 0.")
    return minutes


def _difficulty(table: TomlTable) -> int:
    difficulty = table.get("difficulty", int)
    table.require(1 <= difficulty <= 5, f"difficulty is {difficulty}, expected 1 to 5.")
    return difficulty


def _inside(table: TomlTable, key: str, path: str) -> PurePosixPath:
    """Return a relative path that does not leave its folder: a unit from elsewhere must not write anywhere else."""
    pure = PurePosixPath(path)
    is_inside = path and not pure.is_absolute() and ".." not in pure.parts and "\\" not in path and ":" not in path
    table.require(bool(is_inside), f"{key} is {path!r}, expected a path inside its folder, with / between its parts.")
    return pure


def _check_together(units: Sequence[Unit]) -> None:
    """Check what only shows in the whole: names once, and nothing builds on what comes later."""
    seen: dict[str, Unit] = {}
    for unit in units:
        where = f"{unit.content}: unit {unit.name!r}"
        if unit.name in seen:
            raise FileFormatError(f"{where} is there twice; the other is {seen[unit.name].content}.")
        for other in seen.values():
            if (
                unit.folder == other.folder
                or unit.folder in other.folder.parents
                or other.folder in unit.folder.parents
            ):
                raise FileFormatError(f"{where} shares the folder {unit.folder} with unit {other.name!r}.")
        missing = [name for name in unit.builds_on if name not in seen]
        if missing:
            raise FileFormatError(f"{where} builds on {missing[0]!r}, which does not come before it.")
        names = [sys.intern(exercise.name) for exercise in unit.exercises]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise FileFormatError(f"{where} has the exercise {twice[0]!r} twice.")
        seen[unit.name] = unit
    known = {exercise.name for unit in units for exercise in unit.exercises}
    for exercise in (exercise for unit in units for exercise in unit.exercises):
        unknown = [name for name in exercise.covered_by if name not in known - {exercise.name}]
        if unknown:
            raise FileFormatError(
                f"{exercise.content}: {exercise.name!r} is covered by {unknown[0]!r}, which is no other exercise."
            )
