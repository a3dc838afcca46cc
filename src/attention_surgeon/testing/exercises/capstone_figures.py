"""The capstone's figures: the map of a sentence, and what the scale does to the gradient."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from attention_surgeon.testing.exercises.explained import ExplainedError
from attention_surgeon.testing.exercises.figures import drawn, other_axes, seen_maps
from attention_surgeon.testing.exercises.maps import check_maps


def check_sample_map(function: Callable[..., Any]) -> None:
    """Judge `draw_sample()`: the heat map of a sentence of one's own.

    Raises:
        ExplainedError: it is no map of weights with tokens, named axes and colours from 0.
    """
    __tracebackhide__ = True
    figure = drawn(function)
    maps = seen_maps(figure)
    if not maps:
        check_maps(maps, torch.zeros(1, 2, 2), ("", ""))
    seen = maps[0]
    sums = seen.numbers.sum(-1)
    if not np.allclose(sums, 1.0, atol=1e-4):
        is_turned = np.allclose(seen.numbers.sum(-2), 1.0, atol=1e-4)
        raise ExplainedError(
            "map_transposed" if is_turned else "rows_do_not_sum_to_one",
            f"The rows of your map sum to {sums.min():.2f} to {sums.max():.2f}.",
            question="What should the weights of one query sum to, and is a query a row or a column here?",
            pointer="Rows are queries; show the weights after the softmax over the keys.",
            fix="axes.imshow(weights, vmin=0, vmax=1)", step="map", yours=seen.numbers,
        )  # fmt: skip
    if min(seen.numbers.shape) < 3 or np.ptp(seen.numbers) < 1e-3:
        raise ExplainedError(
            "nothing_to_see", "Your map has fewer than three tokens, or all its weights are alike.",
            question="What should a reader of this figure learn from it?",
            pointer="Take a sentence of some words, and vectors that differ.", fix="",
        )  # fmt: skip
    check_maps(maps[:1], torch.from_numpy(seen.numbers)[None], [*filter(None, seen.columns)] or ["a token"])


def check_scaling_plot(function: Callable[..., Any]) -> None:
    """Judge `plot_scaling(records)`: one line with and one without the scale, over d_k, each with a name.

    Raises:
        ExplainedError: the figure does not show these numbers.
    """
    __tracebackhide__ = True
    records = [
        {"d_k": d_k, "scaled": scaled, "gradient": (0.31 if scaled else 1.7 / d_k) + d_k * 1e-5}
        for d_k in (8, 32, 128, 512)
        for scaled in (True, False)
    ]
    figure = drawn(function, records)
    _check_lines(figure, records)


def _check_lines(figure: Any, records: Sequence[Mapping[str, Any]]) -> None:
    lines = {_points(line): line for axes in other_axes(figure) for line in axes.lines if len(line.get_xdata())}
    missing = [scaled for scaled in (True, False) if _expected_points(records, scaled) not in lines]
    if missing:
        raise _plot_error(
            "line_missing", f"No line shows the numbers {'with' if missing[0] else 'without'} the scale.",
            "How many lines should the figure have, and how many points has each?",
            "Draw the records with scaled=True and those with scaled=False apart; x is d_k, y the gradient.",
            'axes.plot(widths, gradients, label="with the scale")',
        )  # fmt: skip
    axes = next(iter(lines.values())).axes
    if axes.get_legend() is None:
        raise _plot_error(
            "legend_missing", "Nothing says which line is which.", "Could a colour-blind reader tell?",
            "Give each line a label and show the legend.", "axes.legend()",
        )  # fmt: skip
    if not axes.get_xlabel().strip() or not axes.get_ylabel().strip():
        raise _plot_error(
            "axis_names_missing", "An axis has no name.", "What stands on the x axis, and in which unit?",
            "Name both.", 'axes.set_xlabel("d_k")',
        )  # fmt: skip
    if axes.get_xscale() != "log":
        raise _plot_error(
            "not_logarithmic", "The widths 8, 32 and 128 crowd at the left edge.",
            "Each width is four times the one before. Which scale shows equal steps as equal?",
            "Use a logarithmic scale for d_k.", 'axes.set_xscale("log", base=2)',
        )  # fmt: skip


def _points(line: Any) -> tuple[tuple[float, float], ...]:
    pairs = zip(line.get_xdata(), line.get_ydata(), strict=True)
    return tuple(sorted((round(float(x), 6), round(float(y), 6)) for x, y in pairs))


def _expected_points(records: Sequence[Mapping[str, Any]], scaled: bool) -> tuple[tuple[float, float], ...]:
    chosen = [record for record in records if record["scaled"] == scaled]
    return tuple(sorted((float(record["d_k"]), round(record["gradient"], 6)) for record in chosen))


def _plot_error(name: str, symptom: str, question: str, pointer: str, fix: str) -> ExplainedError:
    return ExplainedError(name, symptom, question=question, pointer=pointer, fix=fix, step="figure")
