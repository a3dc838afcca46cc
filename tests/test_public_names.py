"""The package's front door: the public list is complete, and importing it costs nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import attention_surgeon

STUB = Path(attention_surgeon.__file__).with_suffix(".pyi").read_text()
HEAVY = ("torch", "numpy", "matplotlib", "transformers", "starlette", "rich", "typer")


def loaded_after(statement: str) -> set[str]:
    """Run `statement` in a fresh process and return the top-level modules it loaded."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in answer.stdout.split()}


def test_the_public_list_is_sorted_short_and_complete():
    listed = re.findall(r'^    "(\w+)",$', STUB, flags=re.MULTILINE)
    assert sorted(attention_surgeon.__all__) == listed == sorted(listed)
    assert len(listed) < 40


@pytest.mark.parametrize("name", attention_surgeon.__all__)
def test_every_public_name_resolves_and_is_documented(name: str):
    public = getattr(attention_surgeon, name)
    assert public.__doc__
    assert public.__module__.startswith("attention_surgeon.")


def test_importing_the_package_loads_nothing_heavy():
    loaded = loaded_after("import attention_surgeon")
    assert "attention_surgeon" in loaded
    assert not loaded.intersection(HEAVY)


def test_the_command_line_answers_help_without_torch():
    loaded = loaded_after("import attention_surgeon.cli")
    assert not loaded.intersection(set(HEAVY) - {"rich", "typer"})


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="atention"):
        attention_surgeon.atention  # noqa: B018
