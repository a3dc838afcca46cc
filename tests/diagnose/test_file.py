"""Somebody's file, from its name to a diagnosis."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from attention_surgeon.diagnose.child import Limits
from attention_surgeon.diagnose.file import FileDiagnosis, diagnose_file
from attention_surgeon.errors import FileAccessError, OptionError

SOURCE = """
import torch

def attention(Q, K, V, mask=None):
    print("called")
    scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill({hidden}, -1e9)
    return torch.softmax(scores, dim=-1) @ V
"""

Judge = Callable[..., FileDiagnosis]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def call(source: str, contract: str | None = None, **options: object) -> FileDiagnosis:
        (tmp_path / "file.py").write_text(source)
        return diagnose_file(f"{tmp_path / 'file.py'}:attention", contract, options)

    return call


def test_which_text_was_run_and_as_what(judge: Judge, tmp_path: Path):
    found = judge(SOURCE.format(hidden="~mask"))
    assert found.diagnosis.verdict == "right"
    assert found.object == "function attention, line 4"
    assert found.num_lines == 9
    assert found.sha256 == hashlib.sha256((tmp_path / "file.py").read_bytes()).hexdigest()
    assert found.diagnosis.contract_name == ""  # judged by what its own operations do
    assert any("mask: (n, m) boolean" in tried and "True may attend" in tried for tried in found.diagnosis.calls)
    assert found.ended == "finished"
    assert found.printed.startswith("called\n")


def test_options_reach_the_contract(judge: Judge):
    hides = SOURCE.format(hidden="mask")
    undeclared = judge(hides).diagnosis
    assert undeclared.verdict == "right"  # nothing says what True means
    assert any("True hides" in tried for tried in undeclared.calls)
    assert judge(hides, mask="keep").diagnosis.names == ("mask_inverted",)
    found = judge(hides, mask="hide")
    assert found.diagnosis.verdict == "right"
    assert found.options["mask"] == "hide"


def test_without_a_name_the_only_one_is_judged(tmp_path: Path):
    (tmp_path / "file.py").write_text(SOURCE.format(hidden="~mask"))
    found = diagnose_file(str(tmp_path / "file.py"))
    assert found.diagnosis.verdict == "right"
    assert "attention" in found.note


HOSTILE = {
    "endless": ("while True: pass", "timed_out", "was stopped after 2 s"),
    "exit": ("exit(3)", "exited", "ended the program"),
    "syntax": ("def f(:", "raised", "cannot be read as Python at line 1"),
    "missing": ("import no_such_module_anywhere", "raised", "which is not installed here"),
    "empty": ("", "raised", "attention"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "crashed", "SIGSEGV"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_a_sentence(name: str, tmp_path: Path):
    source, ended, words = HOSTILE[name]
    (tmp_path / "file.py").write_text(source)
    found = diagnose_file(f"{tmp_path / 'file.py'}:attention", limits=Limits(seconds=2))
    assert found.diagnosis.verdict == "unjudged"
    assert found.ended == ended
    assert words in found.diagnosis.reason
    assert found.sha256 == hashlib.sha256(source.encode()).hexdigest() if source else found.sha256 == ""
    assert found.object == ""


def test_a_wrong_call_is_told_before_anything_is_run(tmp_path: Path):
    (tmp_path / "file.py").write_text(SOURCE.format(hidden="~mask"))
    target = f"{tmp_path / 'file.py'}:attention"
    with pytest.raises(OptionError, match=r"^there is no contract 'atention'; .* Did you mean 'attention'\?$"):
        diagnose_file(target, "atention")
    with pytest.raises(OptionError, match=r"^mask is 'add', expected keep, hide or additive\.$"):
        diagnose_file(target, "attention", {"mask": "add"})
    with pytest.raises(
        OptionError,
        match=r"^the contract 'attention' does not take the option 'align'; its options are mask, returns, scaled\.$",
    ):
        diagnose_file(target, "attention", {"align": "start"})
    with pytest.raises(FileAccessError, match=r"no_such\.py: there is no such file; check the name and the folder\.$"):
        diagnose_file(str(tmp_path / "no_such.py"))


def test_a_wrong_value_is_told_where_the_contract_was_chosen(judge: Judge):
    found = judge(SOURCE.format(hidden="~mask"), mask="add")
    assert found.diagnosis.verdict == "unjudged"
    assert "mask" in found.diagnosis.reason


def test_plain_data_has_both_parts(judge: Judge):
    data = judge("exit()").as_dict()
    assert data["verdict"] == "unjudged"
    assert data["ended"] == "exited"
    assert "diagnosis" not in data
