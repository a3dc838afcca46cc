"""Several maps under one scale of colours."""

import numpy as np
import torch

from attention_surgeon.plots import plot_multihead_attention, plot_scale_comparison
from attention_surgeon.plots.plan import plan
from tests.plots.probes import shown, tick_texts, tokens, weights


def test_every_head_has_its_map_in_reading_order():
    given = weights(4, 5, 7)
    figure = plot_multihead_attention(given, tokens(5), 4, key_tokens=tokens(7))
    assert [axes.get_title() for axes in figure.axes[:4]] == ["head 0", "head 1", "head 2", "head 3"]
    for head in range(4):
        np.testing.assert_array_equal(shown(figure, head), given[head].numpy())
    first, second, third = (axes.get_position() for axes in figure.axes[:3])
    assert first.x1 < second.x0
    assert first.x0 == third.x0
    assert third.y1 < first.y0


def test_all_heads_share_one_scale_and_one_colour_bar():
    given = weights(4, 3, 3) * torch.tensor([0.01, 0.1, 0.4, 0.2]).reshape(4, 1, 1)
    figure = plot_multihead_attention(given, tokens(3), 4)
    assert len(figure.axes) == 4 + 1
    assert {axes.images[0].get_clim() for axes in figure.axes[:4]} == {(0.0, 0.5)}
    assert figure.axes[4].get_ylim() == (0.0, 0.5)


def test_tokens_stand_at_the_outer_edges_only():
    figure = plot_multihead_attention(weights(5, 3, 3), ["a", "b", "c"], 5)  # two rows of three, one place empty
    at_left = [bool(tick_texts(figure, "y", head)) for head in range(5)]
    at_bottom = [bool(tick_texts(figure, "x", head)) for head in range(5)]
    assert at_left == [True, False, False, True, False]
    assert at_bottom == [False, False, True, True, True]
    assert figure.get_supylabel() == "from (query)"
    assert figure.get_supxlabel() == "to (key)"


def test_heads_are_arranged_with_few_gaps_and_no_long_strips():
    square = {1: (1, 1), 2: (1, 2), 4: (2, 2), 6: (2, 3), 7: (2, 4), 8: (2, 4), 12: (3, 4), 16: (4, 4), 64: (8, 8)}
    for num_heads, grid in square.items():
        assert plan(tokens(12), tokens(12), num_heads).grid == grid
    for num_heads in range(1, 65):
        rows, columns = plan(tokens(2), tokens(2), num_heads).grid
        assert 0 <= rows * columns - num_heads < columns
        assert columns <= 3 * rows
        assert rows <= columns
    assert plan(tokens(5), tokens(23), 4).grid == (4, 1)  # wide maps stand below each other
    assert plan(tokens(23), tokens(5), 4).grid == (1, 4)


def test_many_tokens_are_thinned_out_and_the_names_say_so():
    figure = plot_multihead_attention(weights(4, 41, 41), None, 4)
    assert len(tick_texts(figure, "y")) == 41
    figure = plot_multihead_attention(weights(4, 61, 61), None, 4)
    assert tick_texts(figure, "y") == [str(position) for position in range(0, 61, 2)]
    assert figure.get_supylabel() == "from (query) · every 2nd of 61 tokens labelled"
    assert figure.get_supxlabel() == "to (key) · every 2nd of 61 tokens labelled"


def test_the_title_counts_the_heads_unless_one_is_given():
    assert plot_multihead_attention(weights(2, 3, 3), None, 2).get_suptitle() == "Attention weights, 2 heads"
    assert plot_multihead_attention(weights(1, 3, 3), None, 1).get_suptitle() == "Attention weights, 1 head"
    assert plot_multihead_attention(weights(1, 3, 3), None, 1, title="Layer 5").get_suptitle() == "Layer 5"


def test_a_query_without_keys_in_one_head_is_hatched_there_alone():
    given = weights(2, 3, 3)
    given[1, 2] = 0
    figure = plot_multihead_attention(given, None, 2)
    assert [len(axes.patches) for axes in figure.axes[:2]] == [0, 1]
    assert len(figure.legends) == 1


def test_the_pair_shows_both_under_one_scale():
    scaled, unscaled = weights(3, 5), weights(3, 5, seed=1)
    figure = plot_scale_comparison(scaled / 5, unscaled, tokens(3), key_tokens=tokens(5))
    assert [axes.get_title() for axes in figure.axes[:2]] == ["with the scale 1/√d_k", "without the scale"]
    np.testing.assert_array_equal(shown(figure, 0), (scaled / 5).numpy())
    np.testing.assert_array_equal(shown(figure, 1), unscaled.numpy())
    assert figure.axes[0].images[0].get_clim() == figure.axes[1].images[0].get_clim() == (0.0, 1.0)
    assert figure.get_suptitle() == "The same attention with and without the scale"


def test_the_pair_takes_arrays_and_a_limit():
    figure = plot_scale_comparison(weights(3, 3).numpy(), weights(3, 3).bfloat16(), max_weight=0.25)
    assert figure.axes[0].images[0].get_clim() == figure.axes[1].images[0].get_clim() == (0.0, 0.25)
