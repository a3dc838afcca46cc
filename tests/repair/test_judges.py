"""Layers of today are mended by their own operations, and what they are stays what it is."""

from pathlib import Path

import pytest

from attention_surgeon.repair import fix_file
from attention_surgeon.repair.judge_answers import AnswersJudge
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


MASKED = """import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.h = num_heads
        self.q, self.k, self.v, self.o = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = (one(x).view(b, n, self.h, -1).transpose(1, 2) for one in (self.q, self.k, self.v))
        scores = q @ k.mT
        if mask is not None:
            scores = scores + mask.clamp(min=-1e9)
        scores = scores / q.shape[-1] ** 0.5
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d))
"""
"""An added mask is divided with the scores: it hides less than it should."""


@pytest.mark.parametrize("kind", [OperationsJudge, AnswersJudge])
def test_a_mask_that_raises_now_is_no_patch(tmp_path: Path, kind):
    def layer(text: str):
        file = tmp_path / "mine.py"
        file.write_text(text)
        return load(file).Layer

    judge = kind(layer(MASKED), "multihead", {"mask": "additive"})
    assert judge.first.status == "wrong"
    assert not judge.is_right(layer(MASKED.replace("scores + mask", "scores + (~mask)")))
    right = MASKED.replace("q @ k.mT", "q @ k.mT / q.shape[-1] ** 0.5").replace("scores / q.shape[-1] ** 0.5", "scores")
    assert judge.is_right(layer(right))
