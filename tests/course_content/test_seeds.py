"""What the five texts that the course grew from say that their tests look at, asked of our solutions.

The texts name shapes, defaults, sums and tolerances; each test below is one such sentence.
"""

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.course_content.exercises import course, object_in


def solution(name: str) -> Any:
    exercise = course().exercise(name)
    return object_in(exercise, (exercise.content / exercise.solution).read_text(encoding="utf-8"))


# Problem 2: attention basics


@pytest.mark.parametrize("seq_len", [1, 4, 10, 33])
def test_problem_2_output_has_the_shape_of_the_input(seq_len: int) -> None:
    x = torch.randn(2, seq_len, 64)
    assert solution("basics.attention")(64)(x).shape == x.shape


def test_problem_2_three_linear_layers_of_one_size() -> None:
    layers = [each for each in solution("basics.attention")(16).modules() if isinstance(each, nn.Linear)]
    assert [(each.in_features, each.out_features) for each in layers] == [(16, 16)] * 3


def test_problem_2_each_output_is_an_average_of_values() -> None:
    layer = solution("basics.attention")(8)
    x, values = torch.randn(1, 5, 8), [each for each in layer.children() if isinstance(each, nn.Linear)][2]
    with torch.no_grad():
        output, given = layer(x), values(x)
    assert (output <= given.amax(1, keepdim=True) + 1e-5).all()
    assert (output >= given.amin(1, keepdim=True) - 1e-5).all()


def test_problem_2_has_no_scale() -> None:
    layer = solution("basics.attention")(4)
    with torch.no_grad():
        for each in layer.children():
            each.weight.copy_(torch.eye(4))
            each.bias.zero_()
        x = torch.tensor([[[1.0, 0, 0, 0], [0, 2.0, 0, 0]]])
        weights = torch.softmax(torch.tensor([[1.0, 0.0], [0.0, 4.0]]), dim=-1)
        assert torch.allclose(layer(x)[0], weights @ x[0], atol=1e-6)


# Chapter 1


def test_chapter_1_attention_by_hand() -> None:
    Q, K, V = np.array([[1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[10.0], [20.0]])
    output, weights = solution("chapter01.attention")(Q, K, V)
    first = math.exp(1 / math.sqrt(2)) / (math.exp(1 / math.sqrt(2)) + 1)
    assert np.allclose(weights, [[first, 1 - first]])
    assert np.allclose(output, 10 * first + 20 * (1 - first))


def test_chapter_1_many_heads_run_in_parallel_subspaces() -> None:
    layer = solution("chapter01.multihead")(12, 3)
    assert layer(np.random.default_rng(0).normal(size=(2, 5, 12))).shape == (2, 5, 12)


@pytest.mark.parametrize(("embed_dim", "num_heads", "bias"), [(64, 8, True), (12, 3, True), (16, 4, False)])
def test_chapter_1_milestone(embed_dim: int, num_heads: int, bias: bool) -> None:
    theirs = nn.MultiheadAttention(embed_dim, num_heads, bias=bias, batch_first=True).eval()
    with torch.no_grad():
        for each in theirs.parameters():
            each.copy_(torch.randn(each.shape) / embed_dim**0.5)
        x = torch.randn(2, 7, embed_dim)
        ours = solution("chapter01.milestone")(theirs)
        allowed = torch.ones(7, 7, dtype=torch.bool).tril()
        mask = solution("chapter01.torch_mask")(allowed)
        assert torch.allclose(ours(x), theirs(x, x, x)[0], atol=1e-5)
        assert torch.allclose(ours(x, allowed), theirs(x, x, x, attn_mask=mask)[0], atol=1e-5)


# Lab 1


def test_lab_1_signature_and_default_dropout() -> None:
    parameters = inspect.signature(solution("lab1.multihead").__init__).parameters
    assert list(parameters) == ["self", "embed_dim", "num_heads", "dropout"]
    assert parameters["dropout"].default == 0.1
    assert list(inspect.signature(solution("lab1.multihead").forward).parameters) == ["self", "x", "mask"]


def test_lab_1_rows_sum_to_one_and_the_future_is_hidden() -> None:
    layer, mask = solution("lab1.multihead")(64, 8).eval(), solution("lab1.causal_mask")(10)
    output, weights = layer(torch.randn(2, 10, 64), mask)
    assert output.shape == (2, 10, 64)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 8, 10), atol=1e-6)
    assert weights.triu(1).abs().max() == 0


def test_lab_1_causal_mask_is_a_lower_triangle() -> None:
    assert solution("lab1.causal_mask")(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]


