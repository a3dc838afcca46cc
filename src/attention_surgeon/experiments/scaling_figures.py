"""The figures of the scaling experiment: every measure over d_k, for each number of keys, and two maps side by side."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from attention_surgeon.experiments.result import Record
from attention_surgeon.ops import attention
from attention_surgeon.plots import Chart, Line, plot_charts, plot_scale_comparison, plot_scaling_curves

_MEASURES = {
    "mean_max_weight": "largest weight of a row",
    "entropy_share": "entropy of a row\n(1 = all keys alike)",
    "output_variance": "mean square of the output\n(a value's is 1)",
    "score_gradient_median": "gradient through the softmax\n(median)",
    "query_gradient_median": "gradient with respect to the query\n(median)",
    "key_gradient_median": "gradient with respect to the keys\n(median)",
}
_SMALLEST_GRADIENT = 1e-8
_MAP_KEYS, _MAP_WIDTH = 12, 256


def draw_scaling(records: Sequence[Record]) -> dict[str, Figure]:
    """Return the figures by name."""
    counts = list(dict.fromkeys(record["num_keys"] for record in records))
    figures = {
        "scaling_factor": plot_scaling_curves([row for row in records if row["num_keys"] == counts[0]]),
        "weights": _maps(),
    }
    for count in dict.fromkeys((counts[0], counts[-1])):
        rows = [row for row in records if row["num_keys"] == count]
        charts = [_chart(measure, rows) for measure in _MEASURES]
        figures[f"all_measures_{count}_keys"] = plot_charts(charts, title=f"With and without 1/√d_k, {count} keys")
    if len(counts) > 1:
        figures["number_of_keys"] = _over_keys(records)
    return figures


def _chart(measure: str, rows: Sequence[Record]) -> Chart:
    lines = [
        Line(name, *_curve([row for row in rows if row["scaled"] is scaled], "d_k", measure))
        for scaled, name in ((True, "with 1/√d_k"), (False, "without"))
    ]
    is_log, lowest = (True, _SMALLEST_GRADIENT) if measure.endswith("median") else (False, 0.0)
    return Chart(_MEASURES[measure], "d_k (size of a key)", lines, is_log_x=True, is_log_y=is_log, lowest=lowest)


def _over_keys(records: Sequence[Record]) -> Figure:
    charts = []
    for scaled, name in ((True, "with 1/√d_k"), (False, "without")):
        widths = list(dict.fromkeys(row["d_k"] for row in records))
        groups = {d_k: [row for row in records if row["d_k"] == d_k and row["scaled"] is scaled] for d_k in widths}
        lines = [Line(f"d_k = {d_k}", *_curve(group, "num_keys", "mean_max_weight")) for d_k, group in groups.items()]
        charts.append(Chart(f"largest weight of a row, {name}", "number of keys", lines, is_log_x=True))
    return plot_charts(charts, title="What the largest weight is depends on how many keys there are")


def _curve(rows: Sequence[Record], place: str, measure: str) -> tuple[list[float], ...]:
    spread = measure.removesuffix("_median")
    names = (place, measure, f"{spread}_low", f"{spread}_high")
    return tuple([float(row[name]) for row in rows] for name in names)


def _maps() -> Figure:
    """Draw the weights of the same random queries and keys with and without the scale."""
    seeded = torch.Generator().manual_seed(0)
    Q, K = torch.randn(2, _MAP_KEYS, _MAP_WIDTH, generator=seeded)
    scaled, plain = (attention(Q, K, K, scale=scale)[1] for scale in (True, False))
    return plot_scale_comparison(scaled, plain, title=f"The same random queries and keys, d_k = {_MAP_WIDTH}")
