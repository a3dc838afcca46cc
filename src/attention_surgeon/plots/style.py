"""How the figures look: two themes, one colour map each, and nothing taken from or left in matplotlib's settings."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import matplotlib.style
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from attention_surgeon.errors import OptionError
from attention_surgeon.plots.fonts import families_for

ThemeName: TypeAlias = Literal["light", "dark"]

POINTS_PER_INCH = 72.0
PADDING = 0.06  # inches around everything
INK_ON_BRIGHT, INK_ON_DARK = "#0d1526", "#f4f8fd"  # of a number in a cell

# One hue from "nothing" to "everything", in twelve steps of equal length in OKLab, so that equal differences of
# weight look equally large, and of strictly monotone lightness, so that a photocopy shows the same order.
_DARK_ON_LIGHT = (
    "#f7f9fc #d7e9fa #b8d8f8 #9ac7f4 #7eb4ee #64a1e4 #4d8dd7 #3b79c6 #2c66b1 #22549a #1a4382 #143368 #0d244f"
).split()
_LIGHT_ON_DARK = (
    "#151c28 #1b2a43 #1f3960 #22497d #265b99 #2d6eb3 #3983c9 #4d98db #66ade9 #84c1f2 #a4d3f8 #c7e5fb #eaf5fd"
).split()


@dataclass(frozen=True)
class Theme:
    """The colours of a figure.

    Attributes:
        background: Behind everything.
        ink: Text that is read first: titles, tokens, numbers.
        muted: Text and marks that explain: axis names, notes, hatching.
        line: Separators and frames.
        weights: Colour map of the weights; its low end is close to the background.
        allowed: A cell of a mask that may attend.
        hidden: A cell of a mask that may not.
        mixed: A block of a mask that holds both.
        first: First line of a chart.
        second: Second line of a chart.
        more: Further lines of a chart.
    """

    background: str
    ink: str
    muted: str
    line: str
    weights: LinearSegmentedColormap
    allowed: str
    hidden: str
    mixed: str
    first: str
    second: str
    more: tuple[str, ...]


_THEMES: dict[str, Theme] = {
    "light": Theme(
        background="#ffffff",
        ink="#182030",
        muted="#566173",
        line="#cdd5df",
        weights=LinearSegmentedColormap.from_list("surgeon_light", _DARK_ON_LIGHT, N=512),
        allowed="#3b79c6",
        hidden="#f1f4f8",
        mixed="#b8d8f8",
        first="#22549a",
        second="#c2500a",
        more=("#2f7d4f", "#8a3ea8", "#8a6d00", "#5c6673"),
    ),
    "dark": Theme(
        background="#0e131b",
        ink="#e9eef5",
        muted="#a3aec0",
        line="#344054",
        weights=LinearSegmentedColormap.from_list("surgeon_dark", _LIGHT_ON_DARK, N=512),
        allowed="#66ade9",
        hidden="#19212e",
        mixed="#265b99",
        first="#84c1f2",
        second="#f5a15d",
        more=("#7fd3a0", "#d59bea", "#e0c450", "#a7b1bf"),
    ),
}


def theme_named(name: ThemeName, caller: str) -> Theme:
    """Return the theme of that name.

    Raises:
        OptionError: there is none.
    """
    if name not in get_args(ThemeName):
        raise OptionError(f"{caller}: theme is {name!r}, expected 'light' or 'dark'.")
    return _THEMES[name]


@contextmanager
def drawing(theme: Theme, texts: Iterable[str] = ()) -> Iterator[None]:
    """Draw with matplotlib's own defaults and this theme, whatever the caller's settings are; put those back after.

    `texts` are those of the user that will be drawn: where our font lacks a letter of them, one of the system draws it.
    """
    settings = {
        "font.family": list(families_for(texts)),
        "font.size": 9.0,
        "text.parse_math": False,  # a token such as "$x_1$" is text, not a formula
        "text.color": theme.ink,
        "axes.labelcolor": theme.muted,
        "axes.edgecolor": theme.line,
        "axes.facecolor": theme.background,
        "figure.facecolor": theme.background,
        "figure.dpi": 100.0,
        "hatch.linewidth": 0.6,
        "legend.frameon": False,
        "xtick.color": theme.line,
        "xtick.labelcolor": theme.ink,
        "ytick.color": theme.line,
        "ytick.labelcolor": theme.ink,
    }
    with matplotlib.style.context(["default", settings]):
        yield


@contextmanager
def saving() -> Iterator[None]:
    """Write files with matplotlib's own defaults, and with the same ids in an SVG every time."""
    settings = {"svg.hashsalt": "attention-surgeon", "pdf.fonttype": 42}  # 42: text in a PDF can be searched
    with matplotlib.style.context(["default", settings]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` points, to be filled and `arranged` while `drawing`."""
    size = width / POINTS_PER_INCH, height / POINTS_PER_INCH
    return Figure(figsize=size, layout=ConstrainedLayoutEngine(compress=True, w_pad=PADDING, h_pad=PADDING))


def arranged(figure: Figure) -> Figure:
    """Lay the figure out once and for all, so that every file written from it, in any order, shows the same."""
    engine = figure.get_layout_engine()
    assert engine is not None
    # The first pass places things beside axes that still have the wrong size; the second leaves the right room.
    engine.execute(figure)
    engine.execute(figure)
    figure.set_layout_engine("none")
    return figure


def luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of an sRGB(A) colour, from 0 to 1 (WCAG 2.2, "relative luminance")."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
