"""`surgeon course check` and `surgeon grade`: for those who write a course, and those who teach it."""

from pathlib import Path
from typing import Annotated

import typer

course = typer.Typer(name="course", help="For authors of a course.", rich_markup_mode=None, no_args_is_help=True)


@course.callback()
def course_commands() -> None:
    """For authors of a course."""


@course.command("check")
def course_check(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="With a course.toml; without one, our own.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Without the catalogue and without running pytest.")] = False,
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes for the catalogue.")] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Check a course: stubs fail, solutions pass, every known mistake is rejected and named, nothing is missing.

    Exit code 0: all in order. 1: something is not.
    """
    from attention_surgeon.cli.course_screen import check_content

    return check_content(tuple(folders or ()), is_quick=quick, jobs=jobs, as_json=json)


def grade(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="One folder for each submission.")],
    exercise: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these; all without.")] = None,
    content: Annotated[
        list[Path] | None, typer.Option("--course", metavar="FOLDER", help="With a course.toml; without, our own.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print as CSV.")] = False,
    seconds: Annotated[float, typer.Option(metavar="N", help="How long one file may take.")] = 10.0,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="Submissions at a time; one for each core.")] = None,
) -> int:
    """Judge the work of a class, several submissions at a time; none can hurt another's verdict."""
    from attention_surgeon.cli.course_screen import Wanted, grade_class

    return grade_class(Wanted(tuple(folders), tuple(exercise or ()), tuple(content or ()), seconds, jobs, json, csv))
