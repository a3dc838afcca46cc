"""Every written test passes what is right and kills every fault of its contract."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from attention_surgeon.diagnose.doctor.targets import find_kind, target_with
from attention_surgeon.errors import OptionError
from attention_surgeon.repair.write_test import write_test
from tests.repair.proving import first_failure, survivors, text_for

KINDS = (
    "softmax",
    "attention",
    "attention, NumPy",
    "attention, hide",
    "attention, additive",
    "causal_attention",
    "causal_mask",
    "reverse_mask",
    "padding_mask",
    "padding_mask, tokens",
    "self",
    "multihead",
    "causal_multihead",
    "cross",
    "grouped",
    "multiquery",
)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_right_passes(name):
    kind = find_kind(name)
    text, began = text_for(kind), time.process_time()
    assert first_failure(text, target_with(kind)) is None
    assert time.process_time() - began < 5


@pytest.mark.parametrize("name", KINDS)
def test_every_fault_is_killed(name):
    kind = find_kind(name)
    alive, number = survivors(kind, text_for(kind))
    assert number >= 5
    assert alive == []


RIGHT = """
def attention(Q, K, V, mask=None):
    scores = Q @ K.mT / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return scores.softmax(-1) @ V
"""


@pytest.fixture
def project(tmp_path: Path):
    (tmp_path / "mine.py").write_text(RIGHT)
    return tmp_path


def run_pytest(test: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:attention_surgeon", "-p", "no:cacheprovider", str(test)]
    return subprocess.run(command, cwd=test.parent, capture_output=True, text=True, check=False)


def test_the_file_stands_alone(project):
    test = project / "tests" / "test_mine.py"
    text = write_test(f"{project / 'mine.py'}:attention", test)
    assert "attention_surgeon" not in text
    answer = run_pytest(test)
    assert answer.returncode == 0, answer.stdout
    (project / "mine.py").write_text(RIGHT.replace("mask == 0", "mask != 0"))
    assert run_pytest(test).returncode == 1


def test_nothing_is_written_over(project):
    test = project / "test_mine.py"
    test.write_text("mine")
    with pytest.raises(OptionError, match="there already; give another name"):
        write_test(f"{project / 'mine.py'}:attention", test)
    assert test.read_text() == "mine"
