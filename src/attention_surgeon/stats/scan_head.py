"""One head as a scan works on it: scaled queries, centred keys, and in which precision each row is safe."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, final

import torch
from torch import Tensor

from attention_surgeon.stats.scan_mask import HeadMask
from attention_surgeon.stats.scan_plan import RowGroup
from attention_surgeon.stats.scan_repeats import RepeatIndex

Operands: TypeAlias = tuple[Tensor, Tensor, Tensor | None]

SAFE_SCORE = 40.0
"""Scores up to this size need no maximum taken off in float32: e^40 times a million keys is below its largest number,
e^-40 is no denormal, and a score is known to 40 · 2^-24, so a weight to a few parts in a million."""


@final
@dataclass(frozen=True, eq=False)
class ScanHead:
    """What is known of one head before its rows are looked at.

    The softmax does not change if all scores of a row move alike. So the mean of the keys is taken off every key: that
    moves a row by one number, and makes scores small where keys share a direction, as they do in trained models.

    Attributes:
        query: `(n_q, d)`, finite.
        key: `(n_k, d)`, finite.
        value: `(n_k, d_v)`, finite, or None.
        mask: Who may attend to whom.
        scale: What scores are multiplied by.
        largest_bias: The largest size of what the mask adds.
        repeats: Where the tokens repeat; None: induction is not measured.
    """

    query: Tensor
    key: Tensor
    value: Tensor | None
    mask: HeadMask
    scale: float
    largest_bias: float = 0.0
    repeats: RepeatIndex | None = None

    @property
    def num_queries(self) -> int:
        """n_q."""
        return self.query.shape[0]

    @property
    def num_keys(self) -> int:
        """n_k."""
        return self.key.shape[0]

    def positions(self, rows: Tensor) -> Tensor:
        """Return where queries stand among the keys: the last query at the last key."""
        return rows + (self.num_keys - self.num_queries)

    def is_safe(self, group: RowGroup) -> bool:
        """Say whether no score of these rows can be larger than `SAFE_SCORE`, by Cauchy and Schwarz."""
        if self.query.dtype == torch.float64:
            return False
        longest = self._query_lengths[group.rows].max().item()
        return longest * self._longest_key + self.largest_bias <= SAFE_SCORE

    @cached_property
    def fast(self) -> Operands:
        """Query times scale, key less the mean, and value, in float32."""
        query, key, value = self.exact
        return query.float(), key.float(), None if value is None else value.float()

    @cached_property
    def exact(self) -> Operands:
        """The same in float64."""
        key = self.key.double()
        return self.query.double() * self.scale, key - key.mean(0), None if self.value is None else self.value.double()

    @cached_property
    def _query_lengths(self) -> Tensor:
        return self.fast[0].norm(dim=-1)

    @cached_property
    def _longest_key(self) -> float:
        return self.fast[1].norm(dim=-1).max().item()
