"""Who handed in which folder, when, and how often: from a teacher's table, or from Gradescope's own record."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, final

from attention_surgeon.errors import FileFormatError, OptionError
from attention_surgeon.files import read_text

_COLUMNS = ("submission", "student", "name", "email", "submitted", "attempts")


@final
@dataclass(frozen=True)
class Student:
    """Who handed in.

    Attributes:
        id: As the school writes it; the folder's name where nobody said.
        name: For people.
        email: As the school writes it.
    """

    id: str
    name: str = ""
    email: str = ""


@final
@dataclass(frozen=True)
class Handed:
    """What is known of one submission beside its files.

    Attributes:
        student: Whose it is.
        submitted: When it was handed in; None: nobody says, and the times of the files count.
        attempts: How many times was handed in, this one included; None: the workspace's own count is taken.
    """

    student: Student
    submitted: datetime | None = None
    attempts: int | None = None


@final
@dataclass(frozen=True)
class Roster:
    """A class.

    Attributes:
        handed: By the name of the folder; the empty name is for every folder that has no line of its own.
        due: When everything was due; None: never.
    """

    handed: Mapping[str, Handed] = field(default_factory=dict)
    due: datetime | None = None

    def of(self, folder: Path) -> Handed:
        """Return what is known of a folder: its own line, that of all, or its name and nothing else."""
        name = folder.resolve().name
        return self.handed.get(name) or self.handed.get("") or Handed(Student(name))


def read_roster(file: Path | None = None, due: datetime | None = None) -> Roster:
    """Read a class.

    Args:
        file: A CSV table with the columns `submission` (the folder's name) and `student`, and as many of `name`,
            `email`, `submitted` and `attempts` as there are; or the `submission_metadata.json` that Gradescope puts
            beside a submission, which also says when it was due. None: folders are named after their students.
        due: When everything was due, before what the file says.

    Raises:
        FileAccessError: the file cannot be read.
        FileFormatError: it is neither, or a line of it is not right; the text names the line.
    """
    if file is None:
        return Roster(due=due)
    if file.suffix == ".json":
        return _from_gradescope(file, due)
    return Roster(_from_table(file), due)


def read_time(text: str) -> datetime:
    """Return a time as ISO 8601 writes it; without a zone it is this computer's.

    Raises:
        OptionError: it is none.

    >>> read_time("2026-12-01T23:59:00+01:00").isoformat()
    '2026-12-01T23:59:00+01:00'
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise OptionError(f"the time is {text!r}, expected one as 2026-12-01T23:59, with a zone or without.") from None
    return at if at.tzinfo else at.astimezone()


def _from_table(file: Path) -> dict[str, Handed]:
    rows = csv.DictReader(read_text(file).lstrip("\ufeff").splitlines())
    header = [name.strip() for name in rows.fieldnames or ()]
    missing = [name for name in _COLUMNS[:2] if name not in header]
    if missing:
        raise FileFormatError(
            f"{file}: there is no column {missing[0]}; its first line must name submission and student, and may name "
            f"{', '.join(_COLUMNS[2:])}."
        )
    handed: dict[str, Handed] = {}
    for row in rows:
        values = {(name or "").strip(): (value or "").strip() for name, value in row.items() if isinstance(value, str)}
        where = f"{file}, line {rows.line_num}"
        name = values.get("submission", "")
        if name in handed:
            raise FileFormatError(f"{where}: the submission {name!r} is there twice.")
        if not values.get("student"):
            raise FileFormatError(f"{where}: the submission {name!r} has no student.")
        handed[name] = _handed(values, where)
    return handed


def _handed(values: Mapping[str, str], where: str) -> Handed:
    student = Student(values["student"], values.get("name", ""), values.get("email", ""))
    attempts = values.get("attempts", "")
    if attempts and not attempts.isdecimal():
        raise FileFormatError(f"{where}: attempts is {attempts!r}, expected a whole number.")
    try:
        submitted = read_time(values["submitted"]) if values.get("submitted") else None
    except OptionError as error:
        raise FileFormatError(f"{where}: {error}") from None
    return Handed(student, submitted, int(attempts) if attempts else None)


def _from_gradescope(file: Path, due: datetime | None) -> Roster:
    """Read `submission_metadata.json` (gradescope-autograders.readthedocs.io, submission metadata)."""
    try:
        values: Any = json.loads(read_text(file))
        users, assignment = values["users"], values.get("assignment") or {}
        student = Student(
            " ".join(str(user.get("sid") or user["id"]) for user in users),
            ", ".join(user.get("name", "") for user in users),
            " ".join(user.get("email", "") for user in users),
        )
        submitted = read_time(values["created_at"])
        is_due = assignment.get("due_date")
        due = due or (read_time(is_due) if is_due else None)
        attempts = len(values.get("previous_submissions") or ()) + 1
    except (ValueError, KeyError, TypeError, AttributeError, OptionError) as error:
        raise FileFormatError(f"{file} is not Gradescope's submission_metadata.json: {error!r}.") from error
    return Roster({"": Handed(student, submitted, attempts)}, due)
