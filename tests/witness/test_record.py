"""What a recorder sees of torch and of NumPy."""

import numpy as np
import torch

from attention_surgeon.witness import record, watched


def names(run):
    return [op.name for op in record(run).ops]


def test_sees_functions_methods_and_operators():
    q, k = torch.randn(2, 5, 4), torch.randn(2, 7, 4)

    def run():
        scores = q @ k.mT / 2
        scores.masked_fill_(scores > 0, -1.0)
        return torch.nn.functional.softmax(scores, dim=-1)

    assert names(run) == ["mT", "matmul", "div", "gt", "masked_fill", "softmax"]


def test_sees_inside_the_functions_of_torch():
    layer, x = torch.nn.MultiheadAttention(12, 3, batch_first=True).eval(), torch.randn(2, 5, 12)
    seen = names(lambda: layer(x, x, x))
    assert seen.count("softmax") == 1
    assert [name for name in seen if name in ("bmm", "baddbmm")] == ["bmm", "bmm"]


def test_sees_numpy_through_views_and_reductions():
    x = watched(np.random.default_rng(0).normal(size=(5, 4)))

    def run():
        scores = x @ x.T
        raised = np.exp(scores - scores.max(-1, keepdims=True))
        return raised / raised.sum(-1, keepdims=True)

    assert names(run) == ["matmul", "max", "subtract", "exp", "sum", "div"] or names(run) == [
        "matmul", "max", "sub", "exp", "sum", "div",
    ]  # fmt: skip


def test_keeps_numbers_as_they_were_before_they_were_overwritten():
    x = torch.ones(3)

    def run():
        y = x * 2
        y += 5
        return y

    first, second = record(run).ops
    assert first.value.tolist() == [2, 2, 2]
    assert second.value.tolist() == [7, 7, 7]


def test_a_bump_reaches_what_comes_after():
    x = torch.ones(2, 3)
    trace = record(
        lambda: torch.softmax(x * 2, -1).sum(), bumps={0: lambda value: value + np.array([[1, 0, 0], [0, 0, 0]])}
    )
    weights = trace.ops[1].value
    assert weights[0, 0] > weights[0, 1]
    assert weights[1, 0] == weights[1, 1]


def test_knows_the_line():
    x = torch.ones(2, 3)
    (op,) = record(lambda: torch.softmax(x, -1), with_places=True).ops
    assert op.place.file == __file__
    assert "torch.softmax(x, -1)" in op.place.text
