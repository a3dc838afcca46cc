"""The folder that Gradescope takes as an autograder, and its archive: `setup.sh`, `run_autograder`, the course."""

import shlex
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from attention_surgeon import __version__
from attention_surgeon.course.load import content_folder
from attention_surgeon.course.registry import Course
from attention_surgeon.errors import FileAccessError, OptionError
from attention_surgeon.files import file_access_error, write_file

_SETUP = """#!/usr/bin/env bash
# Gradescope runs this once, when it builds the image. uv brings a Python that is new enough, and torch without CUDA.
set -euo pipefail
apt-get update -qq
apt-get install -y -qq python3-venv
python3 -m venv /opt/uv
/opt/uv/bin/pip install -q uv
/opt/uv/bin/uv venv -q --python 3.12 /opt/surgeon
/opt/uv/bin/uv pip install -q --python /opt/surgeon --torch-backend cpu {package}
/opt/surgeon/bin/surgeon --version
"""

_RUN = """#!/usr/bin/env bash
# Gradescope runs this once for each submission.
root="${{AUTOGRADER_ROOT:-/autograder}}"
surgeon="${{SURGEON:-/opt/surgeon/bin/surgeon}}"
mkdir -p "$root/results"
if ! "$surgeon" grade "$root/submission" {options} \\
    --students "$root/submission_metadata.json" --format gradescope --out "$root/results/results.json"
then
    printf '{{"score": 0, "output": "The autograder failed; your teacher can read why."}}\\n' \\
        > "$root/results/results.json"
fi
"""


@final
@dataclass(frozen=True)
class Assignment:
    """What an autograder grades.

    Attributes:
        course: With the exercises.
        exercises: Their names; all without.
        seconds: Processor time that one file may take.
        wheel: A wheel of this package to install; None: the published one of this version.
    """

    course: Course
    exercises: tuple[str, ...] = ()
    seconds: float = 10.0
    wheel: Path | None = None


def write_autograder(folder: Path, assignment: Assignment) -> Path:
    """Write the folder, and beside it the archive that is uploaded; return the archive.

    Args:
        folder: Made if it is not there; it must be empty otherwise.
        assignment: What is graded.

    Raises:
        FileAccessError: something cannot be written, or the wheel is not there.
        OptionError: there is something in the folder, or an exercise is not in the course.
    """
    for name in assignment.exercises:
        assignment.course.exercise(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder} is there and not empty; give a new folder for the autograder.")
    if assignment.wheel is not None and not assignment.wheel.is_file():
        raise FileAccessError(
            f"cannot read {assignment.wheel}: there is no such file; `python -m build` makes a wheel."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        courses = list(_copied_courses(folder, assignment.course))
        package = f"'attention-surgeon[sandbox]=={__version__}'"
        if assignment.wheel is not None:
            shutil.copy(assignment.wheel, folder)
            package = f"'attention-surgeon[sandbox] @ file:///autograder/source/{assignment.wheel.name}'"
    except OSError as error:
        raise file_access_error("write", folder, error) from error
    options = [*(f"--exercise {shlex.quote(name)}" for name in assignment.exercises), *courses]
    options.append(f"--seconds {assignment.seconds:g}")
    write_file(folder / "setup.sh", _SETUP.format(package=package))
    write_file(folder / "run_autograder", _RUN.format(options=" ".join(options)))
    for name in ("setup.sh", "run_autograder"):
        (folder / name).chmod(0o755)
    return _zipped(folder)


def _copied_courses(folder: Path, course: Course) -> Iterator[str]:
    """Copy the folders of a course of somebody's own, and yield the options that name them."""
    if course.folders == (content_folder(),):
        return
    names: Sequence[str] = [f"course_{number}" for number, _ in enumerate(course.folders, start=1)]
    for name, content in zip(names, course.folders, strict=True):
        shutil.copytree(content, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        yield f'--course "$root/source/{name}"'


def _zipped(folder: Path) -> Path:
    """Write the archive with the files at its root, and those that are run marked as such."""
    archive = folder.with_name(f"{folder.name}.zip")
    try:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                made.write(file, file.relative_to(folder).as_posix())
    except OSError as error:
        raise file_access_error("write", archive, error) from error
    return archive
