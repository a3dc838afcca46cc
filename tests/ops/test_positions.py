"""How attention learns where tokens stand, against the same thing written otherwise."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.ops import Alibi, Circuit, RelativeBias, Rotary, alibi_slopes
from attention_surgeon.ops.positions import Layout

LAYOUTS: tuple[Layout, ...] = ("halves", "pairs")


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_complex(x: Tensor, layout: Layout) -> Tensor:
    half = x.shape[-1] // 2
    return (
        torch.complex(x[..., :half], x[..., half:])
        if layout == "halves"
        else torch.view_as_complex(x.unflatten(-1, (half, 2)).contiguous())
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_features_turn_as_complex_numbers(layout: Layout):
    query, key, value = draw(2, 3, 5, 8), draw(2, 3, 7, 8, seed=1), draw(2, 3, 7, 6, seed=2)
    turned = Rotary(layout)(query, key, value)
    speeds = 10_000.0 ** (-2 * torch.arange(4, dtype=torch.float64) / 8)
    for found, x, start in ((turned[0], query, 2), (turned[1], key, 0)):
        angles = torch.arange(start, 7, dtype=torch.float64)[:, None] * speeds
        expected = as_complex(x, layout) * torch.polar(torch.ones_like(angles), angles)
        assert torch.allclose(as_complex(found, layout), expected)
    assert turned[2] is value


def test_it_is_the_rotation_of_llama():
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    query, key = draw(1, 2, 5, 8), draw(1, 2, 5, 8, seed=1)
    angles = torch.arange(5)[:, None] * 500.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    both = torch.cat([angles, angles], dim=-1)[None]
    expected = llama.apply_rotary_pos_emb(query, key, both.cos(), both.sin())
    found = Rotary(base=500.0)(query, key, key)
    assert all(torch.allclose(one, other) for one, other in zip(expected, found, strict=False))


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(LAYOUTS), st.integers(1, 6), st.integers(0, 20), st.integers(0, 20), st.integers(0, 50))
def test_a_score_depends_on_the_distance_only(layout: Layout, half: int, first: int, second: int, shift: int):
    query, key = draw(1, 2 * half), draw(1, 2 * half, seed=1)
    at = [torch.tensor([float(place)], dtype=torch.float64) for place in (first, second, first + shift, second + shift)]
    rotary = Rotary(layout, base=100.0)
    score, moved = (rotary.rotate(query, i) @ rotary.rotate(key, j).T for i, j in (at[:2], at[2:]))
    assert torch.allclose(score, moved)
    assert torch.allclose(rotary.rotate(query, at[0]).norm(), query.norm())


def test_some_features_may_stay():
    x = draw(5, 9)
    found = Rotary(size=4)(x, x, x)[0]
    assert torch.equal(found[:, 4:], x[:, 4:])
    assert torch.allclose(found[:, :4], Rotary().rotate(x[:, :4], torch.arange(5, dtype=torch.float64)))


def test_what_cannot_turn_is_refused():
    x = draw(5, 9)
    with pytest.raises(ShapeError, match=r"9 of 9 features cannot turn in pairs; .* Rotary\(size=8\)"):
        Rotary()(x, x, x)
    with pytest.raises(ShapeError, match="10 of 9 features"):
        Rotary(size=10)(x, x, x)


def test_slopes_are_those_of_the_paper():
    assert alibi_slopes(8) == [1 / 2**head for head in range(1, 9)]
    assert alibi_slopes(12) == pytest.approx([*alibi_slopes(8), *(2 ** -(head / 2) for head in (1, 3, 5, 7))])


def test_far_keys_get_less():
    query, key, value = draw(2, 4, 3, 5), draw(2, 4, 6, 5, seed=1), draw(2, 4, 6, 5, seed=2)
    steps = (torch.arange(3, 6)[:, None] - torch.arange(6)).abs()
    slopes = torch.tensor([2.0 ** (-2 * head) for head in (1, 2, 3, 4)], dtype=torch.float64)
    expected = (query @ key.mT / math.sqrt(5) - slopes[:, None, None] * steps).softmax(-1)
    assert torch.allclose(Circuit(bias=Alibi()).attend(query, key, value)[1], expected)


def test_a_table_has_a_row_for_each_distance_and_a_column_for_each_head():
    table = draw(7, 2)
    query = draw(1, 2, 5, 4)
    found = Circuit(bias=RelativeBias(table)).attend(query, query, query)[1]
    bias = torch.tensor([[[table[max(-3, min(3, j - i)) + 3, h] for j in range(5)] for i in range(5)] for h in (0, 1)])
    assert torch.allclose(found, (query @ query.mT / 2 + bias).softmax(-1))
    for shape in ((7, 3), (6, 2), (7,)):
        with pytest.raises(ShapeError, match=r"expected \(2 \* reach \+ 1, 2\)"):
            Circuit(bias=RelativeBias(draw(*shape))).attend(query, query, query)
