"""Run every command that the five units name and print a table of what came of it: `python -m docs.commands`.

Each is run twice, in a copy of the course as it is given and in one with the solutions in the place of the stubs.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from attention_surgeon.course import content_folder, load_course

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


def result_of(folder: Path, command: str) -> str:
    """Run a command with this Python in place of `uv run` and return its exit code and what it says of itself."""
    words = shlex.split(command.removeprefix("uv run "))
    if words[0] in ("pytest", "python"):
        words = [
            sys.executable,
            *(["-m", "pytest", "-p", "no:cacheprovider"] if words[0] == "pytest" else []),
            *words[1:],
        ]
    ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    counted = _COUNTED.search(ran.stdout)
    said = counted[1] if counted else f"{len(ran.stdout.splitlines())} lines"
    return f"exit code {ran.returncode}: {said}"


def main() -> None:
    """Make the two copies, run everything, print the table."""
    with tempfile.TemporaryDirectory() as folder:
        given, solved = Path(folder) / "given", Path(folder) / "solved"
        for copy in (given, solved):
            shutil.copytree(content_folder(), copy)
        for exercise in load_course().exercises:
            place = solved / exercise.folder
            shutil.copy(place / exercise.solution, place / exercise.file)
        print("| in | command | as it is given | solved |\n|---|---|---|---|")
        for place, command in COMMANDS:
            results = " | ".join(result_of(copy / place, command) for copy in (given, solved))
            print(f"| `{place}` | `{command}` | {results} |")


if __name__ == "__main__":
    main()
