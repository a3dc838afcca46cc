"""Forms told from numbers: what was put in is read off again."""

import numpy as np
import pytest

from attention_surgeon.witness.forms import BrokenRotation, Factor, HeadRotation, Norm, Rotation, find_form

SHAPE = 3, 5, 2, 8  # batch, positions, heads, size


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=SHAPE)


def turned(x, angles, layout):
    """Turn pairs of features by `angles`, which broadcast to (batch, positions, heads, size / 2)."""
    half = x.shape[-1] // 2
    first, second = (x[..., :half], x[..., half:]) if layout == "halves" else (x[..., ::2], x[..., 1::2])
    one, two = first * np.cos(angles) - second * np.sin(angles), second * np.cos(angles) + first * np.sin(angles)
    return np.concatenate([one, two], -1) if layout == "halves" else np.stack([one, two], -1).reshape(x.shape)


def angles_of(n, size, base=10000.0):
    return (np.arange(n)[:, None] * base ** (-np.arange(0, size, 2) / size))[:, None]


def test_factor_and_bias(x):
    assert find_form(x, 0.25 * x) == Factor(0.25)
    found = find_form(x, 2 * x + np.arange(8))
    assert found.has_bias
    assert found.by == pytest.approx(2)


@pytest.mark.parametrize("layout", ["halves", "pairs"])
def test_rotation_layout_base_and_part(x, layout):
    found = find_form(x, 0.5 * turned(x, angles_of(5, 8, 500.0), layout))
    assert isinstance(found, Rotation)
    assert (found.layout, found.first, found.size) == (layout, 0, 8)
    assert found.by == pytest.approx(0.5, rel=1e-6)
    assert found.base == pytest.approx(500, rel=1e-3)
    assert found.is_by_position
    part = x.copy()
    part[..., :4] = turned(x[..., :4], angles_of(5, 4), layout)
    found = find_form(x, part)
    assert (found.layout, found.first, found.size) == (layout, 0, 4)


def test_positions_that_do_not_grow_evenly_are_seen(x):
    angles = angles_of(5, 8)
    angles[3] = angles[1]
    assert not find_form(x, turned(x, angles, "halves")).is_by_position


def test_rotation_by_head_is_none_by_position(x):
    by_head = np.array([0.3, 1.1])[:, None] * 10.0 ** -np.arange(4)
    assert find_form(x, turned(x, by_head, "halves")) == HeadRotation("halves")


def test_cosines_of_pairs_on_halves_keep_no_lengths(x):
    angle = np.repeat(angles_of(5, 8), 2, -1)
    swapped = np.concatenate([-x[..., 4:], x[..., :4]], -1)
    assert find_form(x, x * np.cos(angle) + swapped * np.sin(angle)) == BrokenRotation("halves")


@pytest.mark.parametrize("over_heads", [False, True])
def test_norms(x, over_heads):
    whole = x.reshape(3, 5, 1, 16) if over_heads else x
    gains = np.linspace(0.5, 1.5, 8)
    rms = (whole / np.sqrt((whole**2).mean(-1, keepdims=True))).reshape(SHAPE)
    layer = ((whole - whole.mean(-1, keepdims=True)) / whole.std(-1, keepdims=True)).reshape(SHAPE)
    length = (whole / np.linalg.norm(whole, axis=-1, keepdims=True)).reshape(SHAPE)
    for kind, after in (("rms", rms * gains), ("layer", layer * gains + 3)):
        found = find_form(x, after)
        assert isinstance(found, Norm)
        assert (found.kind, found.over_heads) == (kind, over_heads)
        assert found.by == pytest.approx(1)
    assert find_form(x, length).kind == "l2"


def test_what_is_none_of_these_has_no_form(x):
    assert find_form(x, np.tanh(x)) is None
    assert find_form(x, x[:, ::-1]) is None


def test_the_gain_of_a_norm_is_told_from_a_learned_scale(x):
    normed = x / np.sqrt(np.square(x).mean(-1, keepdims=True))
    scales = np.array([0.4, 1.7])[:, None]
    assert find_form(x, normed * scales) == Norm("rms", False, pytest.approx(1.05), pytest.approx((0.4, 1.7)))
    assert find_form(x, 0.9 * normed) == Norm("rms", False, pytest.approx(0.9), pytest.approx((0.9, 0.9)))
    found = find_form(x, normed * np.linspace(0.5, 1.5, 8))
    assert isinstance(found, Norm)
    assert found.by_head == ()
