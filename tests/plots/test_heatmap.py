"""The heat map shows the numbers it was given, where they belong, under names that can be read."""

import numpy as np
import pytest
import torch
from matplotlib import rc_context, rcParams

from attention_surgeon.plots import plot_attention_heatmap
from tests.plots.probes import cell_numbers, pixels, shown, tick_texts, tokens, weights


def one_cell(row: int, column: int, n_q: int = 3, n_k: int = 5) -> torch.Tensor:
    some = torch.full((n_q, n_k), 0.05)
    some[row, column] = 0.9
    return some


def test_the_numbers_behind_the_colours_are_the_weights():
    given = weights(5, 7)
    figure = plot_attention_heatmap(given, tokens(5), key_tokens=tokens(7))
    np.testing.assert_array_equal(shown(figure), given.numpy())


def test_row_0_is_at_the_top_and_column_0_at_the_left():
    figure = plot_attention_heatmap(one_cell(0, 4), tokens(3), key_tokens=tokens(5))
    axes, picture = figure.axes[0], pixels(figure)
    x, y = axes.transData.transform((4, 0))
    # beside the number: the upper left quarter of the cell
    darkest = picture[picture.shape[0] - int(y) - 15, int(x) - 15, :3]
    assert darkest.sum() < 200
    assert y > axes.transData.transform((4, 2))[1]
    assert x > axes.transData.transform((0, 0))[0]
    assert axes.get_xlim() == (-0.5, 4.5)
    assert axes.get_ylim() == (2.5, -0.5)


def test_queries_are_the_rows_and_keys_the_columns():
    figure = plot_attention_heatmap(weights(3, 5), ["q0", "q1", "q2"], key_tokens=["k0", "k1", "k2", "k3", "k4"])
    axes = figure.axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("from (query)", "to (key)")
    assert tick_texts(figure, "y") == ["q0", "q1", "q2"]
    assert tick_texts(figure, "x") == ["k0", "k1", "k2", "k3", "k4"]
    assert list(axes.get_yticks()) == [0, 1, 2]
    assert list(axes.get_xticks()) == [0, 1, 2, 3, 4]


def test_the_same_tokens_name_rows_and_columns_of_self_attention():
    figure = plot_attention_heatmap(weights(3, 3), ("a", "b", "c"))
    assert tick_texts(figure, "x") == tick_texts(figure, "y") == ["a", "b", "c"]


def test_without_tokens_the_positions_are_numbered():
    figure = plot_attention_heatmap(weights(2, 3), None)
    assert tick_texts(figure, "y") == ["0", "1"]
    assert tick_texts(figure, "x") == ["0", "1", "2"]


def test_the_title_is_the_one_of_the_seeds_unless_another_is_given():
    assert plot_attention_heatmap(weights(2, 2), ["a", "b"]).get_suptitle() == "Attention Weights"
    assert plot_attention_heatmap(weights(2, 2), ["a", "b"], "Head 3").get_suptitle() == "Head 3"
    assert plot_attention_heatmap(weights(2, 2), ["a", "b"], "").get_suptitle() == ""


def test_a_title_is_text_and_letters_it_cannot_have_are_escaped():
    figure = plot_attention_heatmap(weights(3, 3), tokens(3), "from $5 to $6_a \ue000")
    assert figure.get_suptitle() == "from $5 to $6_a \\ue000"
    pixels(figure)


@pytest.mark.parametrize(
    ("largest", "top"), [(1.0, 1.0), (0.93, 1.0), (0.5, 0.5), (0.31, 0.5), (0.2, 0.2), (0.011, 0.02), (0.0, 1.0)]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_colours_start_at_0_and_end_at_a_round_number(largest, top, dtype):
    some = torch.full((2, 3), largest / 2, dtype=dtype)
    some[1, 1] = largest
    figure = plot_attention_heatmap(some, None)
    assert figure.axes[0].images[0].get_clim() == (0.0, top)
    assert figure.axes[1].get_ylim() == (0.0, top)


def test_two_figures_can_be_given_the_same_colours():
    weak, strong = (plot_attention_heatmap(size * torch.eye(3), None, max_weight=0.05) for size in (0.1, 0.5))
    assert weak.axes[0].images[0].get_clim() == strong.axes[0].images[0].get_clim() == (0.0, 0.05)


def colour_bar_has_arrow(**options) -> bool:
    figure = plot_attention_heatmap(one_cell(1, 1), None, **options)
    return figure.axes[0].images[0].colorbar.extend == "max"


def test_an_arrow_says_that_there_are_weights_beyond_the_last_colour():
    assert colour_bar_has_arrow(max_weight=0.5)
    assert not colour_bar_has_arrow(max_weight=0.9)
    assert not colour_bar_has_arrow()


def test_the_colour_bar_says_what_it_means_and_how_far_it_is_used():
    figure = plot_attention_heatmap(one_cell(1, 1) / 2, None)
    assert figure.axes[1].get_ylabel() == "attention weight\n(largest here: 0.45)"
    assert tick_texts(figure, "y", 1) == ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]


