"""Text in terminal cells: what a token looks like, how wide it is, and how it fits a column.

Terminals disagree about the width of joined emoji, flags and skin tones, so these are shown by what all agree on:
the first emoji of a joined group, the two letters of a flag. Control characters are shown as escapes, so that a token
cannot move the cursor.
"""

import itertools
import math
import unicodedata
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

_JOINER = "\u200d"

_FLAG_LETTERS = range(0x1F1E6, 0x1F200)

_LOOKS = (range(0x1F3FB, 0x1F400), range(0xFE00, 0xFE10), range(0xE0020, 0xE0080))
"""Skin tones, the choice between emoji and plain look, and the tags that make the flag of a region."""

SHADES = " ░▒▓█"

SHADE_FROM = (0.05, 0.25, 0.5, 0.75)
"""From which part of the largest number on a shade is used."""

BROKEN = "?"

_STYLES = ("quiet", "weight", "weight", "weight", "weight.strong")

_HEIGHTS = "▁▂▃▄▅▆▇█"


def visible(token: str) -> str:
    """Return `token` in a form that every terminal shows alike and that stays on its line.

    >>> print(visible("line\\nend"), visible("\\x1b[31m"), visible("\\U0001f1e9\\U0001f1ea"), visible(""))
    line\\nend \\x1b[31m DE ""
    """
    return "".join(_visible_characters(token)) or '""'


def width_of(text: str) -> int:
    """Return how many cells `text` takes.

    A vowel sign that stands beside its letter (Devanagari, Tamil, ...) takes one, as terminals see it that ask the C
    library; rich counts none.

    >>> width_of("cat"), width_of("猫"), width_of("ne\u0301e"), width_of("\u0939\u093f")
    (3, 2, 3, 2)
    """
    return cell_len(text) + sum(unicodedata.category(character) == "Mc" for character in text)


def fit(text: str, width: int) -> str:
    """Return `text` in exactly `width` cells: padded with blanks, or cut with an ellipsis.

    >>> fit("attention", 6), fit("cat", 6)
    ('atten…', 'cat   ')
    """
    text = shortened(text, width)
    return text + " " * (width - width_of(text))


def shortened(text: str, width: int) -> str:
    """Return `text` in at most `width` cells, cut with an ellipsis.

    >>> shortened("attention", 6), shortened("cat", 6)
    ('atten…', 'cat')
    """
    if width_of(text) <= width:
        return text
    return _cut(text, width - 1) + "…" if width > 0 else ""


def folded(text: str, width: int, indent: int = 0) -> Iterator[str]:
    """Yield `text` cut between words into lines of at most `width` cells (or one word), all but the first indented.

    >>> list(folded("one two three", 8, indent=2))
    ['one two', '  three']
    """
    line, is_empty = "", True
    for word in text.split(" "):
        longer = word if is_empty else f"{line} {word}"
        if not is_empty and line.strip() and width_of(longer) > width:
            yield line
            longer = " " * indent + word
        line, is_empty = longer, False
    yield line


def clusters(text: str) -> list[str]:
    """Return the characters of `text`, each with the marks that stand on it.

    >>> [len(cluster) for cluster in clusters("ne\\u0301e")]
    [1, 2, 1]
    """
    found: list[str] = []
    for character in text:
        if found and (width_of(character) == 0 or unicodedata.category(character)[0] == "M"):
            found[-1] += character
        else:
            found.append(character)
    return found


def _visible_characters(token: str) -> Iterator[str]:
    joined = False
    for character in token:
        category = unicodedata.category(character)
        is_partner = joined and category[0] not in "LM"
        joined = character == _JOINER
        if is_partner or joined or _is_look(character, category):
            continue
        if ord(character) in _FLAG_LETTERS:
            yield chr(ord("A") + ord(character) - _FLAG_LETTERS.start)
        elif category[0] == "C" or (category[0] == "Z" and character != " "):
            yield character.encode("unicode_escape").decode("ascii")
        else:
            yield character


def _is_look(character: str, category: str) -> bool:
    return category == "Me" or any(ord(character) in block for block in _LOOKS)


def _cut(text: str, width: int) -> str:
    kept, used = [], 0
    for cluster in clusters(text):
        used += width_of(cluster)
        if used > width:
            break
        kept.append(cluster)
    return "".join(kept)


def text_lines(text: str, width: int, style: str = "", *, indent: int = 0, more: int = 0) -> Iterator[Text]:
    """Yield text between words, every line indented, those after the first by `more` more."""
    room = max(width - indent, 1)
    for line in folded(text, room, indent=more):
        yield Text(" " * indent + fit(line, room), style)


def title_lines(title: str, note: str, width: int) -> Iterator[Text]:
    """Yield a heading with a quiet note beside it, or below where there is no room."""
    if width_of(title) + width_of(note) + 2 <= width:
        yield Text.assemble((title, "heading"), (f"  {note}", "quiet"))
    else:
        yield from text_lines(title, width, "heading")
        yield from text_lines(note, width, "quiet", indent=2)


def labelled_lines(label: str, text: str, width: int, indent: int = 2, room: int = 6) -> Iterator[Text]:
    """Yield text beside a quiet word, which has `room` cells."""
    left = indent + room
    for number, line in enumerate(folded(text, max(width - left, 1))):
        shown = f"{' ' * indent}{label if number == 0 else '':<{room}}"
        yield Text.assemble((shown, "quiet"), fit(line, max(width - left, 1)))


def code_lines(code: str, label: str = "") -> Iterator[Text]:
    """Yield lines of code as they are, however narrow the window: a cut line is no code, a folded one no Python."""
    room = 6 if label else 0
    for number, line in enumerate(code.splitlines()):
        yield Text.assemble((f"  {label if number == 0 else '':<{room}}", "quiet"), line)


def count(number: int, thing: str) -> str:
    """Return a number with its thing: `1 call`, `3 calls`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def shade(size: float, largest: float) -> tuple[str, str]:
    """Return the character for a number from 0 to `largest`, and its style.

    >>> [shade(size, 2.0)[0] for size in (0.0, 0.1, 1.0, 2.0, math.nan)]
    [' ', '░', '▓', '█', '?']
    """
    if not math.isfinite(size):
        return BROKEN, "bad"
    level = sum(size >= part * largest > 0 for part in SHADE_FROM)
    return SHADES[level], _STYLES[level]


def sparkline(values: Sequence[int | float], width: int, low: float | None = None, high: float | None = None) -> str:
    """Return `values` as a line of blocks, at most `width` cells; of too many, each cell shows the mean of its share.

    Args:
        values: Finite numbers.
        width: Cells there are.
        low: What the lowest block stands for; None: the smallest of the values.
        high: What the highest block stands for; None: the largest.

    >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8), sparkline([5.0, 5.0], 8), sparkline([8, 6, 4, 2], 2)
    ('▁▂▃▄▅▆▇█', '▁▁', '█▁')
    """
    if not values or width < 1:
        return ""
    cells = min(width, len(values))
    edges = [round(cell * len(values) / cells) for cell in range(cells + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]
    low = min(means) if low is None else low
    high = max(means) if high is None else high
    span = (high - low) or 1.0
    return "".join(_HEIGHTS[min(7, max(0, int(8 * (mean - low) / span)))] for mean in means)
