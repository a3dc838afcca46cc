"""An adaptive picture is by night what the dark theme would have drawn."""

import base64
import io
import re
from collections.abc import Callable
from functools import cache

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from attention_surgeon.masks import causal_mask
from attention_surgeon.plots import Bars, Chart, Line, plot_attention_heatmap, plot_charts, plot_fields, plot_mask
from attention_surgeon.plots.adaptive import adaptive_svg
from attention_surgeon.plots.save import figure_bytes
from attention_surgeon.plots.style import ThemeName
from attention_surgeon.plots.words import describe_figure, title_of
from tests.plots.probes import tokens, weights


def chart(theme: ThemeName) -> Figure:
    lines = [Line(name, [1, 2, 3], [n, 2, 3]) for n, name in enumerate("abcdefg")]
    bars = Bars("at the end", ["x", "y"], {"a": [1, 2], "b": [2, 1]}, {"level": 1})
    return plot_charts([Chart("loss", "step", lines, {"uniform": 2}), bars], title="Losses", theme=theme)


def heat_map(theme: ThemeName) -> Figure:
    return plot_attention_heatmap(weights(29, 29), None, theme=theme)


def mask(theme: ThemeName) -> Figure:
    return plot_mask(causal_mask(7), theme=theme)


def fields(theme: ThemeName) -> Figure:
    field = np.linspace(0, 1, 35).reshape(5, 7)
    return plot_fields(
        {"a": field, "b": field**2}, title="t", row_name="i", column_name="j", label="share", theme=theme
    )


DRAWN = [chart, heat_map, mask, fields]


def svg(figure: Figure) -> str:
    return figure_bytes(figure, "svg").decode()


@cache
def drawn(draw: Callable[[ThemeName], Figure], theme: ThemeName) -> str:
    return svg(draw(theme))


def colours(text: str) -> list[str]:
    return re.findall(r"#[0-9a-f]{6}", " ".join(re.findall(r'style="([^"]+)"', text)))


def seen(adaptive: str, scheme: str) -> str:
    """Return the picture with its variables put in, as a reader of this scheme sees it."""
    rules = re.findall(r":root\{(.*?)\}", adaptive)[0 if scheme == "day" else 1]
    values = dict(rule.split(":") for rule in rules.strip(";").split(";"))
    return re.sub(r"var\((--c[0-9a-f]{6})\)", lambda variable: values[variable[1]], adaptive)


def images(text: str, scheme: str = "") -> list[np.ndarray]:
    found = re.findall(
        rf"<image{scheme and f' class={chr(34)}{scheme}{chr(34)}'} xlink:href=\"data:image/png;base64,\s*([^\"]+)", text
    )
    return [matplotlib.image.imread(io.BytesIO(base64.b64decode(pixels)), format="png") for pixels in found]


@pytest.mark.parametrize("draw", DRAWN)
def test_the_colours_by_night_are_those_of_the_dark_theme(draw):
    adaptive = adaptive_svg(drawn(draw, "light"))
    assert colours(seen(adaptive, "night")) == colours(drawn(draw, "dark"))
    assert colours(seen(adaptive, "day")) == colours(drawn(draw, "light"))


@pytest.mark.parametrize("draw", [heat_map, mask, fields])
def test_a_map_by_night_is_that_of_the_dark_theme(draw):
    adaptive = adaptive_svg(drawn(draw, "light"))
    by_night, by_day = images(adaptive, "night"), images(adaptive, "day")
    expected, given = images(drawn(draw, "dark")), images(drawn(draw, "light"))
    assert len(by_night) == len(expected) > 0
    for made, wanted in zip(by_night, expected, strict=True):
        assert np.abs(made - wanted).max() <= 4 / 255
    assert all(np.array_equal(*pair) for pair in zip(by_day, given, strict=True))


def test_a_map_in_colours_of_no_theme_stays_as_it_is():
    figure = Figure()
    figure.add_subplot().imshow(np.eye(3), cmap="autumn")
    adaptive = adaptive_svg(svg(figure))
    assert 'class="night"' not in adaptive
    assert len(images(adaptive)) == 1


def test_nothing_that_is_not_drawn_stays():
    figure = plot_attention_heatmap(weights(3, 3), ["secret", "<b>", "--><script>"], "a title")
    adaptive = adaptive_svg(svg(figure))
    assert adaptive.startswith("<svg ")
    assert not re.search(r"secret|script>|<!|metadata|https://matplotlib", adaptive)
    assert len(adaptive) < len(svg(figure)) + sum(len(part) for part in re.findall(r"base64,[^\"]+", adaptive))


def test_the_words_of_a_figure():
    assert title_of(chart("light")) == "Losses"
    assert title_of(Figure()) == ""
    assert describe_figure(Figure()) == ""
    assert describe_figure(chart("light")) == (
        "Losses. Part 1: loss, x: step. Part 2: at the end. Legend: a; b; c; d; e; f; g."
    )
    told = describe_figure(plot_attention_heatmap(weights(3, 3), tokens(3), "Head 0"))
    assert told.startswith("Head 0. Part 1: x: to (key), y: from (query). Part 2: colours for attention weight")
    assert f"<dc:description>{told}</dc:description>" in svg(plot_attention_heatmap(weights(3, 3), tokens(3), "Head 0"))