def test_lab_1_padding_gets_no_weight() -> None:
    tokens = torch.tensor([[5, 2, 7, 0, 0], [3, 4, 0, 0, 0]])
    mask = solution("lab1.padding_mask")(tokens, 0)
    assert mask.shape == (2, 1, 1, 5)
    _, weights = solution("lab1.multihead")(12, 3).eval()(torch.randn(2, 5, 12), mask)
    assert weights[0, ..., 3:].abs().max() == 0
    assert weights[1, ..., 2:].abs().max() == 0


def test_lab_1_cross_attention_has_the_length_of_the_queries() -> None:
    assert solution("lab1.cross")(12, 3)(torch.randn(2, 7, 12), torch.randn(2, 4, 12)).shape == (2, 7, 12)


def test_lab_1_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="100"):
        solution("lab1.multihead")(100, 8)


# Project 4


def test_project_4_shapes_with_values_of_another_width() -> None:
    output, weights = solution("project04.attention")(*(torch.randn(2, 10, width) for width in (64, 64, 32)))
    assert (output.shape, weights.shape) == ((2, 10, 32), (2, 10, 10))


def test_project_4_a_row_without_keys_is_zero() -> None:
    mask = torch.ones(1, 3, 3)
    mask[0, 1] = 0
    output, weights = solution("project04.attention")(*(torch.randn(1, 3, 4) for _ in range(3)), mask=mask)
    assert weights[0, 1].tolist() == [0.0] * 3
    assert output[0, 1].tolist() == [0.0] * 4


def test_project_4_the_scale_can_be_left_out() -> None:
    Q, K, V = (torch.randn(1, 6, 256) for _ in range(3))
    attention = solution("project04.attention")
    assert attention(Q, K, V, scale=False)[1].amax() > attention(Q, K, V)[1].amax()


def test_project_4_masks() -> None:
    hidden = float("-inf")
    assert solution("project04.causal_mask")(2).tolist() == [[0.0, hidden], [0.0, 0.0]]
    assert solution("project04.reverse_mask")(2).tolist() == [[0.0, 0.0], [hidden, 0.0]]


def test_project_4_four_statistics() -> None:
    found = solution("project04.statistics")(torch.eye(5))
    assert set(found) == {"max_attention", "entropy", "diagonal_mass", "local_vs_global"}
    assert (found["max_attention"], found["entropy"], found["diagonal_mass"]) == (1.0, 0.0, 1.0)
    even = solution("project04.statistics")(torch.full((5, 5), 0.2))
    assert even["entropy"] == pytest.approx(math.log(5))


def test_project_4_without_the_scale_the_softmax_saturates() -> None:
    experiment = solution("project04.scaling")
    assert tuple(inspect.signature(experiment).parameters["d_k_values"].default) == (16, 64, 256, 1024)
    torch.manual_seed(0)
    found = {(each["d_k"], each["scaled"]): each for each in experiment()}
    unscaled = [found[d_k, False] for d_k in (16, 64, 256, 1024)]
    assert [each["max_weight"] for each in unscaled] == pytest.approx([0.8, 0.9, 0.95, 0.97], abs=0.06)
    assert [found[d_k, True]["max_weight"] for d_k in (16, 64, 256, 1024)] == pytest.approx([0.5] * 4, abs=0.05)
    assert unscaled[-1]["gradient"] < 0.1 * found[1024, True]["gradient"]


def test_project_4_where_the_weight_goes() -> None:
    found = solution("project04.masking")()
    assert found["causal"]["future"] == 0
    assert found["reverse"]["past"] == 0
    assert min(found["none"].values()) > 0


# M5


def test_m5_every_step_has_its_shape() -> None:
    project, scores = solution("m5.projections"), solution("m5.scores")
    Q, K, V = project(torch.randn(2, 7, 11), torch.randn(11, 3), torch.randn(11, 3), torch.randn(11, 5))
    weights = solution("m5.weights")(scores(Q, K))
    found = {"Q": Q, "K": K, "V": V, "scores": scores(Q, K), "weights": weights}
    found["output"] = solution("m5.output")(weights, V)
    assert {name: tuple(value.shape) for name, value in found.items()} == solution("m5.shapes")(2, 7, 3, 5)


def test_m5_gradients_are_those_of_autograd() -> None:
    Q, K, V = (torch.randn(5, width, dtype=torch.float64, requires_grad=True) for width in (3, 3, 2))
    G = torch.randn(5, 2, dtype=torch.float64)
    output = torch.softmax(Q @ K.T / 3**0.5, dim=-1) @ V
    expected = torch.autograd.grad((output * G).sum(), (Q, K, V))
    found = solution("m5.gradients")(Q.detach(), K.detach(), V.detach(), G)
    assert all(torch.allclose(one, other) for one, other in zip(found, expected, strict=True))
