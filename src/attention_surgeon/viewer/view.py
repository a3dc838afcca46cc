"""From attention to a page: `view` for one, `compare` for before and after."""

from collections.abc import Sequence
from typing import Any

from attention_surgeon.viewer.document import document_of, side_of
from attention_surgeon.viewer.page import Page
from attention_surgeon.viewer.read import read


def view(
    what: Any,
    *,
    tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    title: str | None = None,
    max_megabytes: float = 5.0,
) -> Page:
    """Return a page."""
    subject = read(what, axes, "view")
    room = max_megabytes * 1e6 - 150_000
    side = side_of(subject, frozenset(), room, "view")
    return Page(document_of(title or "Attention", subject.axes, [side], None))
