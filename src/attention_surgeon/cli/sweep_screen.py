"""What `surgeon sweep` shows: the map of all heads in shades, and the heads that are missed most."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.text import Text

from attention_surgeon.cli.cells import fit, shortened
from attention_surgeon.cli.lines import text_lines, title_lines
from attention_surgeon.cli.shades import shade
from attention_surgeon.surgery.sweep import HeadResult, Measure

_FORMAT, _VERSION = "attention-surgeon head sweep", 1
_MOST_ROWS = 8
_UNITS: dict[Measure, str] = {
    "loss": "change of the loss, nats per token",
    "divergence": "divergence of the expected tokens, nats",
    "distance": "1 − cosine of the mean state",
}


def unit_of(measure: Measure) -> str:
    """Return what is measured, in words, with its unit."""
    return _UNITS[measure]


def by_layer(results: Sequence[HeadResult]) -> dict[str, dict[int, float]]:
    """Return the change for each head, layer by layer."""
    rows: dict[str, dict[int, float]] = {}
    for one in results:
        rows.setdefault(one.layer, {})[one.head] = one.change
    return rows


def sweep_lines(results: Sequence[HeadResult], model: str, fault: str, folder: Path, width: int) -> Iterator[Text]:
    """Yield the whole screen, no line wider than `width` cells."""
    yield from title_lines(f"{fault} on each of {len(results)} heads of {model}", unit_of(results[0].measure), width)
    if results[0].measure == "loss":
        yield from text_lines(f"without it the loss is {results[0].before:.4f}", width, "quiet")
    yield Text("")
    yield from _map_lines(by_layer(results), width)
    yield Text("")
    yield from _table_lines(results, width)
    idle = sum(not one.changed for one in results)
    if idle:
        yield from text_lines(f"in {idle} heads the operation changed nothing on this text", width, "quiet")
    yield from text_lines(f"{folder}: records.jsonl, heads.csv, heads.png", width, "quiet")


def _map_lines(rows: Mapping[str, Mapping[int, float]], width: int) -> Iterator[Text]:
    """Yield one line for each layer; shades say how much a head is missed, a minus that the text does better."""
    largest = max(abs(change) for row in rows.values() for change in row.values())
    heads = sorted({head for row in rows.values() for head in row})
    room = max(len(layer) for layer in rows) + len("layer  ")
    cell = max((width - room) // len(heads), 1)
    cell = 8 if cell >= 8 else 3 if cell >= 3 else 1
    if cell > 1:
        numbers = "".join(f"{head:>{cell - 1}} " for head in heads)
        yield Text(shortened(f"{'':<{room}}{numbers}", width), "quiet")
    for layer, row in rows.items():
        line = Text(fit(f"layer {layer}", room), "quiet")
        for head in heads[: max((width - room) // cell, 1)]:
            line.append_text(_cell(row.get(head), largest, cell))
        yield line


def _cell(change: float | None, largest: float, cell: int) -> Text:
    if change is None:
        return Text(" " * cell)
    character, style = shade(abs(change), largest)
    style = "less" if change < 0 else style
    if cell == 8:
        return Text.assemble((f"{change:>+6.3f}", ""), (character, style), " ")
    sign = "−" if change < 0 and character != " " else " "
    return Text(f"{sign}{character}{' ' * (cell - 2)}" if cell > 1 else character, style)


def _table_lines(results: Sequence[HeadResult], width: int) -> Iterator[Text]:
    yield Text(shortened(f"{'most missed':<24}{'before':>10}{'after':>10}{'change':>10}", width), "quiet")
    ranked = sorted(results, key=lambda one: one.change, reverse=True)
    for one in ranked[:_MOST_ROWS]:
        place = f"layer {one.layer}, head {one.head}"
        yield Text(shortened(f"{place:<24}{one.before:>10.4f}{one.after:>10.4f}{one.change:>+10.4f}", width))


def as_json_text(results: Sequence[HeadResult], model: str, fault: str, folder: Path) -> str:
    """Return everything for machines; a number that is not finite is a string."""
    rows = [
        {
            name: str(value) if value in (float("inf"), float("-inf")) or value != value else value
            for name, value in {**vars(one), "change": one.change}.items()
        }
        for one in results
    ]
    document = {"format": _FORMAT, "version": _VERSION, "model": model, "fault": fault, "folder": str(folder)}
    return json.dumps(document | {"unit": unit_of(results[0].measure), "heads": rows}, allow_nan=False)
