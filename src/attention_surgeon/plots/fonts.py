"""Which fonts draw a text: the one that ships with matplotlib, and for letters that it lacks those of the system.

Chinese, Japanese, Korean and emoji are in no font that we could ship. Where a font of the system has them they are
drawn; where none has, they are escaped. Fonts are looked at once, and only when a letter is missing.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from matplotlib.font_manager import findfont, findSystemFonts, fontManager, get_font

from attention_surgeon.errors import OptionError

FONT = "DejaVu Sans"  # ships with matplotlib, so a figure has the same letters on every machine

_LAST_RESORT = "Last Resort"  # draws every letter as a box with its number: an escape says the same and can be read
_chosen: list[str] = []


def use_font(font: str | Path) -> None:
    """Draw with this font first, in every figure from here on.

    Args:
        font: A file (`.ttf`, `.otf`, `.ttc`), or the name of a font that is installed.

    Raises:
        OptionError: no such file and no such font, or a file that matplotlib cannot read.

    >>> use_font("DejaVu Sans")
    >>> use_font("No Such Font")
    Traceback (most recent call last):
    attention_surgeon.errors.OptionError: font is 'No Such Font', expected a file (.ttf, .otf) or the name of an \
installed font; fc-list shows those.
    """
    path = Path(font)
    if path.is_file():
        try:
            fontManager.addfont(path)
        except (OSError, RuntimeError) as error:
            raise OptionError(f"font is {str(path)!r}, which is no font that can be drawn: {error}.") from None
        name = fontManager.ttflist[-1].name
    else:
        name = str(font)
        if name not in {entry.name for entry in fontManager.ttflist}:
            raise OptionError(
                f"font is {name!r}, expected a file (.ttf, .otf) or the name of an installed font; fc-list shows those."
            )
    _chosen[:] = [name]
    for found in (families, drawable_letters, letters_of, _fonts_with):
        found.cache_clear()


@cache
def families(letters: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the fonts that draw `letters`, the first that has a letter drawing it: ours, then those of the system."""
    found = [*_chosen, FONT]
    missing = {letter for letter in letters if not any(ord(letter) in letters_of(name) for name in found)}
    for name in _fonts_with(frozenset(missing)):
        found.append(name)
    return tuple(dict.fromkeys(found))


def families_for(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the fonts that draw all of these texts as far as any font of the system can."""
    return families(frozenset(letter for text in texts for letter in text if not letter.isascii()))


@cache
def drawable_letters() -> frozenset[int]:
    """Return the code points that our own font, or the one that was chosen, has."""
    return frozenset().union(*(letters_of(name) for name in families()))


def is_drawable(letter: str) -> bool:
    """Tell whether some font has a letter; drawing any other warns and leaves a box."""
    return ord(letter) in drawable_letters() or bool(_fonts_with(frozenset(letter)))


@cache
def letters_of(name: str) -> frozenset[int]:
    """Return the code points for which a font has a glyph."""
    path = _fonts_of_the_system().get(name) or findfont(name)
    return frozenset(get_font(path).get_charmap())


@cache
def _fonts_with(letters: frozenset[str]) -> tuple[str, ...]:
    """Return as few fonts of the system as have these letters, as far as any has them."""
    wanted, found = {ord(letter) for letter in letters}, []
    for name in _fonts_of_the_system() if wanted else ():
        has = wanted & letters_of(name)
        if has:
            found.append(name)
            wanted -= has
        if not wanted:
            break
    return tuple(found)


@cache
def _fonts_of_the_system() -> Mapping[str, str]:
    """Return the file of every plain font whose outlines can be drawn, the usual ones for missing letters first.

    matplotlib remembers the fonts of its first start; those that were installed since are added.
    """
    known = {Path(entry.fname).resolve() for entry in fontManager.ttflist}
    for path in findSystemFonts():
        if Path(path).resolve() not in known:
            with suppress(OSError, RuntimeError):  # a font of pictures, such as most of emoji, has no outlines
                fontManager.addfont(path)
    plain = {
        entry.name: entry
        for entry in reversed(fontManager.ttflist)
        if entry.style == "normal" and entry.weight in _PLAIN_WEIGHTS and entry.stretch == "normal"
    }
    drawn = {}
    for name, entry in plain.items():
        if not name.startswith(_LAST_RESORT) and "Color" not in name:
            drawn[name] = entry.fname
            if entry.weight != _USUAL_WEIGHT:  # or matplotlib complains, each time, that it is not of the usual weight
                fontManager.ttflist.append(replace(entry, weight=_USUAL_WEIGHT))
    return dict(sorted(drawn.items(), key=lambda item: (not any(part in item[0] for part in _LIKELY), item[0])))


_USUAL_WEIGHT = 400
_PLAIN_WEIGHTS = (_USUAL_WEIGHT, 500, "normal", "regular", "book", "medium")
_LIKELY = ("CJK", "Noto", "WenQuanYi", "Droid", "Hiragino", "PingFang", "MS ", "Yu ", "Malgun", "Unifont", "Symbola")
