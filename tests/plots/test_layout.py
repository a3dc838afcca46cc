"""Nothing overlaps, nothing is clipped, and every label can be read, at every size."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from attention_surgeon.plots import (
    plot_attention_heatmap,
    plot_mask,
    plot_multihead_attention,
    plot_scale_comparison,
    plot_scaling_curves,
)
from attention_surgeon.plots.plan import plan
from tests.plots.probes import on_a_map, outside, overlapping, pixels, placed, shown, tokens, weights, written

SMALLEST_LETTERS = 5.5  # points


def causal(n: int) -> torch.Tensor:
    return torch.ones(n, n).tril().bool()


def heatmap(n_q: int, n_k: int, **options) -> Figure:
    return plot_attention_heatmap(weights(n_q, n_k), tokens(n_q), key_tokens=tokens(n_k), **options)


def heads(count: int, n_q: int, n_k: int, **options) -> Figure:
    return plot_multihead_attention(weights(count, n_q, n_k), tokens(n_q), count, key_tokens=tokens(n_k), **options)


def with_empty_rows() -> Figure:
    some = weights(7, 7)
    some[[1, 5]] = 0
    return plot_attention_heatmap(some, tokens(7))


def curves() -> Figure:
    measured = {"mean_max_weight": 0.5, "entropy_share": 0.5}
    rows = [
        {"d_k": d_k, "scaled": scaled, "score_gradient": 0.1 if scaled else 2.0**-d_k, **measured}
        for d_k in (1, 2, 3, 4, 5, 16, 17, 64, 1000, 1024)
        for scaled in (True, False)
    ]
    return plot_scaling_curves(rows)


FIGURES = {
    "1 token": lambda: heatmap(1, 1),
    "2 tokens": lambda: heatmap(2, 2),
    "6 tokens": lambda: heatmap(6, 6),
    "12 tokens, dark": lambda: heatmap(12, 12, theme="dark"),
    "41 tokens": lambda: heatmap(41, 41),
    "200 tokens": lambda: heatmap(200, 200),
    "601 tokens": lambda: heatmap(601, 601),
    "cross 5 x 23": lambda: heatmap(5, 23),
    "cross 23 x 5": lambda: heatmap(23, 5),
    "cross 1 x 601": lambda: heatmap(1, 601),
    "cross 101 x 601": lambda: heatmap(101, 601),
    "long title": lambda: heatmap(3, 3, title="word " * 60),
    "one long word": lambda: heatmap(3, 3, title="w" * 2000),
    "empty rows": with_empty_rows,
    "1 head": lambda: heads(1, 7, 7),
    "3 heads": lambda: heads(3, 5, 5),
    "4 heads, cross": lambda: heads(4, 5, 23, title="Four heads of cross-attention, each on its own line"),
    "7 heads": lambda: heads(7, 23, 23),
    "12 heads, dark": lambda: heads(12, 8, 8, theme="dark"),
    "64 heads": lambda: heads(64, 6, 6),
    "3 heads, one query": lambda: heads(3, 1, 2000),
    "pair": lambda: plot_scale_comparison(weights(12, 12), weights(12, 12, seed=1), tokens(12)),
    "pair of 300": lambda: plot_scale_comparison(weights(300, 300), weights(300, 300, seed=1), tokens(300)),
    "mask": lambda: plot_mask(causal(6), tokens(6)),
    "mask with remarks": lambda: plot_mask(torch.randn(3, 3).masked_fill(~causal(3).roll(1, 0), -torch.inf)),
    "mask of 1500": lambda: plot_mask(causal(1500)),
    "curves": curves,
}


@pytest.fixture(scope="module", params=FIGURES.values(), ids=FIGURES.keys())
def figure(request) -> Figure:
    return placed(request.param())


def test_every_text_has_its_own_place_on_the_figure(figure):
    assert overlapping(figure) == []
    assert outside(figure) == []
    assert on_a_map(figure) == []


def test_up_to_two_hundred_tokens_all_are_labelled_in_legible_letters():
    for count in (*range(1, 200, 11), 200):
        for labels in (plan(tokens(count), tokens(5), 1).queries, plan(tokens(7), tokens(count), 1).keys):
            assert labels.step == 1
            assert labels.positions == list(range(count))
            assert labels.size >= SMALLEST_LETTERS


def test_no_letters_are_too_small(figure):
    assert min(text.get_size() for text in written(figure)) >= SMALLEST_LETTERS


def test_a_figure_is_no_larger_than_a_poster(figure):
    assert np.all(figure.get_size_inches() < 24)


@pytest.mark.parametrize(("n_q", "n_k"), [(3, 3), (5, 23)])
def test_cells_are_square(n_q, n_k):
    figure = heatmap(n_q, n_k)
    placed(figure)
    box = figure.axes[0].get_window_extent()
    assert box.height / n_q == pytest.approx(box.width / n_k, rel=1e-3)


@pytest.mark.parametrize(("n_q", "n_k", "num_heads"), [(7, 7, 1), (5, 23, 1), (23, 23, 7)])
def test_maps_come_out_as_large_as_planned(n_q, n_k, num_heads):
    figure = placed(heads(num_heads, n_q, n_k))
    height, width = plan(tokens(n_q), tokens(n_k), num_heads).panel
    box = figure.axes[0].get_window_extent()
    points = 72 / figure.dpi
    assert box.height * points == pytest.approx(height, rel=0.05)
    assert box.width * points == pytest.approx(width, rel=0.05)


def test_every_cell_of_a_large_map_reaches_the_pixels():
    """Dark cells on an empty map, one in each row and column and far from each other: none falls between pixels."""
    size, stride = 1109, 337
    rows = np.arange(size)
    columns = rows * stride % size
    bright = torch.zeros(size, size)
    bright[rows, columns] = 1.0
    figure = plot_attention_heatmap(bright, None)
    assert shown(figure).shape == (size, size)  # the largest map that is drawn cell by cell
    picture = pixels(figure)[..., :3].astype(int).sum(axis=-1)
    across, down = figure.axes[0].transData.transform(np.stack([columns, rows], axis=-1)).T
    for x, y in zip(across, picture.shape[0] - down, strict=True):
        assert picture[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].min() < 250


def test_the_colour_bar_is_as_high_as_the_maps():
    for figure in (heatmap(12, 12), heads(5, 3, 3), heads(4, 5, 23)):
        placed(figure)
        *maps, bar = [axes.get_window_extent() for axes in figure.axes]
        assert bar.y1 == pytest.approx(max(box.y1 for box in maps), abs=2)
        assert bar.y0 == pytest.approx(min(box.y0 for box in maps), abs=2)
