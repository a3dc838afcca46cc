"""One self-contained HTML file: the program, the style and the data of a page, and nothing from elsewhere."""

import base64
import hashlib
import html
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.files import write_file
from attention_surgeon.require import kind_of
from attention_surgeon.viewer.bundle import program, style, template
from attention_surgeon.viewer.subject import Subject

_PICTURES = (".png", ".svg", ".pdf")
_HEIGHT = 760
"""Of the frame in a notebook, in CSS pixels."""


@final
class Page:
    """A page that shows attention; made by `view` and `compare`.

    Attributes:
        document: What the page shows, as plain data.
    """

    def __init__(self, document: dict[str, Any], subjects: Sequence[Subject] = ()) -> None:
        """Keep the document and the weights; the HTML, or a picture, is made when it is asked for."""
        self.document = document
        self._subjects = subjects

    def __repr__(self) -> str:
        """Return the title and the number of maps."""
        return f"Page({self.title!r}, {self.num_maps} maps)"

    @property
    def num_maps(self) -> int:
        """How many maps it shows, of all stacks; of a comparison those of one side."""
        return sum(len(each["sides"][0]["maps"]) for each in (self.document, *self.document["others"]))

    @property
    def title(self) -> str:
        """What stands above everything."""
        return self.document["title"]

    def html(self) -> str:
        """Return the whole page as text."""
        code, css = program(), style()
        policy = (
            f"default-src 'none'; script-src {hash_of(code)}; style-src {hash_of(css)}; img-src data: blob:; "
            f"base-uri 'none'; form-action 'none'"
        )
        parts = {
            "policy": policy,
            "title": html.escape(_on_one_line(self.document["title"])),
            "style": css,
            "data": as_text(self.document),
            "program": code,
        }
        page = template()
        for name, part in parts.items():
            before, mark, after = page.partition(f"<!--{name}-->")
            assert mark, name
            page = before + part + after
        return page

    def save(self, path: str | os.PathLike[str], *, place: Sequence[int | str] = ()) -> Path:
        """Write the page to a file that ends in .html, or a picture of its maps to .png, .svg or .pdf.

        Args:
            path: Where; a file that stands there is replaced.
            place: For a picture: which maps it shows, at most 64: `(0,)` is layer 0, `(0, 3)` its head 3.

        Returns:
            The path.

        Raises:
            ArgumentTypeError, OptionError: no path; another ending; no map, or too many; a comparison.
            FileAccessError: the file cannot be written.
        """
        target = _checked(path)
        if target.suffix.lower() in _PICTURES:
            from attention_surgeon.viewer.picture import save_picture  # here, because it loads matplotlib

            if self.document["comparison"] is not None:
                raise OptionError(
                    f"Page.save: {target} would show a comparison, which needs a page; write it to an .html file."
                )
            save_picture(self._subjects, self.title, place, target)
        else:
            write_file(target, self.html())
        return target

    def _repr_html_(self) -> str:
        """Return a frame that holds the page, apart from the notebook around it."""
        inside = html.escape(self.html())
        name = html.escape(_on_one_line(self.document["title"]))
        return (
            f'<iframe title="{name}" srcdoc="{inside}" sandbox="allow-scripts allow-downloads" '
            f'style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
        )


def as_text(document: Any) -> str:
    r"""Return data as JSON that cannot leave a script element, whatever strings it holds.

    >>> as_text({"token": "</script>"})
    '{"token":"\\u003c/script>"}'
    """
    return json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def hash_of(content: str) -> str:
    """Return how a policy names a script or a style that may stand in the page."""
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _on_one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _checked(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(f"Page.save: path is {kind_of(path)}, expected a string or a Path.")
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm", *_PICTURES):
        ending = f"the suffix {target.suffix}" if target.suffix else "no suffix"
        raise OptionError(f"Page.save: {target} has {ending}; a page ends in .html, a picture in .png, .svg or .pdf.")
    return target
