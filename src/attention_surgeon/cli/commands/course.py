"""The options of the course's commands: `surgeon start` to `update` for learners, `grade` and `course` for teachers.

Each command imports what does the work when it runs, so that `surgeon --help` answers at once.
"""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Exercise: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="[EXERCISE]", help="Its name or its file; without one, the current one.")
]

course = typer.Typer(name="course", help="For authors of a course.", rich_markup_mode=None, no_args_is_help=True)


def start(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; made if it is not there.")] = Path(),
    add: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="Add the units of a course.toml in this folder.")
    ] = None,
    only: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Only the units of this folder, not those that come along.")
    ] = None,
) -> None:
    """Make a workspace for the course. What is already there is never touched."""
    from attention_surgeon.cli.start import print_made
    from attention_surgeon.course.start import start_workspace

    made = start_workspace(folder, (*([only] if only else []), *(add or [])), alone=only is not None)
    print_made(made)


def update() -> None:
    """Bring the workspace to the course as it is now; your changes are merged, and nothing is lost."""
    from attention_surgeon.cli.start import print_updated
    from attention_surgeon.cli.workspace_here import open_here
    from attention_surgeon.course.start import update_workspace

    print_updated(update_workspace(open_here()))


def watch(
    exercise: Annotated[
        str | None, typer.Argument(metavar="[EXERCISE]", help="Its name or its file; without one, the current one.")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="N", help="How long your file may take.")] = 10.0,
) -> int:
    """Show the current exercise and judge it each time you save its file.

    Keys: h hint, l list, n next, r reset, u undo, s see your bug trained, p predict, o the lab's page, q quit.
    """
    from attention_surgeon.cli.watch import run_watch
    from attention_surgeon.cli.workspace_here import chosen, open_here

    workspace = open_here()
    return run_watch(workspace, chosen(workspace, exercise), seconds)


def check(
    exercise: Annotated[
        str | None, typer.Argument(metavar="[EXERCISE]", help="Its name or its file; without one, the current one.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every exercise of the course.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, whatever the level.")] = False,
    seconds: Annotated[float, typer.Option(metavar="N", help="How long your file may take.")] = 10.0,
) -> int:
    """Judge what you have written. Exit code 0: passed. 1: not yet. 2: it could not be judged."""
    from attention_surgeon.cli.check import check_all, check_one
    from attention_surgeon.cli.workspace_here import chosen, open_here

    workspace = open_here()
    if everything:
        return check_all(workspace, seconds, as_json=json)
    return check_one(workspace, chosen(workspace, exercise), seconds, as_json=json)


def hint(exercise: Exercise = None) -> None:
    """Say more about the present mistake: first where to look, then the line."""
    from attention_surgeon.cli.lessons import print_hint
    from attention_surgeon.cli.workspace_here import chosen, open_here

    workspace = open_here()
    print_hint(workspace, chosen(workspace, exercise))


def solution(exercise: Exercise = None) -> None:
    """Open and show a solution. Of an exercise that is not passed yet it is written down that you asked."""
    from attention_surgeon.cli.lessons import print_solution
    from attention_surgeon.cli.workspace_here import chosen, open_here

    workspace = open_here()
    print_solution(workspace, chosen(workspace, exercise))


def list_exercises() -> None:
    """Show every exercise and how it stands."""
    from attention_surgeon.cli.lessons import print_list
    from attention_surgeon.cli.workspace_here import open_here

    print_list(open_here())


def reset(
    exercise: Annotated[str | None, typer.Argument(metavar="[EXERCISE]", help="Its name, or any file.")] = None,
) -> None:
    """Put a file back to how the course gave it. What is there now is kept: see `surgeon undo`."""
    from attention_surgeon.cli.lessons import print_reset
    from attention_surgeon.cli.workspace_here import open_here, path_of

    workspace = open_here()
    print_reset(workspace, path_of(workspace, exercise))


