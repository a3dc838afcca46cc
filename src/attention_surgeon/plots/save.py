"""Write a figure to a file: whole or not at all, and the same bytes every time."""

import io
import os
from pathlib import Path

from matplotlib.figure import Figure

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.files import write_file
from attention_surgeon.plots.style import saving
from attention_surgeon.require import kind_of

# No date, so that the same figure gives the same bytes.
_METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_DOTS_PER_INCH = {".png": 150, ".svg": 300, ".pdf": 300}  # in SVG and PDF only the cells are dots


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
    suffix = target.suffix.lower()
    content = io.BytesIO()
    with saving():
        figure.savefig(content, format=suffix[1:], dpi=_DOTS_PER_INCH[suffix], metadata=_METADATA[suffix])
    write_file(target, content.getvalue())
    return target


def _check(figure: Figure, path: str | os.PathLike[str]) -> Path:
    if not isinstance(figure, Figure):
        raise ArgumentTypeError(
            f"save_figure: figure is {kind_of(figure)}, expected a matplotlib Figure such as the plots return."
        )
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(f"save_figure: path is {kind_of(path)}, expected a string or a Path.")
    target = Path(path)
    if target.suffix.lower() not in _METADATA:
        ending = f"the suffix {target.suffix}" if target.suffix else "no suffix"
        raise OptionError(f"save_figure: {target} has {ending}; the choices are .png, .svg and .pdf.")
    return target
