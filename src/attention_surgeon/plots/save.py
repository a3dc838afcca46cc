"""Write a figure to a file: whole or not at all, and the same bytes every time.

An SVG also says in words what it shows: its title, and as its description the charts and what is in them.
"""

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.files import write_file
from attention_surgeon.plots.style import saving
from attention_surgeon.plots.words import describe_figure, title_of
from attention_surgeon.require import kind_of

_DOTS_PER_INCH = {".png": 150, ".svg": 300, ".pdf": 300}  # in SVG and PDF only the cells are dots

_PRINT: Mapping[str, Callable[[Figure], Callable[..., None]]] = {
    ".png": lambda figure: FigureCanvasAgg(figure).print_png,
    ".svg": lambda figure: FigureCanvasSVG(figure).print_svg,
    ".pdf": lambda figure: FigureCanvasPdf(figure).print_pdf,
}


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write `figure` to `path` as PNG, SVG or PDF, as the suffix says, and return the path.

    The file appears complete or not at all: whatever goes wrong, an older file of that name stays as it was.

    Args:
        figure: Any matplotlib figure.
        path: Ends in `.png` (150 dots per inch), `.svg` or `.pdf`. Its folder must exist: a mistyped one is not made.

    Raises:
        ArgumentTypeError: `figure` is no figure, or `path` no path.
        OptionError: another suffix.
        FileAccessError: the folder is missing, not writable or full, or `path` is a folder.

    >>> import tempfile
    >>> from matplotlib.figure import Figure
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_figure(Figure(), f"{folder}/empty.svg").stat().st_size > 0
    True
    """
    target = _check(figure, path)
    write_file(target, figure_bytes(figure, target.suffix.lower()[1:]))
    return target


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return what `save_figure` writes: the file as "png", "svg" or "pdf"."""
    content = io.BytesIO()
    suffix = f".{kind}"
    with saving():
        if isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine):
            _print(figure, content, suffix)
        else:
            figure.savefig(content, format=kind, dpi=_DOTS_PER_INCH[suffix], metadata=_metadata(figure, suffix))
    return content.getvalue()


def _print(figure: Figure, content: io.BytesIO, suffix: str) -> None:
    """Write a figure that is laid out; `savefig` would draw it twice, the first time for the layout alone."""
    canvas, dots_per_inch = figure.canvas, figure.dpi
    try:
        figure.dpi = _DOTS_PER_INCH[suffix]
        _PRINT[suffix](figure)(content, metadata=_metadata(figure, suffix))
    finally:
        figure.dpi = dots_per_inch
        figure.set_canvas(canvas)


def _metadata(figure: Figure, suffix: str) -> dict[str, str | None]:
    """Return what is said about a figure in its file; no date, so that the same figure gives the same bytes."""
    if suffix == ".svg":
        return {"Date": None, "Title": title_of(figure), "Description": describe_figure(figure)}
    return {"CreationDate": None} if suffix == ".pdf" else {}


def _check(figure: Figure, path: str | os.PathLike[str]) -> Path:
    if not isinstance(figure, Figure):
        raise ArgumentTypeError(
            f"save_figure: figure is {kind_of(figure)}, expected a matplotlib Figure such as the plots return."
        )
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(f"save_figure: path is {kind_of(path)}, expected a string or a Path.")
    target = Path(path)
    if target.suffix.lower() not in _DOTS_PER_INCH:
        ending = f"the suffix {target.suffix}" if target.suffix else "no suffix"
        raise OptionError(f"save_figure: {target} has {ending}; the choices are .png, .svg and .pdf.")
    return target
