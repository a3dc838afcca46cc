"""Why a target was not called, said so that its author can do something about it."""

from typing import Any

import pytest
import torch
from torch import nn

from attention_surgeon.calls import Refusal, find_plan
from attention_surgeon.calls.reasons import refusal


def attention_builder(dim: int, num_heads: int) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(dim, num_heads)


def unsaid_builder(x):
    return nn.MultiheadAttention(8, 2)


class WithUnknownSize(nn.Module):
    def __init__(self, c_zz):
        super().__init__()
        self.inner, self.kept = nn.Linear(24, 24), c_zz

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


class WithVocabulary(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.tokens = nn.Embedding(50, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tokens(x)


class WithGlobal(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * vocab_size  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


class Strict(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] != 999:
            raise ValueError
        return x


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (attention_builder, "attention_builder makes a MultiheadAttention and attends to nothing itself"),
        (unsaid_builder, "unsaid_builder makes a MultiheadAttention and attends to nothing itself"),
        (WithUnknownSize, "I do not know what the constructor's `c_zz` should be"),
        (WithVocabulary, "WithVocabulary takes the numbers of words"),
        (WithGlobal, "WithGlobal reads the global `vocab_size`"),
        (Strict, "worked: ValueError: raise ValueError"),
    ],
)
def test_what_was_not_called_says_why(target: Any, words: str):
    found = find_plan(target)
    assert isinstance(found, Refusal)
    assert words in found.reason
    assert not any(words in tried for tried in found.tried)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "ModuleNotFoundError: Layer is needed and not there: No module named 'tensorflow'",
            "is written for tensorflow",
        ),
        (
            "ModuleNotFoundError: attend is needed and not there: No module named 'xformers'",
            "needs the package xformers",
        ),
        ("ValueError: the kernel requires CUDA tensors", "runs on a GPU only"),
    ],
)
def test_what_no_example_can_mend_gives_no_advice(error: str, words: str):
    found = refusal("Attention", [error, "ValueError: another"], 30)
    assert words in found.reason
    assert (found.tried, found.advice) == ((), "")
