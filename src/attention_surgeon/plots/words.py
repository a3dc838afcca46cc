"""What a figure shows, in words, for those who do not see it."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def title_of(figure: Figure) -> str:
    """Return the title above everything on one line, or that of its first part that has one, or nothing."""
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    return next((_one_line(title) for title in titles if title), "")


def describe_figure(figure: Figure) -> str:
    """Return title, parts with the names of their axes, and legend, as sentences.

    >>> from attention_surgeon.plots import Chart, Line, plot_charts
    >>> describe_figure(plot_charts([Chart("loss", "step", [Line("causal", [1, 2], [3.0, 2.0])])], title="Training"))
    'Training. Part 1: loss, x: step. Legend: causal.'
    """
    parts = [_describe_axes(axes) for axes in figure.axes]
    told = [f"Part {number}: {part}" for number, part in enumerate(filter(None, parts), start=1)]
    legend = "; ".join(_one_line(text.get_text()) for legend in figure.legends for text in legend.get_texts())
    title = title_of(figure)
    sentences = [title, *told, f"Legend: {legend}" if legend else ""]
    return " ".join(f"{sentence.rstrip('.')}." for sentence in sentences if sentence)


def _describe_axes(axes: Axes) -> str:
    """Return the title of one chart or map and the names of its axes; of a bar of colours, what they mean."""
    title, below, beside = (_one_line(text) for text in (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()))
    if not title and not below:
        return f"colours for {beside}" if beside else ""
    return ", ".join(filter(None, [title, f"x: {below}" if below else "", f"y: {beside}" if beside else ""]))


def _one_line(text: str) -> str:
    return " ".join(text.split())
