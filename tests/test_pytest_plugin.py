"""The plugin in a pytest of its own: what somebody reads whose test fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_public_names import HEAVY, loaded_after

SUITE = """
import pytest

from attention_surgeon.errors import ContractError
from attention_surgeon.testing import check_attention

def careless(Q, K, V, mask=None):
    scores = Q @ K.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    return scores.softmax(-1) @ V

def test_it_is_right():
    check_attention(careless)

@pytest.fixture
def checked():
    check_attention(careless, "attention")

def test_with_a_fixture(checked):
    pass

def test_it_is_right_if_no_scale_is_asked_for():
    check_attention(careless, scaled=False)

def test_another_error():
    assert False

def test_an_error_without_a_target():
    raise ContractError("made by hand")

def test_it_is_known_to_be_wrong():
    with pytest.raises(ContractError):
        check_attention(careless)
"""
SECTION = "what is wrong with this attention"


def run(folder: Path, suite: str, *options: str) -> str:
    (folder / "test_theirs.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run(tmp_path_factory.mktemp("theirs"), SUITE)


def part(printed: str, test: str) -> str:
    """What is printed of one failing test."""
    after = printed.partition(f" {test} __")[2]
    return after.partition("\n____")[0].partition("\n=====")[0]


def test_the_report_names_the_mistake_beside_the_message(printed: str):
    told = part(printed, "test_it_is_right")
    assert "ContractError: careless is not what the contract 'attention' asks: in the call plain: Q (2, 5, 11)" in told
    heading, _, section = told.partition(SECTION)
    assert heading.endswith("-- ")
    assert re.search(r"^✗ WRONG as attention +line \d+ +(scores = Q @ K|return scores\.softmax)", section, re.MULTILINE)
    assert "1 fault, confirmed on 2 independent probes\n\n" in section
    assert "surgeon fix test_theirs.py:careless --contract attention looks for a patch" in told
    assert re.search(r"^scale_missing +\(scale\)$", section, re.MULTILINE)
    assert "The first step that differs: scaled scores (scores are right)" in section
    assert "The smallest case:\n  Q = torch.tensor(" in section


def test_no_traceback_of_the_check_itself_is_shown(printed: str):
    assert "__tracebackhide__" not in printed
    assert "check.py" not in part(printed, "test_it_is_right")


def test_a_check_in_a_fixture_is_reported_too(printed: str):
    assert "scale_missing" in part(printed, "ERROR at setup of test_with_a_fixture")


@pytest.mark.parametrize("test", ["test_another_error", "test_an_error_without_a_target"])
def test_other_errors_are_reported_as_ever(printed: str, test: str):
    assert part(printed, test)
    assert SECTION not in part(printed, test)


def test_only_two_of_the_tests_needed_a_diagnosis(printed: str):
    assert printed.count(SECTION) == 2
    assert "3 failed, 2 passed, 1 error" in printed


def test_a_suite_that_does_not_use_the_package_does_not_load_torch(tmp_path: Path):
    suite = """
import sys

def test_loaded():
    assert 'attention_surgeon.pytest_plugin' in sys.modules
    assert 'torch' not in sys.modules
"""
    assert "1 passed" in run(tmp_path, suite)


def test_it_can_be_switched_off(tmp_path: Path):
    printed = run(tmp_path, SUITE, "-p", "no:attention_surgeon", "-k", "test_it_is_right and not asked")
    assert "1 failed" in printed
    assert SECTION not in printed


def test_loading_the_plugin_loads_nothing_heavy():
    loaded = loaded_after("import attention_surgeon.pytest_plugin")
    assert "pytest" in loaded
    assert not loaded.intersection(HEAVY)
