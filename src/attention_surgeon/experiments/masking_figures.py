"""The figures of the masking experiment: losses on the way, losses at the end, and where predictions look."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from attention_surgeon.experiments.result import Record, Records
from attention_surgeon.plots import Bars, Chart, Line, plot_charts, plot_fields

_MEASURES = {"training_bits": "training", "held_out_bits": "unseen text, read", "writing_bits": "unseen text, written"}


def draw_masking(
    records: Records, tables: Mapping[str, Records], leaks: Mapping[str, list[list[float]]]
) -> dict[str, Figure]:
    """Return the figures by name."""
    levels = {row["baseline"]: row["bits"] for row in tables["baselines"]}
    return {
        "losses": _losses(records, tables["losses"], levels),
        "leak_map": plot_fields(
            {
                f"mask: {row['model']}\n{row['future_share']:.0%} ahead": np.array(leaks[row["model"]])
                for row in records
            },
            title="Where each prediction looks: above the diagonal lies what it should not know",
            row_name="position i, whose next character is predicted",
            column_name="position j, which is read",
            label="|d prediction i / d input j|, share of its row",
        ),
    }


def _losses(records: Records, losses: Records, levels: Mapping[str, float]) -> Figure:
    names = [row["model"] for row in records]
    return plot_charts(
        [
            Chart(
                "training loss\n(bits per character)", "step", [_curve(name, losses, "bits") for name in names], levels
            ),
            Chart(
                "loss on unseen text, read under\nthe same mask",
                "step",
                [_curve(name, losses, "held_out_bits") for name in names],
                levels,
            ),
            Bars(
                "at the end",
                names,
                {told: [row[measure] for row in records] for measure, told in _MEASURES.items()},
                levels,
            ),
        ],
        title="The same model under three masks",
    )


def _curve(name: str, losses: Records, measure: str) -> Line:
    rows: list[Record] = [row for row in losses if row["model"] == name and row[measure] is not None]
    return Line(name, [row["step"] for row in rows], [row[measure] for row in rows])
