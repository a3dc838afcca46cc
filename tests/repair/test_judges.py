"""Layers of today are mended by their own operations, and what they are stays what it is."""

from pathlib import Path

import pytest

from attention_surgeon.repair import fix_file
from attention_surgeon.repair.judge_operations import OperationsJudge
from tests.cases.calls import load

CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("wrong_alibi_sign.py:Attention", "scores - self.slopes"),
        ("wrong_kv_cache_mask_from_start.py:Attention", "triu(m - n + 1)"),
        ("wrong_keys_and_values_made_from_query.py:MultiHeadAttention", "self.W_k(key)"),
    ],
)
def test_a_layer_that_no_contract_has_is_mended(name: str, line: str):
    found = fix_file(f"{CASES / name}")
    assert (found.result, found.num_lines) == ("fixed", len(found.lines)), found.reason
    assert any(line in each for each in found.diff.splitlines() if each.startswith("+"))
    assert found.line


ALIBI = (CASES / "wrong_alibi_sign.py").read_text(encoding="utf-8")
FAULT = "scores = scores + self.slopes[:, None, None] * distance"


def judged(folder: Path, text: str):
    file = folder / "mine.py"
    file.write_text(text)
    return load(file).Attention


def test_without_its_slopes_it_would_be_right_and_is_no_patch(tmp_path: Path):
    judge = OperationsJudge(judged(tmp_path, ALIBI))
    assert judge.first.names == ("alibi_sign",)
    without = judged(tmp_path, ALIBI.replace(FAULT, "pass"))
    assert OperationsJudge(without).first.status == "right"
    assert not judge.is_right(without)
    assert judge.probe(without, closely=False) is None
    right = judged(tmp_path, ALIBI.replace(FAULT, FAULT.replace("+", "-")))
    assert judge.is_right(right)
    assert judge.holds(right)


CACHE = (CASES / "wrong_kv_cache_mask_from_start.py").read_text(encoding="utf-8")


def test_a_cache_that_raises_now_is_no_patch(tmp_path: Path):
    judge = OperationsJudge(judged(tmp_path, CACHE))
    assert judge.first.names == ("causal_aligned_at_start",)
    assert not judge.is_right(judged(tmp_path, CACHE.replace("torch.ones(n, m)", "torch.ones(m, n)")))
    assert judge.is_right(judged(tmp_path, CACHE.replace("triu(1)", "triu(m - n + 1)")))
