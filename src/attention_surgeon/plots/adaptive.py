"""An SVG that follows the reader's colour scheme: light colours by day and on paper, those of the dark theme by night.

A figure is drawn once, in the light theme. Every colour of that theme becomes a variable with the value of the other
theme for dark screens; maps, which are pixels, are put in twice, and the colours of the second are those that the dark
theme has for the same weights. So a saved figure needs not be drawn again.
"""

import base64
import io
import re
from functools import cache

import matplotlib.image
import numpy as np
import PIL.Image

from attention_surgeon.plots.fonts import FONT
from attention_surgeon.plots.style import INK_ON_BRIGHT, INK_ON_DARK, Theme, theme_named

_NOT_DRAWN = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_IMAGE = re.compile(r'<image xlink:href="data:image/png;base64,\s*(?P<pixels>[^"]+)"(?P<place>[^>]*)/>')
_PATH = re.compile(r'(?<= d=")[^"]+|(?<=translate\()[^)]+')
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_STYLE = re.compile(r'(?<=style=")[^"]+')
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_PLAIN = ("background", "ink", "muted", "line", "allowed", "hidden", "mixed", "first", "second")
_ALIKE = 4  # of 255: pixels that differ less from a colour of the map are that colour
_NIGHT = "@media (prefers-color-scheme: dark)"


def adaptive_svg(svg: str) -> str:
    """Return an SVG that `save_figure` wrote in the light theme, made to follow the reader's colour scheme.

    It is to be shown as a picture (`<img>`), not put into a page, whose colours it would set. What is not drawn
    (comments, metadata) is left out, and lengths are rounded to a hundredth of a point.

    Args:
        svg: The text of the file. Colours that are not of the theme stay as they are.

    >>> from attention_surgeon.plots import Chart, Line, plot_charts
    >>> from attention_surgeon.plots.save import figure_bytes
    >>> figure = plot_charts([Chart("loss", "step", [Line("causal", [1, 2], [3.0, 2.0])])])
    >>> "#0e131b" in adaptive_svg(figure_bytes(figure, "svg").decode())
    True
    """
    svg = _NOT_DRAWN.sub("", svg).strip()
    svg = _PATH.sub(lambda path: _LONG_NUMBER.sub(_rounded, " ".join(path[0].split())), svg)
    svg = re.sub(r">\s+<", "><", svg).replace(f"{FONT.replace(' ', '')}-", "g")
    svg = _STYLE.sub(lambda style: _COLOUR.sub(_variable, style[0]), svg)
    svg = _IMAGE.sub(_both_images, svg)
    return svg.replace("<defs>", f"<defs><style>{_rules()}</style>", 1)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}"


def _variable(colour: re.Match[str]) -> str:
    return f"var(--c{colour[0][1:]})" if colour[0] in _pairs() else colour[0]


def _rules() -> str:
    day = "".join(f"--c{light[1:]}:{light};" for light in _pairs())
    night = "".join(f"--c{light[1:]}:{dark};" for light, dark in _pairs().items())
    return (
        f":root{{{day}}}.night{{display:none}}{_NIGHT}{{:root{{{night}}}.day{{display:none}}.night{{display:inline}}}}"
    )


@cache
def _pairs() -> dict[str, str]:
    """Return every colour of the light theme with that of the dark theme for the same thing."""
    day, night = theme_named("light", "adaptive_svg"), theme_named("dark", "adaptive_svg")
    pairs = {getattr(day, name): getattr(night, name) for name in _PLAIN}
    return {
        **pairs,
        **dict(zip(day.more, night.more, strict=True)),
        INK_ON_BRIGHT: INK_ON_DARK,
        INK_ON_DARK: INK_ON_BRIGHT,
    }


def _both_images(image: re.Match[str]) -> str:
    """Return the image twice, once for each scheme; as it is where its colours are not those of the theme."""
    with PIL.Image.open(io.BytesIO(base64.b64decode(image["pixels"]))) as read:
        night = _in_the_dark(np.array(read.convert("RGBA")))
    if night is None:
        return image[0]
    content = io.BytesIO()
    matplotlib.image.imsave(content, night, format="png")
    encoded = base64.b64encode(content.getvalue()).decode()
    place = re.sub(r' id="[^"]*"', "", image["place"])
    day = image[0].replace("<image ", '<image class="day" ', 1)
    return f'{day}<image class="night" xlink:href="data:image/png;base64,{encoded}"{place}/>'


def _in_the_dark(pixels: np.ndarray) -> np.ndarray | None:
    """Return the pixels `(height, width, 4)` with the colours of the dark theme; None if some are of no theme."""
    packed = pixels.view("<u4")[..., 0]  # a number a pixel: red in the lowest byte, opacity in the highest
    colours = packed & 0xFFFFFF
    is_there = np.zeros(1 << 24, dtype=bool)  # a table of all colours: sorting millions of pixels would take seconds
    is_there[colours[packed > 0xFFFFFF]] = True
    found = np.flatnonzero(is_there)
    night = _dark_colours(np.stack([found & 255, found >> 8 & 255, found >> 16], axis=1))
    if night is None:
        return None
    changed = np.zeros(1 << 24, dtype="<u4")
    changed[found] = night @ np.array([1, 1 << 8, 1 << 16])
    return (changed[colours] | packed & 0xFF000000).view(np.uint8).reshape(pixels.shape)


def _dark_colours(colours: np.ndarray) -> np.ndarray | None:
    """Return for each colour `(n, 3)` that of the dark theme: all as cells of a mask, or all as weights, or None."""
    for palette in (_mask_cells, _weights):
        day, night = (palette(theme_named(name, "adaptive_svg")) for name in ("light", "dark"))
        distances = np.abs(colours[:, None] - day).max(-1)  # (n, 1, 3) - (palette, 3) -> (n, palette)
        if (distances.min(-1) <= _ALIKE).all():
            return night[distances.argmin(-1)]
    return None


def _mask_cells(theme: Theme) -> np.ndarray:
    """Return `(3, 3)`: what a cell of a mask can be."""
    colours = (theme.hidden, theme.mixed, theme.allowed)
    return np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours])


def _weights(theme: Theme) -> np.ndarray:
    """Return `(steps, 3)`: what a weight can be."""
    return np.round(theme.weights(np.arange(theme.weights.N))[:, :3] * 255).astype(int)
