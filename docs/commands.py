"""Run every command that the five units name and print a table of what came of it: `python -m docs.commands`.

Each is run four times: in a copy of the course as it is given and in one with the solutions in the place of the stubs,
and in two workspaces of `surgeon start`, a new one and one where the solutions were asked for and put into the files.
In a workspace `uv run` is the real one where uv is installed; elsewhere this Python takes its place.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attention_surgeon.course import content_folder, load_course
from attention_surgeon.course.solutions import ask_for_solution
from attention_surgeon.course.start import start_workspace
from attention_surgeon.course.workspace import FOLDER, Workspace

LABS = ("lab01_dot_product", "lab02_visualization", "lab03_multihead", "lab04_pytorch_comparison")
COMMANDS = (
    ("problems/02-attention-basics", "uv run pytest test_attention.py -v"),
    ("problems/02-attention-basics", "uv run pytest test_attention.py -v -s"),
    ("chapter01_attention", "cat docs/01_attention_intuition.md"),
    ("chapter01_attention/lab01_dot_product", "cat README.md"),
    *((f"chapter01_attention/{lab}", "uv run pytest tests/") for lab in LABS),
    ("chapter01_attention/lab01_dot_product", "cat solutions/attention.py"),
    ("lab1_self_attention/solution", "python 01_self_attention.py"),
)
_COUNTED = re.compile(r"=+ (.*?) in [\d.]+s")


_UV = "uv run "


def result_of(folder: Path, command: str, *, in_workspace: bool = False) -> str:
    """Run a command and return its exit code and what it says of itself."""
    ran = subprocess.run(
        words_of(command, in_workspace=in_workspace), cwd=folder, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
    )  # fmt: skip
    counted = _COUNTED.search(ran.stdout)
    said = counted[1] if counted else f"{len((ran.stdout or ran.stderr).splitlines())} lines"
    return f"exit code {ran.returncode}: {said}"


def words_of(command: str, *, in_workspace: bool) -> Sequence[str]:
    """Return the words of a command, with this Python in the place of `uv run` and `python` where need be."""
    if in_workspace and command.startswith(_UV) and shutil.which("uv"):
        return [*shlex.split(command), "-p", "no:cacheprovider"]
    first, *more = shlex.split(command.removeprefix(_UV))
    if first == "pytest":
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *more]
    return [sys.executable if first == "python" else first, *more]


def make_folders(root: Path) -> dict[str, Path]:
    """Make the two copies of the course and the two workspaces, and return where each is."""
    made = {name: root / name for name in ("as it is given", "solved", "new workspace", "solutions asked for")}
    for name in ("as it is given", "solved"):
        shutil.copytree(content_folder(), made[name])
    for name in ("new workspace", "solutions asked for"):
        start_workspace(made[name])
    asked = Workspace(made["solutions asked for"])
    for exercise in load_course().exercises:
        place = made["solved"] / exercise.folder
        shutil.copy(place / exercise.solution, place / exercise.file)
        opened = asked.root / ask_for_solution(asked, exercise)
        shutil.copy(opened, asked.file(exercise))
    return made


def main() -> None:
    """Make the folders, run everything, print the table."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_folders(Path(folder))
        print(f"| in | command | {' | '.join(made)} |\n|---|---|{'---|' * len(made)}")
        for place, command in COMMANDS:
            results = " | ".join(
                result_of(root / place, command, in_workspace=(root / FOLDER).is_dir()) for root in made.values()
            )
            print(f"| `{place}` | `{command}` | {results} |")


if __name__ == "__main__":
    main()
