"""The picture of a fault shows what is right, what is not, and the difference, cell by cell."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from attention_surgeon.faults import catalogue, find_fault
from attention_surgeon.faults.example import drawn_example
from attention_surgeon.plots import plot_fault
from tests.plots.probes import cell_numbers, on_a_map, outside, overlapping, placed, shown, tick_texts, written

SMALLEST_LETTERS = 5.5  # points
KINDS = (
    "softmax_over_queries",
    "mask_fill_too_small",
    "nan_rows",
    "exp_not_normalised",
    "heads_merged_without_transpose",
    "attends_over_heads",
    "key_as_value",
    "entropy_negated",
    "causal_aligned_at_start",
    "context_ignored",
)
LONGEST = max(catalogue(), key=lambda fault: len(fault.summary) if drawn_example(fault) else 0).name


@pytest.fixture(scope="module", params=[*KINDS, LONGEST])
def figure(request) -> Figure:
    return placed(plot_fault(request.param))


def test_every_text_has_its_own_place_and_can_be_read(figure: Figure):
    assert overlapping(figure) == []
    assert outside(figure) == []
    assert on_a_map(figure) == []
    assert min(text.get_size() for text in written(figure)) >= SMALLEST_LETTERS


def test_the_maps_hold_the_example():
    example = drawn_example(find_fault("softmax_over_queries"))
    assert example is not None
    figure = plot_fault("softmax_over_queries")
    healthy, faulty, apart = (shown(figure, index) for index in range(3))
    np.testing.assert_array_equal(healthy, example.healthy)
    np.testing.assert_array_equal(faulty, example.faulty)
    np.testing.assert_array_equal(apart, faulty - healthy)
    assert tick_texts(figure, "y") == tick_texts(figure, "x", 2) == list(example.rows)


def test_healthy_and_faulty_share_their_colours_and_the_difference_is_around_zero():
    first, second, third = (axes.images[0].norm for axes in plot_fault("exp_not_normalised").axes)
    assert (first.vmin, first.vmax) == (second.vmin, second.vmax)
    assert first.vmin == 0.0
    assert third.vmin == pytest.approx(-third.vmax)


def test_signed_numbers_have_two_hues():
    image = plot_fault("heads_merged_without_transpose").axes[0].images[0]
    below, zero, above = (np.array(image.to_rgba(value)[:3]) for value in (image.norm.vmin, 0.0, image.norm.vmax))
    assert below[0] > below[2]
    assert above[2] > above[0]
    assert zero.min() > 0.95


def test_numbers_are_written_with_a_sign_in_the_difference():
    figure = plot_fault("scale_missing")
    assert not [text for text in cell_numbers(figure, 0) if text[0] in "+−"]
    assert {text[0] for text in cell_numbers(figure, 2)} <= set("+−<0")
    assert cell_numbers(figure, 0)[0] == f"{shown(figure, 0)[0, 0]:.2f}"


def test_tiny_numbers_do_not_read_as_nothing():
    figure = plot_fault("mask_fill_too_small")
    np.testing.assert_array_less(np.abs(shown(figure, 2)), 0.01)
    leaked = np.triu(np.ones((5, 5), dtype=bool), 1).ravel()
    assert not [
        text for text, is_hidden in zip(cell_numbers(figure, 1), leaked, strict=True) if is_hidden and text == "0"
    ]
    assert "e−" in cell_numbers(figure, 2)[0]


def test_nan_is_hatched_and_named():
    figure = plot_fault("nan_rows")
    assert [len(axes.patches) for axes in figure.axes] == [0, 5, 5]
    assert all(patch.get_hatch() for patch in figure.axes[1].patches)
    assert cell_numbers(figure, 1)[:5] == ["NaN"] * 5


def test_another_shape_has_no_difference_and_numbers_for_names():
    figure = plot_fault("attends_over_heads")
    assert [axes.get_title() for axes in figure.axes] == ["healthy", "faulty"]
    assert tick_texts(figure, "y", 1) == ["0", "1"]


def test_the_title_and_the_call_say_what_is_seen():
    figure = plot_fault(find_fault("scale_missing"), theme="dark")
    assert figure.get_suptitle().replace("\n", " ").startswith("scale_missing: ")
    assert figure.get_supxlabel() == "weights: five tokens"
    assert figure.get_facecolor()[:3] < (0.1, 0.1, 0.2)
