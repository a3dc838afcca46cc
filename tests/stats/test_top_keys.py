import torch

from attention_surgeon.stats import top_keys
from tests.stats.drawn import drawn_weights


def test_by_hand():
    found = top_keys(torch.tensor([[0.2, 0.5, 0.3, 0.0], [0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 1.0]]))
    assert found.keys.tolist() == [[1, 2, 0], [0, 1, 2], [3, -1, -1]]
    assert found.weights[0].tolist() == torch.tensor([0.5, 0.3, 0.2]).tolist()


def test_an_empty_row_has_none():
    assert top_keys(torch.tensor([[0.0, 0.0], [0.0, 1.0]]), count=1).keys.tolist() == [[-1], [1]]


def test_the_weights_are_those_of_the_keys():
    weights = drawn_weights(2, 3, 5, 7).float()
    found = top_keys(weights, count=4)
    assert found.weights.shape == (2, 3, 5, 4)
    assert torch.equal(weights.gather(-1, found.keys), found.weights)
    assert torch.equal(found.weights, weights.topk(4).values)
