"""`surgeon diagnose` as a command."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Surgeon

RIGHT = """
import torch

def attention(Q, K, V, mask=None):
    scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask, -1e9)
    return torch.softmax(scores, dim=-1) @ V
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file.py").write_text(RIGHT)
    return tmp_path / "file.py"


def test_options_reach_the_judge(file: Path, surgeon: Surgeon):
    ran = surgeon("diagnose", f"{file}:attention", "--contract", "attention", "--mask", "hide", "--json")
    assert (ran.code, ran.err) == (0, "")
    made = json.loads(ran.out)
    assert made["verdict"] == "right"
    assert made["options"] == {"mask": "hide", "returns": "output_first", "scaled": True}


def test_limits_reach_the_child(file: Path, surgeon: Surgeon):
    file.write_text("while True:\n    pass\n")
    ran = surgeon("diagnose", file, "--seconds", "0.5")
    assert ran.code == 2
    assert "was stopped after 0.5 s" in ran.out
    file.write_text("taken = bytearray(400 * 2**20)\n")
    ran = surgeon("diagnose", file, "--memory", "100")
    assert ran.code == 2
    assert "memory" in ran.out


def test_json_is_all_that_is_printed(file: Path, surgeon: Surgeon):
    file.write_text("print('hello')\nexit(1)\n")
    ran = surgeon("diagnose", f"{file}:attention", "--json")
    assert (ran.code, ran.err) == (2, "")
    made = json.loads(ran.out)
    assert (made["verdict"], made["ended"], made["printed"]) == ("unjudged", "exited", "hello\n")


WRONG = {
    ("no_such.py:attention",): "no_such.py: there is no such file; check the name and the folder.\n",
    ("{file}", "--level", "all"): "--level is 'all', expected question, pointer or fix.\n",
    ("{file}", "--seconds", "0"): "--seconds is 0, expected a number above 0.\n",
    ("{file}", "--memory", "-5"): "--memory is -5, expected a number above 0.\n",
    ("{file}", "--contract", "atention"): "Did you mean 'attention'?\n",
    ("{file}", "--contract", "attention", "--mask", "add"): "mask is 'add', expected keep, hide or additive.\n",
}


@pytest.mark.parametrize(("arguments", "end"), WRONG.items(), ids=[" ".join(key) for key in WRONG])
def test_a_wrong_call_says_the_way_out(arguments: tuple[str, ...], end: str, file: Path, surgeon: Surgeon):
    ran = surgeon("diagnose", *(argument.format(file=file) for argument in arguments))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert ran.err.endswith(end)
