"""Two themes: even steps of colour, readable in grey, and text that stands out."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from attention_surgeon.plots import plot_attention_heatmap, plot_mask
from attention_surgeon.plots.style import theme_named
from tests.plots.probes import pixels, placed, tokens, weights, written

THEMES = ["light", "dark"]


def linear(colour) -> np.ndarray:
    rgb = np.asarray(colour, dtype=float)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(colour) -> np.ndarray:
    return linear(colour) @ [0.2126, 0.7152, 0.0722]


def contrast(first, second) -> float:
    bright, dark = sorted((luminance(to_rgb(first)), luminance(to_rgb(second))), reverse=True)
    return float((bright + 0.05) / (dark + 0.05))


def oklab(colour) -> np.ndarray:
    """Björn Ottosson 2020, "A perceptual color space for image processing"."""
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.cbrt(linear(colour) @ np.transpose(to_lms)) @ np.transpose(to_lab)


def ramp(theme: str, count: int) -> np.ndarray:
    return theme_named(theme, "test").weights(np.linspace(0, 1, count))[:, :3]


@pytest.mark.parametrize(("theme", "direction"), [("light", -1), ("dark", 1)])
def test_a_larger_weight_is_darker_on_light_and_lighter_on_dark(theme, direction):
    steps = direction * np.diff(luminance(ramp(theme, 200)))
    assert (steps > 0).all()


@pytest.mark.parametrize("theme", THEMES)
def test_equal_differences_of_weight_look_equally_large(theme):
    lengths = np.linalg.norm(np.diff(oklab(ramp(theme, 25)), axis=0), axis=1)
    assert lengths.max() / lengths.min() < 1.15


@pytest.mark.parametrize("theme", THEMES)
def test_colours_are_of_one_hue_family(theme):
    lab = oklab(ramp(theme, 25))
    coloured = lab[np.hypot(lab[:, 1], lab[:, 2]) > 0.03]
    hues = np.degrees(np.arctan2(coloured[:, 2], coloured[:, 1])) % 360
    assert hues.max() - hues.min() < 30


@pytest.mark.parametrize("theme", THEMES)
def test_weight_0_looks_like_the_background_and_weight_1_does_not(theme):
    look = theme_named(theme, "test")
    assert contrast(look.weights(0.0)[:3], look.background) < 1.15
    assert contrast(look.weights(1.0)[:3], look.background) > 10


@pytest.mark.parametrize("theme", THEMES)
def test_lines_and_cells_can_be_told_apart_from_the_background(theme):
    look = theme_named(theme, "test")
    assert contrast(look.first, look.background) > 4.5
    assert contrast(look.second, look.background) > 4.5
    assert contrast(look.allowed, look.hidden) > 3
    assert contrast(look.muted, look.hidden) > 4.5  # the hatching


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_stands_out_from_the_figure(theme):
    figure = placed(plot_attention_heatmap(weights(41, 41), tokens(41), theme=theme))
    background = theme_named(theme, "test").background
    assert figure.get_facecolor()[:3] == to_rgb(background)
    assert min(contrast(text.get_color(), background) for text in written(figure)) >= 5


@pytest.mark.parametrize(("theme", "grey"), [("light", 255), ("dark", 19)])
def test_the_theme_reaches_the_corners_of_the_picture(theme, grey):
    picture = pixels(plot_mask(np.eye(3, dtype=bool), theme=theme))
    for corner in (picture[0, 0], picture[0, -1], picture[-1, 0], picture[-1, -1]):
        assert corner[1] == grey
        assert corner[3] == 255
