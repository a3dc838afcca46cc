"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n# Recipes\n")[2]
RECIPES = {part.partition("\n")[0]: part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]}
STEP = re.compile(
    r"(?P<step>At the end of `(?P<end>[^`]+)`:"
    r"|New file `(?P<new>[^`]+)`:"
    r"|In `(?P<file>[^`]+)`, (?P<where>above|below|in the place of) `(?P<mark>[^`]+)`:"
    r"|Run:)\n\n```\w+\n(?P<block>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
BLOCK = re.compile(r"^```\w+$", re.MULTILINE)
COPIED = ("src", "tests", "course", "docs", "pyproject.toml")


def steps(recipe: str) -> Iterator[re.Match[str]]:
    found = list(STEP.finditer(RECIPES[recipe]))
    assert len(found) == len(BLOCK.findall(RECIPES[recipe])), "a block that no step introduces"
    return iter(found)


def change(text: str, where: str, mark: str, block: str) -> str:
    """Put a block above, below or in the place of the first line that begins with the mark."""
    lines = text.splitlines(keepends=True)
    index = next(number for number, line in enumerate(lines) if line.startswith(mark))
    start, stop = {"above": (index, index), "below": (index + 1, index + 1)}.get(where, (index, index + 1))
    return "".join([*lines[:start], block, *lines[stop:]])


def run(commands: str, folder: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    environment = kept | {"PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder)])}
    surgeon = [sys.executable, "-c", "from attention_surgeon.cli import main; main()"]
    for line in commands.splitlines():
        program, *arguments = line.split()
        command = [*({"python": [sys.executable], "surgeon": surgeon}[program]), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "no tests ran" not in done.stdout


def follow(recipe: str, folder: Path) -> None:
    for step in steps(recipe):
        if step["step"] == "Run:":
            run(step["block"], folder)
            continue
        file = folder / (step["end"] or step["new"] or step["file"])
        if step["new"]:
            assert not file.exists()
            file.write_text(step["block"], encoding="utf-8")
            continue
        text = file.read_text(encoding="utf-8")
        changed = text + step["block"] if step["end"] else change(text, step["where"], step["mark"], step["block"])
        file.write_text(changed, encoding="utf-8")


def test_there_is_a_recipe_for_each():
    assert list(RECIPES) == [
        "A new fault",
        "A new exercise of the shipped course",
        "A new command",
        "A new contract",
    ]


@pytest.mark.parametrize("recipe", RECIPES)
def test_it_works_to_the_letter(recipe: str, tmp_path: Path):
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "images")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    follow(recipe, tmp_path)
