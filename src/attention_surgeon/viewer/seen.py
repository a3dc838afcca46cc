"""The picture that a vision model has read, in a page: its pixels, how it was cut, which positions are its patches."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from attention_surgeon.errors import ArgumentTypeError, OptionError, ShapeError
from attention_surgeon.require import kind_of
from attention_surgeon.viewer.subject import Subject

_LONGEST_SIDE, _QUALITY = 560, 88
_MOST_IN_FRONT = 16
"""A class token, one of distillation, and register tokens: more are something else."""


@final
@dataclass(frozen=True, eq=False)
class SeenPicture:
    """A picture that was cut into patches, row by row.

    Attributes:
        pixels: `(height, width, 3)`, whole numbers up to 255.
        rows: Patches from top to bottom.
        columns: Patches from left to right.
    """

    pixels: np.ndarray
    rows: int
    columns: int

    def num_in_front(self, count: int) -> int | None:
        """Return how many of `count` positions stand in front of the patches; None: these are not all its patches."""
        before = count - self.rows * self.columns
        return before if 0 <= before <= _MOST_IN_FRONT else None

    def names(self, count: int) -> tuple[str, ...]:
        """Return one name for each of `count` positions: what stands in front, then row and column of each patch."""
        before = self.num_in_front(count) or 0
        front = ("[CLS]", *(f"[{number}]" for number in range(1, before)))[:before]
        return (*front, *(f"{row},{column}" for row in range(self.rows) for column in range(self.columns)))

    def entry(self, count: int) -> dict[str, Any]:
        """Return the picture as the page's document holds it."""
        from PIL import Image  # here, because most pages show no picture

        image = Image.fromarray(self.pixels)
        image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        written = io.BytesIO()
        image.save(written, format="JPEG", quality=_QUALITY)
        return {
            "image": f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}",
            "width": image.width,
            "height": image.height,
            "rows": self.rows,
            "columns": self.columns,
            "inFront": self.num_in_front(count),
        }


def seen_picture(picture: Any, patches: Any, caller: str) -> SeenPicture | None:
    """Return a picture and how it was cut; None: there is none.

    Raises:
        ArgumentTypeError, ShapeError, OptionError: no picture, or only one of the two.
    """
    if picture is None and patches is None:
        return None
    if picture is None or patches is None:
        raise OptionError(f"{caller}: picture and patches=(rows, columns) belong together.")
    if not isinstance(picture, np.ndarray):
        raise ArgumentTypeError(f"{caller}: picture is {kind_of(picture)}, expected an array (height, width, 3).")
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3) or 0 in picture.shape:
        raise ShapeError(f"{caller}: picture has shape {picture.shape}, expected (height, width, 3).")
    are_two = isinstance(patches, Sequence) and len(patches) == 2
    if not are_two or not all(isinstance(each, int) and each > 0 for each in patches):
        raise OptionError(f"{caller}: patches is {patches!r}, expected how many rows and columns, such as (14, 14).")
    shown = np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture
    if shown.dtype != np.uint8:
        low, high = float(shown.min()), float(shown.max())
        shown = ((shown.astype(np.float64) - low) / ((high - low) or 1.0) * 255).round().astype(np.uint8)
    return SeenPicture(np.ascontiguousarray(shown), *patches)


def with_picture(subject: Subject, seen: SeenPicture) -> Subject:
    """Return the subject with a picture and names for its patches, where they are its queries and its keys."""
    n_q, n_k = subject.sizes
    if seen.num_in_front(n_k) is None or n_q != n_k:
        return subject
    names = seen.names(n_k)
    return replace(subject, picture=seen.entry(n_k), query_tokens=names, key_tokens=names)
