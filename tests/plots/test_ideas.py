"""The drawings of the page of intuition: they can be read on a telephone, in both themes, and say what is computed."""

from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from attention_surgeon.plots.ideas import IDEAS
from attention_surgeon.plots.style import ThemeName


@pytest.fixture(scope="module")
def drawn() -> dict[tuple[str, ThemeName], Figure]:
    themes: tuple[ThemeName, ThemeName] = ("light", "dark")
    return {(name, theme): draw(theme) for name, draw in IDEAS.items() for theme in themes}


def texts_of(figure: Figure) -> list[Text]:
    found = figure.findobj(
        lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_text().strip()
    )
    return [each for each in found if isinstance(each, Text)]


@pytest.mark.parametrize("name", IDEAS)
def test_every_word_can_be_read(name: str, drawn: dict[tuple[str, ThemeName], Figure]):
    """At least ten points where the figure is as wide as a telephone, inside it, and no word on another."""
    figure = drawn[name, "light"]
    renderer = FigureCanvasAgg(figure).get_renderer()
    assert figure.get_figwidth() * 72 <= 350
    boxes = []
    for text in texts_of(figure):
        assert text.get_fontsize() >= 10, text.get_text()
        box = text.get_window_extent(renderer)
        assert figure.bbox.contains(*box.min), text.get_text()
        assert figure.bbox.contains(*box.max), text.get_text()
        boxes.append((text.get_text(), box))
    for (one, box), (other, its) in combinations(boxes, 2):
        assert not box.overlaps(its), (one, other)


@pytest.mark.parametrize("name", IDEAS)
def test_both_themes_say_the_same(name: str, drawn: dict[tuple[str, ThemeName], Figure]):
    light, dark = ([text.get_text() for text in texts_of(drawn[name, theme])] for theme in ("light", "dark"))
    assert light == dark
    assert drawn[name, "light"].get_facecolor() != drawn[name, "dark"].get_facecolor()


def test_the_numbers_are_the_softmax(drawn: dict[tuple[str, ThemeName], Figure]):
    """Scores 1, 0.6, -0.2, -0.9 by hand: e to their power is 2.718, 1.822, 0.819, 0.407, together 5.766."""
    assert "0.47" in [text.get_text() for text in texts_of(drawn["saturation", "light"])]
    bars = drawn["angles", "light"].axes[1].patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(1.0)  # type: ignore[attr-defined]
