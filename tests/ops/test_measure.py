import math

import pytest
import torch
from torch import Tensor

from attention_surgeon.ops import MEASURES, Circuit, measure_weights, softmax

HEADS, N = 3, 7


def drawn() -> Tensor:
    return softmax(torch.randn(2, HEADS, N, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64))


def numbers(weights: Tensor, window: int = 1) -> list[float]:
    measured = measure_weights(weights, window)
    return [measured[name].item() for name in MEASURES]


def test_two_rows_by_hand():
    weights = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]], dtype=torch.float64)
    entropy = (math.log(2) + 0 + 1.5 * math.log(2)) / 3
    assert numbers(weights) == pytest.approx([1.0, entropy, 2 / 3, 2.75 / 0.25])
    assert numbers(weights, window=0)[3] == pytest.approx(2.0 / 1.0)


def test_the_extremes():
    assert numbers(torch.eye(N, dtype=torch.float64)) == [1.0, 0.0, 1.0, math.inf]
    uniform = torch.full((HEADS, N, N), 1 / N, dtype=torch.float64)
    assert numbers(uniform) == pytest.approx([1 / N, math.log(N), 1 / N, 19 / 30])


def test_the_rows_of_all_heads_count_alike():
    weights = drawn()
    whole = numbers(weights)
    parts = torch.tensor([numbers(matrix) for matrix in weights.flatten(0, 1)])
    assert whole[0] == pytest.approx(parts[:, 0].max().item())
    assert whole[1:3] == pytest.approx(parts[:, 1:3].mean(0).tolist())


@pytest.mark.parametrize("window", [0, 1, 3, N - 2])
def test_local_and_far_are_told_apart_by_the_window(window: int):
    weights = drawn()[0, 0].tolist()
    local = sum(weights[q][k] for q in range(N) for k in range(N) if abs(q - k) <= window)
    assert numbers(drawn()[0, 0], window)[3] == pytest.approx(local / (N - local))


def test_the_last_query_belongs_to_the_last_key():
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)
    assert numbers(weights, window=0)[2:] == pytest.approx([(0.3 + 0.1) / 2, 0.4 / 1.6])
    assert numbers(weights.mT, window=0)[2:] == pytest.approx([(0.3 + 0.1) / 4, 0.4 / 1.6])


def test_short_floats_are_summed_in_longer_ones():
    weights = drawn().to(torch.bfloat16)
    exact = numbers(weights.double())
    assert {number.dtype for number in measure_weights(weights).values()} == {torch.bfloat16}
    assert numbers(weights) == [torch.tensor(number).to(torch.bfloat16).item() for number in exact]


def test_a_circuit_measures_with_its_own_part():
    weights = drawn()
    assert Circuit().measure(weights) == measure_weights(weights)
    assert Circuit(measure=lambda weights: {"max_attention": weights.min()}).changed() == ["measure=<lambda>"]
