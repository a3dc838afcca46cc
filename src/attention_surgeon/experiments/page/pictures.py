"""A figure as a part of the page: its picture inside the page, and what it shows in words."""

import base64
import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import final

from matplotlib.figure import Figure

from attention_surgeon.files import read_text
from attention_surgeon.plots.adaptive import adaptive_svg
from attention_surgeon.plots.save import figure_bytes

_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
_WORDS = re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL)
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_PIXELS_PER_POINT = 96 / 72


@final
@dataclass(frozen=True)
class Picture:
    """One figure of the page.

    Attributes:
        source: The picture as a data address.
        words: What it shows, for those who do not see it.
        caption: What stands below it; empty where the picture itself has a title.
        width: In CSS pixels, at its own size.
        height: In CSS pixels.
    """

    source: str
    words: str
    caption: str
    width: int
    height: int


def picture_of(figure: Figure) -> Picture:
    """Return the picture of a figure that was drawn in the light theme."""
    return _picture(figure_bytes(figure, "svg").decode(), "figure")


def saved_picture(path: Path) -> Picture:
    """Return the picture of an SVG that `save_figure` wrote.

    Raises:
        FileAccessError, FileFormatError: it cannot be read.
    """
    return _picture(read_text(path), path.stem.replace("_", " "))


def _picture(svg: str, name: str) -> Picture:
    title, words, size = (pattern.search(svg) for pattern in (_TITLE, _WORDS, _SIZE))
    caption = "" if title and title[1] else name
    width, height = (float(side) * _PIXELS_PER_POINT for side in size.groups()) if size else (800.0, 400.0)
    encoded = base64.b64encode(adaptive_svg(svg).encode()).decode()
    return Picture(
        f"data:image/svg+xml;base64,{encoded}",
        unescape(words[1]) if words else name,
        caption,
        round(width),
        round(height),
    )
