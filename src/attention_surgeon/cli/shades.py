"""Shades for sizes: how large a number is, as one character that needs no colour."""

import math

SHADES = " ░▒▓█"
SHADE_FROM = (0.05, 0.25, 0.5, 0.75)
"""From which part of the largest number on a shade is used."""

BROKEN = "?"
_STYLES = ("quiet", "weight", "weight", "weight", "weight.strong")


def shade(size: float, largest: float) -> tuple[str, str]:
    """Return the character for a number from 0 to `largest`, and its style.

    >>> [shade(size, 2.0)[0] for size in (0.0, 0.1, 1.0, 2.0, math.nan)]
    [' ', '░', '▓', '█', '?']
    """
    if not math.isfinite(size):
        return BROKEN, "bad"
    level = sum(size >= part * largest > 0 for part in SHADE_FROM)
    return SHADES[level], _STYLES[level]
