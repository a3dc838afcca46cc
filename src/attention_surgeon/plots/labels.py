"""Text that is safe to draw: tokens made visible and short, titles broken into lines, labels thinned out."""

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from attention_surgeon.plots.fonts import families_for, is_drawable

LONGEST_LABEL = 16
MOST_LINES = 4
_CLOSEST = 6.88  # points from one label to the next, where that lets every token have one
_CLOSEST_THINNED = 9.5  # where some have to be left out anyway
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_VISIBLE = {"\n": "↵", "\t": "⇥"}


def visible_token(token: str) -> str:
    r"""Return a token as it is drawn: whitespace made visible, letters that no font has escaped, at most 16 letters.

    >>> [visible_token(token) for token in (" cat", "a\n", "", "\u200b", "incomprehensibilities")]
    ['␣cat', 'a↵', '(empty)', '\\u200b', 'incomprehensibi…']
    """
    if not token:
        return "(empty)"
    spaces_before = len(token) - len(token.lstrip(" "))
    spaces_after = len(token) - len(token.rstrip(" "))
    pieces = [
        "␣" if index < spaces_before or index >= len(token) - spaces_after else _visible(letter)
        for index, letter in enumerate(token)
    ]
    return _shortened(pieces)


def visible_title(title: str, size: float, width: float) -> str:
    """Return a title with every letter drawable, broken into at most four lines of at most `width` points."""
    drawable = "\n".join("".join(map(_visible, line)) for line in title.splitlines())
    lines = wrapped(drawable, size, width).splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], _cut(f"{lines[MOST_LINES - 1]} …", size, width)]
    return "\n".join(lines)


def wrapped(text: str, size: float, width: float) -> str:
    """Return text broken at its spaces into lines of at most `width` points at font size `size`."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, size) > width:
                lines.append(line)
                longer = word
            line = _cut(longer, size, width)
        lines.append(line)
    return "\n".join(lines)


def power_of_ten(power: int) -> str:
    """Return a power of ten as it is written, without mathtext.

    >>> power_of_ten(-12)
    '10⁻¹²'
    """
    return "10" + str(power).translate(_SUPERSCRIPTS)


def line_count(text: str) -> int:
    """Return how many lines of text there are, 0 for none."""
    return text.count("\n") + 1 if text else 0


@lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Return the width of one line of text in points, without drawing it."""
    font = FontProperties(family=list(families_for([text])), size=size)
    return TextToPath().get_text_width_height_descent(text, font, ismath=False)[0]


@dataclass(frozen=True)
class AxisLabels:
    """The labels of one axis, every `step`-th of `count` tokens.

    Attributes:
        count: Tokens along the axis.
        step: Distance from one labelled token to the next.
        positions: Index of each labelled token.
        texts: What stands there.
        size: Font size in points.
        width: Width of the widest label in points.
    """

    count: int
    step: int
    positions: list[int]
    texts: list[str]
    size: float
    width: float

    def describe(self, name: str) -> str:
        """Return the name of the axis and, if labels were left out, how many."""
        if self.step == 1:
            return name
        return f"{name} · every {_ordinal(self.step)} of {self.count} tokens labelled"


def axis_labels(tokens: Sequence[str], pitch: float) -> AxisLabels:
    """Return the labels of an axis whose tokens lie `pitch` points apart: all, or every 2nd, 5th, 10th, 20th, ..."""
    step = 1 if pitch >= _CLOSEST else _step(pitch)
    positions = list(range(0, len(tokens), step))
    texts = [visible_token(tokens[position]) for position in positions]
    size = min(10.0, 0.8 * step * pitch)
    width = max(text_width(text, size) for text in set(texts))
    return AxisLabels(len(tokens), step, positions, texts, size, width)


def _step(pitch: float) -> int:
    steps = (digit * 10**power for power in itertools.count() for digit in (1, 2, 5))
    return next(step for step in steps if step * pitch >= _CLOSEST_THINNED)


def _ordinal(number: int) -> str:
    # Steps are 2, 5, 10, 20, 50, ...: only those that end in 2 are irregular.
    return f"{number}nd" if number == 2 else f"{number}th"


def _shortened(pieces: list[str]) -> str:
    if sum(map(len, pieces)) <= LONGEST_LABEL:
        return "".join(pieces)
    short = ""
    for piece in pieces:  # an escape such as \u4f60 is kept whole or left out
        if len(short) + len(piece) >= LONGEST_LABEL:
            break
        short += piece
    return f"{short}…"


def _cut(text: str, size: float, width: float) -> str:
    if text_width(text, size) <= width:
        return text
    letters = bisect_right(range(len(text)), width, key=lambda end: text_width(f"{text[:end]}…", size))
    return f"{text[: max(1, letters - 1)]}…"


def _visible(letter: str) -> str:
    if letter in _VISIBLE:
        return _VISIBLE[letter]
    if letter.isprintable() and is_drawable(letter):
        return letter
    return letter.encode("unicode_escape").decode("ascii")
