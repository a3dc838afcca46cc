"""The table of planted bugs fits the code: each text to replace still stands there exactly once."""

import ast

import pytest

from tests.mutants import ALL_BUGS
from tests.mutants.__main__ import PACKAGE
from tests.mutants.mutant import Mutant


@pytest.mark.parametrize("mutant", ALL_BUGS, ids=lambda mutant: f"{mutant.file} {mutant.name}")
def test_the_bug_can_be_planted_and_is_python(mutant: Mutant):
    healthy = (PACKAGE / mutant.file).read_text(encoding="utf-8")
    planted = mutant.plant(healthy)
    assert planted != healthy
    if mutant.file.endswith(".py"):
        assert ast.dump(ast.parse(planted)) != ast.dump(ast.parse(healthy))


def test_there_are_at_least_thirty_and_no_name_stands_twice():
    assert len(ALL_BUGS) >= 30
    assert len({(mutant.file, mutant.name) for mutant in ALL_BUGS}) == len(ALL_BUGS)
