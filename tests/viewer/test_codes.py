"""Weights survive their codes within the error that is stated."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attention_surgeon.viewer.codes import encode, packed
from attention_surgeon.viewer.detail import CHOICES, Choice, costs_of, plan
from tests.viewer.probes import weights
from tests.viewer.reading import bounds

SMALL = arrays(np.float32, (3, 5), elements=st.floats(0, 1, width=32, allow_subnormal=False))


@given(SMALL, st.integers(7, 255))
def test_a_weight_lies_within_the_bounds_of_its_code(weight: np.ndarray, steps: int):
    _, low, high = bounds(*encode(weight, steps))
    assert (low * (1 - 1e-5) <= weight).all()
    assert (weight <= high * (1 + 1e-5) + 1e-37).all()
    assert ((weight == 0) == (high == 0)).all()


@given(SMALL, st.integers(7, 255))
def test_the_bounds_are_as_narrow_as_the_steps(weight: np.ndarray, steps: int):
    coded = encode(weight, steps)
    _, low, high = bounds(*coded)
    widest = coded.top * (1 - (1 - 1 / steps) ** 2)
    assert ((high - low) <= widest * (1 + 1e-5) + 1e-37).all()


def test_two_by_hand():
    coded = encode(np.array([[0.0, 0.01, 0.04, 1.0]], dtype=np.float32), 10)
    assert coded.codes.tolist() == [[0, 1, 2, 10]]
    assert coded.top == 1.0
    nothing = encode(np.zeros((2, 3), dtype=np.float32), 10)
    assert (nothing.codes.tolist(), nothing.top) == ([[0, 0, 0], [0, 0, 0]], 0.0)


def test_a_cheap_map_keeps_all_its_steps_when_a_dear_one_must_give():
    sharp, broad = torch.eye(256), weights(256, 256)
    costs = [costs_of(sharp), costs_of(broad)]
    cheap, dear = plan(costs, room=30_000.0)
    assert cheap == Choice(1, 255)
    assert dear.block > 1
    assert plan(costs, room=30_000.0, in_full=frozenset({1}))[1] == Choice(1, 255)


@pytest.mark.parametrize("room", [3_000.0, 20_000.0, 60_000.0, 1e7])
def test_a_plan_fits_and_more_room_never_makes_it_worse(room: float):
    costs = [costs_of(weights(128, 128, seed=seed)) for seed in range(5)]
    chosen = plan(costs, room)
    price = sum(each[CHOICES.index(choice)] for each, choice in zip(costs, chosen, strict=True))
    assert price <= room
    better = plan(costs, 2 * room)
    assert sum(map(CHOICES.index, better)) <= sum(map(CHOICES.index, chosen))


def test_the_cost_is_estimated_well():
    weight = weights(512, 512)
    guessed = costs_of(weight)[0]
    assert 0.9 < guessed / len(packed(encode(weight.numpy(), 255).codes.tobytes())) < 1.2
