"""The map of a mask says who may attend, whichever way the mask was written."""

import numpy as np
import pytest
import torch

from attention_surgeon.masks import causal_mask
from attention_surgeon.plots import plot_mask
from tests.plots.probes import pixels, shown, tick_texts

HIDDEN, MIXED, ALLOWED = 0, 1, 2


def causal(n_q: int, n_k: int) -> torch.Tensor:
    return torch.ones(n_q, n_k).tril(n_k - n_q).bool()


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


WRITTEN_ALIKE = {
    "boolean": causal(3, 5),
    "integers": causal(3, 5).long(),
    "added": torch.zeros(3, 5).masked_fill(~causal(3, 5), -torch.inf),
    "lowest number": torch.zeros(3, 5).masked_fill(~causal(3, 5), torch.finfo(torch.float32).min),
    "bfloat16": torch.zeros(3, 5).masked_fill(~causal(3, 5), -torch.inf).bfloat16().requires_grad_(),
    "array": causal(3, 5).numpy(),
    "added array": np.where(causal(3, 5).numpy(), 0.0, -np.inf),
    "mask object": causal_mask(3, 5),
}


@pytest.mark.parametrize("mask", WRITTEN_ALIKE.values(), ids=WRITTEN_ALIKE.keys())
def test_allowed_and_hidden_cells_are_where_the_mask_has_them(mask):
    figure = plot_mask(mask)
    drawn = ["".join({HIDDEN: ".", ALLOWED: "x"}[cell] for cell in row) for row in shown(figure)]
    assert drawn == ["xxx..", "xxxx.", "xxxxx"]
    assert legend(figure) == ["may attend (12 of 15 pairs)", "hidden (3)"]


def test_hidden_cells_are_hatched_so_that_colour_is_not_needed():
    (hatching,) = plot_mask(causal(3, 3)).axes[0].patches
    assert hatching.get_hatch()
    inside = hatching.get_path().contains_points([(column, row) for row in range(3) for column in range(3)])
    np.testing.assert_array_equal(inside.reshape(3, 3), ~causal(3, 3).numpy())


def test_row_0_is_at_the_top():
    figure = plot_mask(torch.tensor([[True, True], [False, False]]), theme="light")
    axes, picture = figure.axes[0], pixels(figure)
    heights = [picture.shape[0] - int(axes.transData.transform((0, row))[1]) for row in (0, 1)]
    above, below = (picture[y, int(axes.transData.transform((0, 0))[0]), :3].astype(int).sum() for y in heights)
    assert heights[0] < heights[1]
    assert above < below  # allowed is the darker one on light paper


def test_axes_tokens_and_title():
    figure = plot_mask(causal(2, 3), ["q0", "q1"], key_tokens=["k0", "k1", "k2"], title="mine")
    assert (figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()) == ("from (query)", "to (key)")
    assert (tick_texts(figure, "y"), tick_texts(figure, "x")) == (["q0", "q1"], ["k0", "k1", "k2"])
    assert figure.get_suptitle() == "mine"
    assert plot_mask(causal(2, 2)).get_suptitle() == "Attention mask"


def test_queries_without_keys_are_counted():
    mask = causal(5, 5)
    mask[:, :2] = False
    assert legend(plot_mask(mask))[-1] == "2 of 5 queries have no key to attend to"


def test_numbers_that_are_added_are_mentioned():
    mask = torch.tensor([[-1.0, -torch.inf], [-1.25, -0.5]])
    assert legend(plot_mask(mask))[-1] == "numbers from -1.25 to -0.5 are added to the scores"


def test_a_large_mask_has_blocks_that_hold_both():
    figure = plot_mask(causal(1501, 1501))
    states = shown(figure)
    assert states.shape == (751, 751)
    assert (np.diag(states)[:-1] == MIXED).all()
    assert (states[np.tril_indices(751, -1)] == ALLOWED).all()
    assert (states[np.triu_indices(751, 1)] == HIDDEN).all()
    assert legend(figure)[1] == "some of 2 × 2 pairs may"


def test_a_ragged_mask_is_told_apart_by_lightness_alone():
    ragged = torch.arange(301)[:, None] * torch.arange(307)[None] % 3 == 0
    figure = plot_mask(ragged)
    assert not figure.axes[0].patches
    colours = figure.axes[0].images[0].cmap(np.array([HIDDEN, ALLOWED]))[:, :3]
    assert abs(colours[0].mean() - colours[1].mean()) > 0.3
