"""The weights as a grid of shades: one row per query, one column per key, tokens at both sides.

Three forms, the first that fits: numbers with a shade; shades two cells or one cell wide under upright tokens; and, for
long texts, a map in which each field stands for several tokens and shows the largest weight among them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from rich.text import Text

from attention_surgeon.cli.cells import SHADE_FROM, SHADES, clusters, fit, folded, shade, visible, width_of
from attention_surgeon.trace import AttentionTrace

_HIDDEN = "·"
_LABEL_WIDTH = 12
_NUMBER_WIDTHS = (6, 9)  # a shade, four digits and a gap; the widest column that helps
_MOST_ROWS = 40
_UPRIGHT_HEIGHT = 6


@final
@dataclass(frozen=True)
class _Fields:
    """What is drawn: weights `(rows, columns)`, which of them are hidden, and the names at both sides."""

    weights: torch.Tensor
    hidden: torch.Tensor
    rows: list[str]
    columns: list[str]
    note: str = ""


def grid_lines(trace: AttentionTrace, width: int) -> Iterator[Text]:
    """Yield the grid of a trace without leading axes, no line wider than `width` cells."""
    fields = _fields(trace)
    label_width = min(max(width_of(name) for name in fields.rows), _LABEL_WIDTH, max(width // 4, 1))
    room = max(width - label_width - 1, 1)
    if len(fields.rows) <= _MOST_ROWS and len(fields.columns) * _NUMBER_WIDTHS[0] <= room:
        yield from _number_lines(fields, label_width, room)
    else:
        if len(fields.rows) > _MOST_ROWS or len(fields.columns) * _cell_width(fields.columns) > room:
            fields = _pooled(fields, max(min(room // 2, _MOST_ROWS), 1))
        yield from _shade_lines(fields, label_width, room)
    yield from _legend_lines(fields, width)


def _fields(trace: AttentionTrace) -> _Fields:
    weights = trace.weights.double()
    hidden = torch.zeros_like(weights, dtype=torch.bool) if trace.allowed is None else ~trace.allowed
    rows, columns = ([visible(token) for token in side] for side in (trace.query_tokens, trace.key_tokens))
    return _Fields(weights, hidden & (weights == 0), rows, columns)


def _number_lines(fields: _Fields, label_width: int, room: int) -> Iterator[Text]:
    widest = max(width_of(name) for name in fields.columns) + 1
    column = max(min(widest, _NUMBER_WIDTHS[1], room // len(fields.columns)), _NUMBER_WIDTHS[0])
    heading = "".join(fit(name, column - 1) + " " for name in fields.columns)
    yield Text(" " * (label_width + 2) + heading, "heading")  # above the digits, one cell behind the shade
    largest = _largest(fields)
    for name, row, hidden in zip(fields.rows, fields.weights.tolist(), fields.hidden.tolist(), strict=True):
        line = Text.assemble((fit(name, label_width) + " ", "heading"))
        for weight, is_hidden in zip(row, hidden, strict=True):
            sign, style = _shade(weight, is_hidden, largest)
            text = f"  {_HIDDEN}" if is_hidden else f"{sign}{weight:.2f}"
            line.append(fit(text, column), style)
        yield line


def _shade_lines(fields: _Fields, label_width: int, room: int) -> Iterator[Text]:
    cell = 2 if len(fields.columns) * 2 <= room else 1
    yield from _upright_lines(fields.columns, label_width, cell)
    largest = _largest(fields)
    for name, row, hidden in zip(fields.rows, fields.weights.tolist(), fields.hidden.tolist(), strict=True):
        line = Text.assemble((fit(name, label_width) + " ", "heading"))
        for weight, is_hidden in zip(row, hidden, strict=True):
            sign, style = _shade(weight, is_hidden, largest)
            line.append(fit(sign if is_hidden else sign * cell, cell), style)
        yield line


def _upright_lines(names: Sequence[str], label_width: int, cell: int) -> Iterator[Text]:
    """Yield the tokens above their columns, one character below the other, ending at the grid."""
    upright = [_shortened(clusters(name)) for name in names]
    height = max(len(name) for name in upright)
    for line in range(height):
        characters = [name[line - height + len(name)] if line >= height - len(name) else "" for name in upright]
        text = " " * (label_width + 1) + "".join(fit(character, cell) for character in characters)
        yield Text(text, "heading")


def _shortened(characters: list[str]) -> list[str]:
    return characters if len(characters) <= _UPRIGHT_HEIGHT else [*characters[: _UPRIGHT_HEIGHT - 1], "…"]


def _cell_width(names: Sequence[str]) -> int:
    """Return the narrowest column that every character of the tokens fits into."""
    return max((width_of(cluster) for name in names for cluster in clusters(name)), default=1)


def _pooled(fields: _Fields, most: int) -> _Fields:
    """Join neighbouring tokens until at most `most` fields are left on each side; a field shows its largest weight."""
    rows, columns = math.ceil(len(fields.rows) / most), math.ceil(len(fields.columns) / most)
    weights = torch.nan_to_num(fields.weights, nan=math.inf)
    pooled = torch.stack(
        [torch.stack([block.amax() for block in strip.split(columns, dim=1)]) for strip in weights.split(rows, dim=0)]
    )
    hidden = torch.stack(
        [
            torch.stack([block.all() for block in strip.split(columns, dim=1)])
            for strip in fields.hidden.split(rows, dim=0)
        ]
    )
    note = f"each field stands for {rows} × {columns} tokens and shows the largest weight among them"
    return _Fields(pooled, hidden, fields.rows[::rows], fields.columns[::columns], note)


def _largest(fields: _Fields) -> float:
    finite = fields.weights[fields.weights.isfinite()]
    return float(finite.max()) if finite.numel() else 0.0


def _shade(weight: float, is_hidden: bool, largest: float) -> tuple[str, str]:
    return (_HIDDEN, "quiet") if is_hidden else shade(weight, largest)


def _legend_lines(fields: _Fields, width: int) -> Iterator[Text]:
    largest = _largest(fields)
    parts = [f"{sign}{part * largest:.2f}" for sign, part in zip(SHADES[1:], SHADE_FROM, strict=True)]
    if fields.hidden.any():
        parts.append(f"{_HIDDEN} hidden")
    legend = f"shades from {', '.join(parts)}"
    for text in filter(None, (legend, fields.note)):
        yield from (Text(fit(line, width), "quiet") for line in folded(text, width))
