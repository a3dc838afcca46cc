"""Text in terminal cells: what a token looks like, how wide it is, and how it fits a column.

Terminals disagree about the width of joined emoji, flags and skin tones, so these are shown by what all agree on:
the first emoji of a joined group, the two letters of a flag. Control characters are shown as escapes, so that a token
cannot move the cursor.
"""

import unicodedata
from collections.abc import Iterator

from rich.cells import cell_len

_JOINER = "\u200d"
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_LOOKS = (range(0x1F3FB, 0x1F400), range(0xFE00, 0xFE10), range(0xE0020, 0xE0080))
"""Skin tones, the choice between emoji and plain look, and the tags that make the flag of a region."""


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
