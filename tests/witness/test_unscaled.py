"""Which attention may leave the scale out: told by its words, its name, or what calls it."""

import importlib.util
from pathlib import Path

import pytest
from torch import nn

from attention_surgeon.diagnose.observed import diagnose_observed
from attention_surgeon.witness.unscaled import may_be_unscaled, promises_no_scale, speaks_of_no_scale

HELPER = """
import torch

def attend(q, k, v):
    return torch.softmax(q @ k.transpose(-1, -2), -1) @ v

class Layer(torch.nn.Module):
    def forward(self, x):
        q = k = v = x
        {line}
        return attend(q, k, v)
"""


def loaded(folder: Path, line: str):
    file = folder / f"helper_{abs(hash(line))}.py"
    file.write_text(HELPER.format(line=line), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("line", ["q = q / x.shape[-1] ** 0.5", "q *= self.scale", "q = q * math.sqrt(1 / 8)"])
def test_a_helper_may_be_given_scaled_queries(tmp_path: Path, line: str):
    assert may_be_unscaled(loaded(tmp_path, line).attend, None, "attend", "")


@pytest.mark.parametrize("line", ["q = q + 1", "k = k * self.scale", "pass"])
def test_a_helper_whose_caller_scales_no_queries_needs_a_scale(tmp_path: Path, line: str):
    attend = loaded(tmp_path, line).attend
    assert not may_be_unscaled(attend, None, "attend", "")
    assert diagnose_observed(attend).names == ("scale_missing",)


def test_plain_dot_products_have_no_weights_and_no_word_of_a_scale():
    assert may_be_unscaled(nn.Module, nn.Module(), "DotProductAttention", "q @ k")
    assert not may_be_unscaled(nn.Module, nn.Linear(2, 2), "DotProductAttention", "q @ k")
    assert not may_be_unscaled(nn.Module, nn.Module(), "DotProductAttention", "'''Scaled dot products.''' q @ k")
    assert not may_be_unscaled(nn.Module, nn.Module(), "SelfAttention", "q @ k")


def test_a_text_may_say_that_nothing_is_scaled():
    assert promises_no_scale("T5Attention")
    assert speaks_of_no_scale("# without scaling")
    assert not speaks_of_no_scale("scores / scale")
