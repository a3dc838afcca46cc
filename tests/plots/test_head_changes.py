"""The map of all heads: one cell for each, signed colours around zero, numbers that can be told apart."""

import numpy as np
import pytest

from attention_surgeon.errors import ShapeError
from attention_surgeon.plots.head_changes import plot_head_changes


def test_cells_colours_and_numbers() -> None:
    changes = np.array([[0.0041, -0.0012, 0.0], [np.nan, 0.0123, 0.0007]])
    figure = plot_head_changes(changes, layers=["encoder 0", "cross 0"], title="t", label="nats")
    axes = figure.axes[0]
    (image,) = axes.images
    assert image.get_clim() == (-0.0123, 0.0123)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["encoder 0", "cross 0"]
    assert [text.get_text() for text in axes.texts] == [".004", "-.001", ".000", ".012", ".001"]
    colours = image.to_rgba(np.array([-0.0123, 0.0, 0.0123]))
    assert len({tuple(colour) for colour in colours}) == 3


def test_all_alike_is_drawn_too() -> None:
    figure = plot_head_changes(np.zeros((1, 2)), layers=["0"], title="t", label="nats", theme="dark")
    assert figure.axes[0].images[0].get_clim() == (-1.0, 1.0)


def test_names_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"changes has shape \(1, 2\) and there are 2 names of layers"):
        plot_head_changes(np.zeros((1, 2)), layers=["0", "1"], title="t", label="nats")
