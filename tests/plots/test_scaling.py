"""The curves of the scaling experiment show its rows, distinguishable without colour."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from attention_surgeon.plots import plot_scaling_curves
from tests.plots.probes import tick_texts

SIZES = [16, 64, 256, 1024]


def rows(**extra) -> list[dict]:
    return [
        {
            "d_k": d_k,
            "scaled": scaled,
            "mean_max_weight": 0.5 if scaled else 1 - 1 / d_k,
            "entropy_share": 0.7 if scaled else 1 / d_k,
            "score_gradient": 0.1 if scaled else 0.03 / d_k,
            **extra,
        }
        for scaled in (False, True)
        for d_k in reversed(SIZES)
    ]


def test_three_charts_with_two_lines_each_in_the_order_of_d_k():
    figure = plot_scaling_curves(rows())
    assert len(figure.axes) == 3
    measures = ("mean_max_weight", "entropy_share", "score_gradient")
    for axes, measure in zip(figure.axes, measures, strict=True):
        for line, scaled in zip(axes.lines, (True, False), strict=True):
            expected = [row[measure] for d_k in SIZES for row in rows() if (row["d_k"], row["scaled"]) == (d_k, scaled)]
            np.testing.assert_array_equal(line.get_xdata(), SIZES)
            np.testing.assert_array_equal(line.get_ydata(), expected)


def test_lines_differ_in_style_and_marker_and_are_named():
    figure = plot_scaling_curves(rows())
    for axes in figure.axes:
        scaled, unscaled = axes.lines
        assert scaled.get_linestyle() != unscaled.get_linestyle()
        assert scaled.get_marker() != unscaled.get_marker()
        assert (scaled.get_label(), unscaled.get_label()) == ("with 1/√d_k", "without")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["with 1/√d_k", "without"]


def test_d_k_is_logarithmic_with_its_values_as_ticks():
    for index, axes in enumerate((figure := plot_scaling_curves(rows())).axes):
        assert axes.get_xscale() == "log"
        assert axes.get_xlim()[0] < 16 < 1024 < axes.get_xlim()[1]
        assert tick_texts(figure, "x", index) == ["16", "64", "256", "1024"]
        assert list(axes.get_xticks()) == SIZES


def test_shares_run_from_0_to_1_and_the_gradient_over_powers_of_ten():
    largest, entropy, gradient = (figure := plot_scaling_curves(rows())).axes
    assert largest.get_ylim() == entropy.get_ylim() == (0.0, 1.04)
    assert (largest.get_yscale(), gradient.get_yscale()) == ("linear", "log")
    assert gradient.get_ylim() == pytest.approx((1e-5, 1e-1))
    assert tick_texts(figure, "y", 2) == ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]


def test_a_spread_becomes_a_band_and_the_axis_holds_it():
    figure = plot_scaling_curves(rows(score_gradient_low=1e-9, score_gradient_high=3.0, mean_max_weight_low=0.1))
    bands = [[artist for artist in axes.collections if isinstance(artist, PolyCollection)] for axes in figure.axes]
    assert [len(band) for band in bands] == [0, 0, 2]  # half a spread is none
    assert figure.axes[2].get_ylim() == pytest.approx((1e-9, 10.0))


def test_a_spread_in_some_rows_only_is_left_out():
    some = rows(score_gradient_low=1e-9, score_gradient_high=3.0)
    del some[0]["score_gradient_low"]
    bands = [len(axes.collections) for axes in plot_scaling_curves(some).axes]
    assert bands == [0, 0, 1]  # the other curve keeps its own


def test_one_setting_or_one_d_k_is_enough():
    only_scaled = [row for row in rows() if row["scaled"]]
    assert [len(axes.lines) for axes in plot_scaling_curves(only_scaled).axes] == [1, 1, 1]
    assert len(plot_scaling_curves(rows()[:1]).axes) == 3


def test_values_of_d_k_too_close_to_label_keep_their_points():
    close = [{**rows()[0], "d_k": d_k} for d_k in (16, 17, 18, 1024)]
    figure = plot_scaling_curves(close)
    assert tick_texts(figure, "x") == ["16", "1024"]
    assert len(figure.axes[0].lines[0].get_xdata()) == 4
