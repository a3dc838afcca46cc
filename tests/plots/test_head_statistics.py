"""The matrix of one statistic shows the numbers of the heads, where they belong."""

import numpy as np
import pytest
import torch

from attention_surgeon.plots import plot_head_statistics
from attention_surgeon.stats import PER_HEAD, head_statistics
from tests.plots.probes import cell_numbers, outside, overlapping, placed, shown, tick_texts, weights

LAYERS, HEADS, N = 3, 5, 7


def statistics():
    return head_statistics(weights(LAYERS, HEADS, N, N), tokens=[0, 1, 0, 1, 2, 0, 1])


@pytest.mark.parametrize("name", PER_HEAD)
def test_the_numbers_behind_the_colours_are_the_statistic(name: str):
    found = statistics()
    figure = plot_head_statistics(found, name)
    np.testing.assert_array_equal(shown(figure), getattr(found, name).numpy())
    assert figure.axes[0].images[0].get_clim()[0] == 0


def test_layers_are_rows_and_heads_are_columns():
    figure = plot_head_statistics(statistics(), "entropy")
    assert (figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()) == ("layer", "head")
    assert tick_texts(figure, "y") == ["0", "1", "2"]
    assert tick_texts(figure, "x") == ["0", "1", "2", "3", "4"]
    assert figure.axes[0].get_ylim() == (2.5, -0.5)
    assert cell_numbers(figure) == [f"{x:.2f}" for x in statistics().entropy.flatten().tolist()]


def test_shares_end_at_one_and_other_numbers_at_their_largest():
    found = statistics()
    assert plot_head_statistics(found, "first_mass").axes[0].images[0].get_clim() == (0, 1)
    assert plot_head_statistics(found, "entropy").axes[0].images[0].get_clim() == (0, found.entropy.max())
    assert plot_head_statistics(found, "entropy", highest=0.5).axes[0].images[0].get_clim() == (0, 0.5)


def test_the_title_and_the_unit_come_from_the_definition():
    figure = plot_head_statistics(statistics(), "mean_distance")
    assert figure.get_suptitle() == "Distance"
    assert figure.axes[1].get_ylabel().replace("\n", " ") == "Distance (positions)"
    assert plot_head_statistics(statistics(), title="Mine").get_suptitle() == "Mine"


def test_a_head_without_a_number_is_hatched_and_infinity_is_written():
    some = torch.eye(N).repeat(2, 2, 1, 1)
    some[0, 1] = 0
    figure = plot_head_statistics(head_statistics(some), "local_vs_global")
    assert np.ma.getmaskarray(figure.axes[0].images[0].get_array()).all()
    assert cell_numbers(figure) == ["∞", "∞", "∞"]
    assert [patch.get_hatch() for patch in figure.axes[0].collections] == ["////"]


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 3), (24, 16), (80, 64)])
def test_everything_is_inside_and_nothing_overlaps(layers: int, heads: int):
    figure = placed(plot_head_statistics(head_statistics(weights(layers, heads, 3, 3)), "mean_distance"))
    assert not overlapping(figure)
    assert not outside(figure)
    assert bool(figure.axes[0].texts) == (layers < 80)


def test_the_dark_theme_is_dark():
    figure = plot_head_statistics(statistics(), theme="dark")
    assert figure.get_facecolor()[:3] < (0.1, 0.1, 0.2)
