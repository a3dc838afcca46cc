"""Judging functions that make a mask by what their name and text say that it is: a window, a prefix, documents."""

from typing import Any

import numpy as np

from attention_surgeon.diagnose.mask_functions import diagnose_mask
from attention_surgeon.diagnose.observed import words_of
from attention_surgeon.repair.judge import Judge, Probe
from attention_surgeon.testing.steadiness import surroundings_kept
from attention_surgeon.verdict import Verdict

_UNNAMED = Verdict("unjudged", reason="Its name does not say which mask it makes.")


class MaskJudge(Judge):
    """Judges candidates as the first function was judged, beside the mask that its name promises."""

    def __init__(self, target: Any) -> None:
        """Judge the function that is to be mended."""
        self._says = words_of(target)
        self.first = self._judged(target)

    @property
    def is_named(self) -> bool:
        """Whether the mistake is known by name; there is never more than one."""
        return bool(self.first.names)

    def probe(self, target: Any, *, closely: bool) -> Probe | None:
        """Make its mask; how much of it is wrong is told only closely."""
        found = self._judged(target)
        if found.status == "right":
            return Probe(0)
        if not closely or found.difference is None:
            return None
        yours, expected = found.difference.yours, found.difference.expected
        is_comparable = yours is not None and expected is not None and yours.shape == expected.shape
        return Probe(1, 1, float(np.mean(yours != expected)) if is_comparable else 1.0)

    def is_right(self, target: Any) -> bool:
        """Whether it is the mask that its name promises, and True means in it what its text says."""
        return self._judged(target).status == "right"

    def names_left(self, target: Any) -> tuple[str, ...]:
        """Return what is wrong with the mask, by name."""
        return self._judged(target).names

    def holds(self, target: Any, draw: int = 0) -> bool:
        """Whether it is that mask of other sizes and other sequences too."""
        return self._judged(target, 1 + draw).status == "right"

    def _judged(self, target: Any, draw: int = 0) -> Verdict:
        with surroundings_kept():
            return diagnose_mask(target, self._says, draw) or _UNNAMED
