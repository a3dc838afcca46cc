"""Let the reference show the examples of docstrings as code: each `>>>` block becomes a fence for mkdocstrings."""

import re
from typing import Any

import griffe

_BLOCK = re.compile(r"^>>> .*(?:\n(?!\s*$).+)*(?:\n\n(?=>>> ).*(?:\n(?!\s*$).+)*)*", re.MULTILINE)


class DoctestBlocks(griffe.Extension):
    """Fence every doctest that stands at the left edge of a docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = _BLOCK.sub(lambda match: f"```pycon\n{match[0]}\n```", obj.docstring.value)
