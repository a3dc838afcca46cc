"""Small matrices side by side in cells: yours, expected, difference. One below the other where the window is narrow.

Three forms, the first that fits: numbers with a shade; a sign and a shade; a shade alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt
from rich.text import Text

from attention_surgeon.cli.cells import fit, folded, shade, width_of

Array: TypeAlias = npt.NDArray[np.float64]
Form: TypeAlias = Literal["numbers", "signs", "shades"]

_GAP = 3
_MOST_ROWS = 13
_UNLIKE = "≠"
_BLANK = 10.0
"""From this ratio of their largest numbers on, two matrices are shaded each by its own."""

_SMALL = 1e-6
"""A difference below it is rounding, and drawn as none."""


@final
@dataclass(frozen=True)
class _Panel:
    """One matrix, its heading, and what its darkest shade stands for; in a difference NaN is where there is none."""

    caption: str
    values: Array
    largest: float
    decimals: int = 2
    is_difference: bool = False

    @property
    def is_signed(self) -> bool:
        return self.is_difference or bool((self.values < 0).any())


def compared_lines(
    first: Array,
    second: Array,
    width: int,
    captions: tuple[str, str] = ("yours", "expected"),
    *,
    is_second_wrong: bool = False,
) -> Iterator[Text]:
    """Yield two matrices and their difference, no line wider than `width` cells, and where they differ most.

    Args:
        first: Of two axes at most.
        second: The same; without the same shape there is no difference.
        width: Of the window.
        captions: Above the two.
        is_second_wrong: The difference is wrong - right; this says which is which.
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    panels = _two_panels(first, second, captions)
    if first.shape != second.shape:
        yield from _panels_lines(panels, width)
        shapes = " and ".join(
            f"{name} {rows} × {columns}"
            for name, (rows, columns) in zip(captions, (first.shape, second.shape), strict=True)
        )
        yield from (Text(fit(line, width)) for line in folded(f"the shapes differ: {shapes}", width))
        return
    apart = difference(second, first) if is_second_wrong else difference(first, second)
    panels.append(_Panel("difference", apart, _largest(apart), panels[0].decimals, is_difference=True))
    form = yield from _panels_lines(panels, width)
    if form != "numbers":
        yield from _legend_lines(panels, width)
        yield from (Text(fit(line, width)) for line in folded(_largest_difference(panels), width))


