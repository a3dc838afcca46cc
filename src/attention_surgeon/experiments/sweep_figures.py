"""The figure of a sweep: each measure over the first swept setting, a band of one standard deviation around it."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from attention_surgeon.experiments.result import Record, Records
from attention_surgeon.experiments.sweep_summary import SPREAD, labels_of, measures_of, row_name
from attention_surgeon.plots import Bars, Chart, Line, plot_charts

_MOST_CHARTS, _MOST_LINES = 6, 8


def draw_sweep(records: Records, title: str) -> dict[str, Figure]:
    """Return the figure by its name; no figure where nothing differs."""
    measures = measures_of(records)[:_MOST_CHARTS]
    if not measures:
        return {}
    return {"sweep": plot_charts([_chart(records, measure) for measure in measures], title=title)}


def _chart(records: Records, measure: str) -> Chart | Bars:
    x_name = next(iter(labels_of(records[0])), None)
    lines: dict[str, list[Record]] = {}
    for row in records:
        if row[measure] is not None:
            lines.setdefault(row_name(row, records, x_name) or "mean", []).append(row)
    shown = dict(list(lines.items())[:_MOST_LINES])
    xs = [row[x_name] for row in records] if x_name else []
    if x_name is None or not all(map(_is_number, xs)):
        return _bars(shown, x_name, measure)
    is_log = min(xs) > 0 and max(xs) >= 8 * min(xs)
    drawn = [_line(name, rows, x_name, measure) for name, rows in shown.items()]
    return Chart(measure, x_name, drawn, is_log_x=is_log, lowest=None)


def _line(name: str, rows: Sequence[Record], x_name: str, measure: str) -> Line:
    spreads = [row[measure + SPREAD] or 0.0 for row in rows]
    means = [row[measure] for row in rows]
    low = [mean - spread for mean, spread in zip(means, spreads, strict=True)]
    high = [mean + spread for mean, spread in zip(means, spreads, strict=True)]
    return Line(name, [row[x_name] for row in rows], means, low, high)


def _bars(shown: dict[str, list[Record]], x_name: str | None, measure: str) -> Bars:
    """Draw a bar for each value that is no number; every series has all of them, because the values are a product."""
    groups = list(dict.fromkeys(_group(row, x_name) for rows in shown.values() for row in rows))
    at = {name: {_group(row, x_name): row[measure] for row in rows} for name, rows in shown.items()}
    return Bars(measure, groups, {name: [rows.get(group, 0.0) for group in groups] for name, rows in at.items()})


def _group(row: Record, x_name: str | None) -> str:
    return str(row[x_name]) if x_name else "all seeds"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
