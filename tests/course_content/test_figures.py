"""What is read from a figure is what a person sees in it, however it was drawn."""

import re
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from attention_surgeon.course.exercises import (
    ExplainedError,
    check_head_grid,
    check_heatmap,
    check_pair_of_maps,
    check_sample_map,
    check_scaling_plot,
)
from attention_surgeon.course.exercises.maps import drawn, seen_maps
from attention_surgeon.plots import plot_attention_heatmap, plot_multihead_attention, plot_scale_comparison

NUMBERS = np.arange(6.0).reshape(2, 3) / 6


def test_our_own_figures_pass() -> None:
    check_heatmap(plot_attention_heatmap)
    check_head_grid(plot_multihead_attention)
    check_pair_of_maps(plot_scale_comparison)


@pytest.mark.parametrize("how", ["imshow", "matshow", "pcolormesh", "origin lower", "extent"])
def test_a_map_is_read_from_the_top_down(how: str) -> None:
    figure, axes = plt.subplots()
    if how == "imshow":
        axes.imshow(NUMBERS)
    elif how == "matshow":
        axes.matshow(NUMBERS)
    elif how == "pcolormesh":
        axes.pcolormesh(NUMBERS)
        axes.invert_yaxis()
    elif how == "origin lower":
        axes.imshow(NUMBERS[::-1], origin="lower")
    else:
        axes.imshow(NUMBERS, extent=(0, 3, 0, 2))
    (seen,) = seen_maps(figure)
    plt.close(figure)
    np.testing.assert_array_equal(seen.numbers, NUMBERS)


def test_labels_stand_at_their_rows_and_columns() -> None:
    figure = Figure()
    axes = figure.subplots()
    figure.colorbar(axes.pcolormesh(NUMBERS, vmin=0, vmax=1))
    axes.set_xticks([0.5, 2.5], ["a", "c"])
    axes.set_yticks([0.5, 1.5], ["low", "high"])
    (seen,) = seen_maps(figure)
    assert seen.columns == ("a", "", "c")
    assert seen.rows == ("high", "low")
    np.testing.assert_array_equal(seen.numbers, NUMBERS[::-1])
    assert seen.limits == (0.0, 1.0)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: plt.imshow(NUMBERS) and None, "It returns nothing."),
        (lambda: plt.imshow(NUMBERS).axes, "It returns an Axes, expected a figure."),
        (lambda: plt.subplots(), "It returns a tuple of 2, expected a figure."),
    ],
)
def test_a_figure_that_is_not_returned_is_refused_and_closed(draw: Callable[[], object], said: str) -> None:
    before = plt.get_fignums()
    with pytest.raises(ExplainedError, match=f"^{re.escape(said)}"):
        drawn(draw)
    assert plt.get_fignums() == before


def test_no_figure_at_all() -> None:
    with pytest.raises(ExplainedError, match=r"^It returns nothing\."):
        check_sample_map(lambda: None)


def test_a_map_of_a_sentence_needs_rows_that_sum_to_one() -> None:
    def draw() -> Figure:
        figure = Figure()
        figure.subplots().imshow(NUMBERS, vmin=0, vmax=1)
        return figure

    with pytest.raises(ExplainedError, match=r"^The rows of your map sum to 0\.50 to 2\.00\.") as raised:
        check_sample_map(draw)
    assert raised.value.name == "rows_do_not_sum_to_one"


def test_a_chart_without_lines() -> None:
    with pytest.raises(ExplainedError, match=r"^No line shows the numbers with the scale\."):
        check_scaling_plot(lambda records: Figure())