def history(exercise: Exercise = None) -> None:
    """Show every version of a file that was judged."""
    from attention_surgeon.cli.lessons import print_history
    from attention_surgeon.cli.workspace_here import open_here, path_of

    workspace = open_here()
    print_history(workspace, path_of(workspace, exercise))


def undo(
    exercise: Exercise = None,
    to: Annotated[str | None, typer.Option(metavar="HASH", help="A version of `surgeon history`.")] = None,
) -> None:
    """Put back the version before the present one, which is kept."""
    from attention_surgeon.cli.lessons import print_undo
    from attention_surgeon.cli.workspace_here import open_here, path_of

    workspace = open_here()
    print_undo(workspace, path_of(workspace, exercise), to)


def journal() -> None:
    """Show what your journal still asks, and the checklist, which ticks itself from what is there."""
    from attention_surgeon.cli.lessons import print_journal
    from attention_surgeon.cli.workspace_here import open_here

    print_journal(open_here())


def progress(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the page goes.")] = Path("progress.html"),
) -> None:
    """Write a page of what is passed and what is left; it needs no network."""
    from attention_surgeon.cli.lessons import print_progress
    from attention_surgeon.cli.workspace_here import open_here

    print_progress(open_here(), out)


@course.callback()
def course_commands() -> None:
    """For authors of a course."""


@course.command("check")
def course_check(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="With a course.toml; without one, our own.")
    ] = None,
    exercise: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these are judged, as with --quick.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Without the catalogue and without running pytest.")] = False,
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes for the catalogue.")] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Check a course: stubs fail, solutions pass, every known mistake is rejected and named, nothing is missing.

    Exit code 0: all in order. 1: something is not.
    """
    from attention_surgeon.cli.course import check_content

    return check_content(tuple(folders or ()), exercises=tuple(exercise or ()), is_quick=quick, jobs=jobs, as_json=json)


@course.command("autograder")
def course_autograder(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; it must be new or empty.")],
    exercise: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these; all without.")] = None,
    content: Annotated[
        list[Path] | None, typer.Option("--course", metavar="FOLDER", help="With a course.toml; without, our own.")
    ] = None,
    wheel: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A wheel of attention-surgeon; without, the published one.")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="N", help="Processor time that one file may take.")] = 10.0,
) -> int:
    """Write an autograder for Gradescope: setup.sh, run_autograder, and DIR.zip to upload."""
    from attention_surgeon.cli.grade import write_gradescope
    from attention_surgeon.course import load_course
    from attention_surgeon.course.grading.autograder import Assignment

    return write_gradescope(folder, Assignment(load_course(*content or ()), tuple(exercise or ()), seconds, wheel))


def grade(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="One folder for each submission.")],
    exercise: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these; all without.")] = None,
    content: Annotated[
        list[Path] | None, typer.Option("--course", metavar="FOLDER", help="With a course.toml; without, our own.")
    ] = None,
    students: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV with submission and student, or Gradescope's submission_metadata.json."),
    ] = None,
    due: Annotated[str | None, typer.Option(metavar="TIME", help="When it was due, as 2026-12-01T23:59.")] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="text, csv, json, gradescope, prairielearn or otter.")
    ] = "text",
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write there; a folder where a format has a file a submission.")
    ] = None,
    sandbox: Annotated[
        str, typer.Option(metavar="WHEN", help="Confine submissions with Landlock and seccomp: auto, on or off.")
    ] = "auto",
    seconds: Annotated[float, typer.Option(metavar="N", help="Processor time that one file may take.")] = 10.0,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="Submissions at a time; one for each core.")] = None,
) -> int:
    """Judge the work of a class, several submissions at a time; none can hurt another's verdict."""
    from attention_surgeon.cli.grade import Wanted, grade_class

    return grade_class(
        Wanted(
            tuple(folders),
            tuple(exercise or ()),
            tuple(content or ()),
            students,
            due,
            form,
            out,
            seconds,
            jobs,
            sandbox,
        )
    )