def difference(yours: Array, expected: Array) -> Array:
    """Return yours - expected; 0 where both are the same infinity or NaN, NaN where only one of them is finite.

    >>> difference(np.array([1.0, -np.inf, 2.0]), np.array([3.0, -np.inf, np.nan]))
    array([-2.,  0., nan])
    """
    are_finite = np.isfinite(yours) & np.isfinite(expected)
    are_same = (yours == expected) | (np.isnan(yours) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        return np.where(are_finite, yours - expected, np.where(are_same, 0.0, np.nan))


def decimals_for(yours: Array, expected: Array) -> int:
    """Return how many decimals show that the two differ: 2 to 6.

    >>> decimals_for(np.array([0.5, 0.7]), np.array([0.5, 0.7004]))
    4
    """
    apart = np.abs(difference(yours, expected))
    largest = float(apart[np.isfinite(apart)].max(initial=0.0))
    return next((decimals for decimals in range(2, 6) if largest >= 2 * 10.0**-decimals), 6) if largest > _SMALL else 2


def number_text(number: float, decimals: int = 2, *, signed: bool = False) -> str:
    """Return a number in few cells: with so many decimals, or two digits where it is large.

    >>> [number_text(number) for number in (0.666, -12.0, 12345.6, -math.inf, math.nan)]
    ['0.67', '-12.00', '1.2e+04', '-∞', 'nan']
    """
    if not math.isfinite(number):
        return "nan" if math.isnan(number) else "∞" if number > 0 else "-∞"
    sign = "+" if signed else ""
    return f"{number:{sign}.{decimals}f}" if abs(number) < 1000 else f"{number:{sign}.1e}"


def _two_panels(yours: Array, expected: Array, captions: tuple[str, str]) -> list[_Panel]:
    """Return both under one scale of shades, unless one of them would then be blank."""
    largest = [_largest(yours), _largest(expected)]
    if max(largest) < _BLANK * min(largest):
        largest = [max(largest)] * 2
    decimals = decimals_for(yours, expected) if yours.shape == expected.shape else 2
    return [_Panel(captions[0], yours, largest[0], decimals), _Panel(captions[1], expected, largest[1], decimals)]


def _largest(values: Array) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _panels_lines(panels: Sequence[_Panel], width: int) -> Iterator[Text]:
    """Yield the panels and return the form that was taken."""
    room = max(width, 1)
    form = _form(panels, room)
    widths = [_width(panel, form) for panel in panels]
    if sum(widths) + _GAP * (len(panels) - 1) <= room:
        yield from _side_by_side(panels, form, widths)
    else:
        for panel in panels:
            yield from (_cut(line, room) for line in _panel_lines(panel, form))
    return form


def _form(panels: Sequence[_Panel], room: int) -> Form:
    for form in ("numbers", "signs", "shades"):
        if sum(_width(panel, form) for panel in panels) + _GAP * (len(panels) - 1) <= room:
            return form
    fits = max(_width(panel, "signs") for panel in panels) <= room
    return "signs" if fits else "shades"


def _width(panel: _Panel, form: Form) -> int:
    return max(panel.values.shape[1] * _cell_width(panel, form), width_of(panel.caption))


def _cell_width(panel: _Panel, form: Form) -> int:
    if form == "numbers":
        return 2 + max(len(_number(panel, value)) for value in panel.values.flat)
    return 2 if form == "signs" else 1


def _side_by_side(panels: Sequence[_Panel], form: Form, widths: Sequence[int]) -> Iterator[Text]:
    columns = [list(_panel_lines(panel, form)) for panel in panels]
    for row in zip_longest(*columns, fillvalue=Text("")):
        line = Text("")
        for cells, width in zip(row, widths, strict=True):
            line.append_text(cells)
            line.append(" " * (width - width_of(cells.plain) + _GAP))
        yield line


def _panel_lines(panel: _Panel, form: Form) -> Iterator[Text]:
    yield Text(panel.caption, "heading")
    for row in panel.values[:_MOST_ROWS]:
        yield Text.assemble(*(_cell(panel, form, float(value)) for value in row))
    if len(panel.values) > _MOST_ROWS:
        yield Text(f"… {len(panel.values) - _MOST_ROWS} more", "quiet")


def _cell(panel: _Panel, form: Form, value: float) -> tuple[str, str]:
    """Return the text and style of one number, as wide as every cell of the panel."""
    width = _cell_width(panel, form)
    if panel.is_difference and math.isnan(value):
        return fit(_UNLIKE, width), "bad"
    sign, style = shade(abs(value), panel.largest)
    if panel.is_difference and abs(value) <= _SMALL:
        sign, style = " ", "quiet"
    if math.isinf(value):
        sign, style = " ", "quiet" if value < 0 else "bad"
    if panel.is_signed and value < 0 and style.startswith("weight"):
        style = "less"
    if form == "numbers":
        return f"{sign}{_number(panel, value):>{width - 2}} ", style
    return _shaded(panel, value, sign, width), style


def _shaded(panel: _Panel, value: float, sign: str, width: int) -> str:
    """Return a cell without a number: the sign and the shade where both have room, and are needed."""
    if math.isinf(value):
        return "∞" if width == 1 else "-∞" if value < 0 else "+∞"
    if not panel.is_signed or sign in " ?":
        return sign * width
    mark = "-" if value < 0 else "+" if panel.is_difference else " "
    return (mark if panel.is_difference else sign) if width == 1 else mark + sign


def _number(panel: _Panel, value: float) -> str:
    if panel.is_difference and not abs(value) > _SMALL:
        return _UNLIKE if math.isnan(value) else "0"
    return number_text(value, panel.decimals, signed=panel.is_difference)


def _legend_lines(panels: Sequence[_Panel], width: int) -> Iterator[Text]:
    shown = [panel for panel in panels if panel.largest]
    named = [f"{number_text(panel.largest, panel.decimals)} in {panel.caption}" for panel in shown]
    if panels[0].largest == panels[1].largest:
        named[:2] = [number_text(panels[0].largest, panels[0].decimals)]
    text = f"█ is near {', '.join(named)}"
    yield from (Text(fit(line, width), "quiet") for line in folded(text, width))


def _largest_difference(panels: Sequence[_Panel]) -> str:
    yours, expected, apart = (panel.values for panel in panels)
    sizes = np.where(np.isnan(apart), np.inf, np.abs(apart))
    place = np.unravel_index(int(sizes.argmax()), sizes.shape)
    where = ", ".join(str(int(index)) for index in place)
    given, right = (number_text(float(matrix[place]), panels[0].decimals) for matrix in (yours, expected))
    names = [panel.caption for panel in panels[:2]]
    return f"largest difference at [{where}]: {names[0]} {given}, {names[1]} {right}"


def _cut(line: Text, width: int) -> Text:
    cut = line.copy()
    cut.truncate(width, overflow="ellipsis")
    return cut
