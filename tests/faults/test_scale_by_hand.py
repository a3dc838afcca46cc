"""The scale, worked out with a pencil."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.faults import find_fault
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit
from tests.faults.probes import close, draw, faulty, given


def scaled_by(name: str, query: Tensor, key: Tensor, value: Tensor, **more: int) -> Tensor:
    """Return by how much the fault multiplies the scores."""
    steps = faulty(name).steps(replace(given(query, key, value), **more))
    return (steps.scaled / steps.scores).flatten()


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("scale_missing", 1),
        ("scale_multiplied", 11**0.5),
        ("scale_by_key_size", 1 / 11),
        ("scale_twice", 1 / 11),
        ("scale_by_fourth_root", 11**-0.25),
        ("scale_by_model_width", 17**-0.5),
        ("scale_by_value_size", 13**-0.5),
        ("scale_by_num_keys", 7**-0.5),
        ("scale_by_num_queries", 5**-0.5),
        ("scale_by_num_heads", 3**-0.5),
        ("scale_hard_coded", 1 / 8),
    ],
)
def test_the_scale(name: str, factor: float):
    found = scaled_by(name, draw(2, 3, 5, 11), draw(2, 3, 7, 11, seed=1), draw(2, 3, 7, 13, seed=2), model_size=17)
    assert close(found, factor)


def test_the_width_of_the_model_is_that_of_the_heads_unless_it_is_known():
    tensors = draw(2, 3, 5, 11), draw(2, 3, 7, 11, seed=1), draw(2, 3, 7, 13, seed=2)
    assert close(scaled_by("scale_by_model_width", *tensors, model_size=None), 33**-0.5)  # pyright: ignore[reportArgumentType]
    without_heads = tuple(tensor[0] for tensor in tensors)
    with pytest.raises(
        OptionError, match=r"Q has shape \(3, 5, 11\), from which the width of the model cannot be told"
    ):
        scaled_by("scale_by_model_width", *without_heads, model_size=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError, match=r"Q has shape \(3, 5, 11\), expected \(batch, heads, n, size\)"):
        scaled_by("scale_by_num_heads", *without_heads)


def test_a_tuned_scale_and_a_tuned_fill():
    scale, fill = find_fault("scale_hard_coded").tune, find_fault("mask_fill_too_small").tune
    assert scale is not None
    assert fill is not None
    tensors = draw(1, 5, 3), draw(1, 7, 3, seed=1), draw(1, 7, 2, seed=2)
    steps = scale(0.3)(Circuit()).steps(given(*tensors))
    assert close(steps.scaled / steps.scores, 0.3)
    allowed = causal_mask(5, 7).dense()
    masked = fill(-7.0)(Circuit()).steps(given(*tensors, allowed=allowed)).masked
    assert (masked[0][~allowed] == -7).all()
    assert torch.equal(masked[0][allowed], steps.scores[0][allowed] / math.sqrt(3))