def test_cells_with_room_show_their_weight_and_a_small_one_never_reads_0():
    figure = plot_attention_heatmap(torch.tensor([[1.0, 0.0], [0.996, 0.004]]), ["a", "b"])
    assert cell_numbers(figure) == ["1.00", "0", "1.00", "<.01"]
    places = [text.get_position() for text in figure.axes[0].texts]
    assert places == [(0, 0), (1, 0), (0, 1), (1, 1)]  # x is the key, y is the query


def test_cells_without_room_show_none():
    assert len(cell_numbers(plot_attention_heatmap(weights(13, 13), None))) == 13 * 13
    assert cell_numbers(plot_attention_heatmap(weights(41, 41), None)) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_stand_out_from_their_cells(theme):
    figure = plot_attention_heatmap(torch.linspace(0.1, 1, 9).reshape(3, 3), None, theme=theme)
    image = figure.axes[0].images[0]
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        assert contrast(text.get_color(), image.to_rgba(shown(figure)[int(row), int(column)])) >= 4


def contrast(first, second) -> float:
    from matplotlib.colors import to_rgb

    def luminance(colour) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_a_query_without_keys_is_hatched_and_named():
    some = weights(3, 3)
    plain = plot_attention_heatmap(some, None)
    assert plain.legends == []
    assert not plain.axes[0].patches
    some[1] = 0
    figure = plot_attention_heatmap(some, None)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["no key to attend to (all weights 0)"]
    (hatching,) = figure.axes[0].patches
    assert hatching.get_hatch()
    np.testing.assert_array_equal(hatching.get_path().get_extents().extents, [-0.5, 0.5, 2.5, 1.5])
    assert len(cell_numbers(figure)) == 6  # no number under the hatching


def test_one_empty_row_of_a_pooled_map_is_still_hatched():
    some = torch.full((4003, 5), 0.2)
    some[2001] = 0  # its neighbours are not empty
    (hatching,) = plot_attention_heatmap(some, None).axes[0].patches
    assert hatching.get_path().get_extents().y0 < 2001 < hatching.get_path().get_extents().y1


def test_a_map_too_large_for_its_paper_shows_the_largest_of_each_block_and_says_so():
    some = torch.zeros(2003, 2011)
    some[1999, 7] = 0.9
    figure = plot_attention_heatmap(some + 1e-4, None)
    assert shown(figure).shape == (1002, 1006)
    assert shown(figure).max() == pytest.approx(0.9001)
    row, column = np.unravel_index(shown(figure).argmax(), shown(figure).shape)
    assert (row, column) == (999, 3)
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    assert (left, right, bottom, top) == (-0.5, 2011.5, 2003.5, -0.5)
    assert figure.axes[0].get_xlim() == (-0.5, 2010.5)
    assert figure.axes[0].get_ylim() == (2002.5, -0.5)
    assert figure.axes[1].get_ylabel().endswith("each cell shows the largest of 2 × 2")


@pytest.mark.parametrize(("count", "step", "name"), [(201, 2, "2nd"), (600, 5, "5th"), (1100, 10, "10th")])
def test_labels_beyond_two_hundred_are_thinned_out_and_the_axis_says_how(count, step, name):
    figure = plot_attention_heatmap(weights(count, 7), [f"t{i}" for i in range(count)], key_tokens=tokens(7))
    assert tick_texts(figure, "y") == [f"t{i}" for i in range(0, count, step)]
    assert figure.axes[0].get_ylabel() == f"from (query) · every {name} of {count} tokens labelled"
    assert figure.axes[0].get_xlabel() == "to (key)"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_floating_dtype_is_drawn_with_or_without_a_gradient(dtype):
    given = weights(2, 3).to(dtype).requires_grad_()
    figure = plot_attention_heatmap(given, None)
    np.testing.assert_array_equal(shown(figure), given.detach().double().numpy())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_arrays_are_drawn_too(dtype):
    given = weights(2, 3).numpy().astype(dtype)
    given.flags.writeable = False
    np.testing.assert_array_equal(shown(plot_attention_heatmap(given, None)), given)


def test_what_happens_to_the_weights_afterwards_does_not_change_the_figure():
    given = weights(3, 3).float()
    figure = plot_attention_heatmap(given, None)
    before = shown(figure).copy()
    given.zero_()
    np.testing.assert_array_equal(shown(figure), before)


def test_weights_a_little_above_1_by_rounding_are_weights():
    plot_attention_heatmap(torch.tensor([[1.0078, 0.0]]).bfloat16(), None)


def test_the_users_settings_neither_change_the_figure_nor_are_changed():
    settings = {"text.usetex": True, "font.size": 40.0, "axes.grid": True, "font.weight": "bold"}
    expected = pixels(plot_attention_heatmap(weights(3, 3), tokens(3)))
    with rc_context(settings):
        before = dict(rcParams)
        figure = plot_attention_heatmap(weights(3, 3), tokens(3))
        assert dict(rcParams) == before
        np.testing.assert_array_equal(pixels(figure), expected)
