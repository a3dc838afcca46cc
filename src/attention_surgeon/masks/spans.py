"""Which run of keys each query sees, where it is one: all that most masks say, in 2 n numbers."""

from typing import NamedTuple

import torch
from torch import Tensor


class Spans(NamedTuple):
    """For each query the keys from `start` up to, not with, `stop`; none where both are equal.

    Attributes:
        start: int64 `(*batch, n_q or 1)`.
        stop: The same shape, or one that broadcasts with it; nowhere below `start`.
    """

    start: Tensor
    stop: Tensor

    def common(self, other: "Spans") -> "Spans":
        """Return what is in both.

        >>> Spans(torch.tensor([0, 3]), torch.tensor([4, 5])).common(Spans(torch.tensor([2]), torch.tensor([3])))
        Spans(start=tensor([2, 3]), stop=tensor([3, 3]))
        """
        start = torch.maximum(self.start, other.start)
        return Spans(start, torch.maximum(torch.minimum(self.stop, other.stop), start))

    def joined(self, other: "Spans") -> "Spans | None":
        """Return what is in either; None where that is two runs for some query.

        >>> Spans(torch.tensor([0]), torch.tensor([2])).joined(Spans(torch.tensor([2]), torch.tensor([5])))
        Spans(start=tensor([0]), stop=tensor([5]))
        >>> Spans(torch.tensor([0]), torch.tensor([2])).joined(Spans(torch.tensor([3]), torch.tensor([5]))) is None
        True
        """
        is_apart = torch.maximum(self.start, other.start) > torch.minimum(self.stop, other.stop)
        if bool((is_apart & self._has_keys & other._has_keys).any()):
            return None
        start, stop = torch.minimum(self.start, other.start), torch.maximum(self.stop, other.stop)
        for one, another in ((self, other), (other, self)):
            start = torch.where(one._has_keys, start, another.start)
            stop = torch.where(one._has_keys, stop, another.stop)
        return Spans(start, stop)

    def rest(self, num_keys: int) -> "Spans | None":
        """Return all other keys; None where they lie on both sides for some query.

        >>> Spans(torch.tensor([0, 1]), torch.tensor([2, 4])).rest(4)
        Spans(start=tensor([2, 0]), stop=tensor([4, 1]))
        """
        is_first, is_last = self.start == 0, self.stop == num_keys
        if not bool((is_first | is_last | ~self._has_keys).all()):
            return None
        begins = self._has_keys & is_first
        start = torch.where(begins, self.stop, 0)
        return Spans(start, torch.where(begins | ~self._has_keys, num_keys, self.start))

    @property
    def _has_keys(self) -> Tensor:
        return self.stop > self.start


def spans_of_rows(cells: Tensor) -> Spans | None:
    """Return the spans of cells `(*batch, n_q, n_k)`, boolean; None where a row has its True in several runs.

    >>> spans_of_rows(torch.tensor([[True, True, False], [False, False, False]]))
    Spans(start=tensor([0, 0]), stop=tensor([2, 0]))
    """
    count = cells.sum(-1)
    start = cells.to(torch.uint8).argmax(-1)  # the first of the largest
    stop = torch.where(count > 0, cells.shape[-1] - cells.flip(-1).to(torch.uint8).argmax(-1), start)
    return Spans(start, stop) if bool((stop - start == count).all()) else None
