"""What `surgeon grade` and `surgeon course autograder` print and write."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, final

from rich.text import Text

from attention_surgeon.cli.cells import fit, text_lines
from attention_surgeon.cli.check import SIGNS
from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.course import load_course
from attention_surgeon.course.asking import Allowance
from attention_surgeon.course.grading import Grade, Submission, grade, read_roster
from attention_surgeon.course.grading.autograder import Assignment, write_autograder
from attention_surgeon.course.grading.formats import OF_CLASS, OF_ONE, late_in_words, told
from attention_surgeon.course.grading.grade import Rules
from attention_surgeon.course.grading.students import read_time
from attention_surgeon.course.sandbox import why_not
from attention_surgeon.errors import OptionError
from attention_surgeon.files import write_file, write_in_folders

Confine: TypeAlias = Literal["auto", "on", "off"]
_TEXT, _ASLEEP = "text", 10.0  # how many times longer a file may wait than work
_UNDER = 4  # cells before what is said of a file, under its name


@final
@dataclass(frozen=True)
class Wanted:
    """What stood on the command line of `surgeon grade`."""

    folders: tuple[Path, ...]
    exercises: tuple[str, ...]
    content: tuple[Path, ...]
    students: Path | None
    due: str | None
    form: str
    out: Path | None
    seconds: float
    jobs: int | None
    confine: str


def grade_class(wanted: Wanted) -> int:
    """Grade all submissions, print or write the grades and return the exit code.

    Raises:
        OptionError: an option is not one of those that there are, or does not fit another one.
    """
    _check(wanted)
    is_confined = _is_confined(wanted.confine)
    course = load_course(*wanted.content)
    exercises = [course.exercise(name) for name in wanted.exercises] or None
    roster = read_roster(wanted.students, None if wanted.due is None else read_time(wanted.due))
    allowance = Allowance(wanted.seconds * _ASLEEP, cpu_seconds=wanted.seconds)
    found = grade(course, wanted.folders, exercises, Rules(allowance, wanted.jobs, is_confined), roster)
    if wanted.form == _TEXT and wanted.out is None:
        console = make_console()
        show((line for each in found for line in submission_lines(each, console.width)), console)
        return 0
    files = _files(wanted, found)
    if wanted.out is None:
        write(files[""])
    elif set(files) == {""}:
        write_file(wanted.out, files[""])
    else:
        for name, text in files.items():
            write_in_folders(wanted.out / name, text)
    return 0


def write_gradescope(folder: Path, assignment: Assignment) -> int:
    """Write an autograder, say what was written and return the exit code."""
    archive = write_autograder(folder, assignment)
    console = make_console()
    names = sorted(path.relative_to(folder).as_posix() for path in folder.iterdir())
    show(text_lines(f"written: {folder} ({', '.join(names)}) and {archive}", console.width), console)
    show(text_lines(f"Upload {archive.name} under Configure Autograder in Gradescope.", console.width), console)
    return 0


def _check(wanted: Wanted) -> None:
    forms = (_TEXT, *OF_CLASS, *OF_ONE)
    if wanted.form not in forms:
        raise OptionError(f"--format is {wanted.form!r}, expected one of {', '.join(forms)}.")
    if wanted.form in OF_ONE and len(wanted.folders) > 1 and wanted.out is None:
        raise OptionError(f"{wanted.form} has one file for each submission; --out FOLDER says where they go.")
    if wanted.seconds <= 0:
        raise OptionError(f"--seconds is {wanted.seconds:g}, expected a number above 0.")


def _is_confined(wish: str) -> bool:
    """Return whether submissions are confined, and say on the standard error where they are not."""
    if wish not in ("auto", "on", "off"):
        raise OptionError(f"--sandbox is {wish!r}, expected auto, on or off.")
    reason = why_not() if wish != "off" else ""
    if reason and wish == "on":
        raise OptionError(f"--sandbox on: {reason}")
    if reason:
        note(f"no sandbox: {reason} Submissions run as you; grade a class that may mean harm in a container.")
    return wish != "off" and not reason


def _files(wanted: Wanted, found: Sequence[Submission]) -> Mapping[str, str]:
    """Return the texts by the names of their files; a single one has no name."""
    if wanted.form == _TEXT:
        width = make_console().width
        lines = [line.plain.rstrip() for each in found for line in submission_lines(each, width)]
        return {"": "".join(f"{line}\n" for line in lines)}
    if wanted.form in OF_CLASS:
        return {"": OF_CLASS[wanted.form](found)}
    if len(found) == 1:
        return {"": OF_ONE[wanted.form](found[0])}
    names = [Path(each.folder).resolve().name for each in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise OptionError(f"two submissions are in folders named {twice[0]}; their files would have one name.")
    return {f"{name}.json": OF_ONE[wanted.form](each) for name, each in zip(names, found, strict=True)}


def submission_lines(submission: Submission, width: int) -> Iterator[Text]:
    """Yield the total of a submission, a line for each exercise, and what happened below those that are not passed."""
    student = submission.handed.student
    who = f"{student.name} ({student.id})" if student.name else student.id
    yield from text_lines(f"{who}: {told(submission)}", width, "heading")
    for each in submission.grades:
        yield _grade_line(each, width)
        if each.status not in ("passed", "missing"):
            yield from text_lines(each.sentence, width, "quiet", indent=_UNDER)


def _grade_line(each: Grade, width: int) -> Text:
    sign, style = SIGNS.get(each.status, ("○", "quiet"))
    points = f"{each.points:>2}/{each.exercise.points:<2}"
    late = [late_in_words(each.late)] if each.late else []
    words = ", ".join([*late, *each.names, *([each.sentence] if each.status == "missing" else [])])
    told_of = f"{each.exercise.name:<24} {points} {words}".rstrip()
    return Text.assemble("  ", (sign, style), " ", fit(told_of, max(width - 4, 8)))
