"""Which keys follow an earlier occurrence of a query's token, without comparing every two tokens."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.stats.row_sums import Repeats

Pairs = tuple[Tensor, Tensor]
"""Row numbers and keys, one of each for every pair."""


@final
@dataclass(frozen=True, eq=False)
class RepeatIndex:
    """The tokens of one sequence, in the order in which they are looked up; finds what `Repeats.targets` marks.

    Attributes:
        offset: After how many positions everything comes again; None: the tokens tell.
        token_at: `(n_k,)`, the tokens, numbered from 0.
        entries: `(n_k - 1,)`, for every key but the first the number of the token before it, times n_k, plus the key;
            increasing. So the keys that follow a token stand together, and in their order.
    """

    offset: int | None
    token_at: Tensor
    entries: Tensor

    @classmethod
    def of(cls, repeats: Repeats, place: tuple[int, ...], num_keys: int, device: torch.device) -> "RepeatIndex":
        """Return the index for the head at `place` in the leading axes."""
        if repeats.tokens is None:
            return cls(repeats.offset, *torch.zeros(2, 0, dtype=torch.int64, device=device))
        tokens = repeats.tokens
        if tokens.ndim > 1:  # (*batch, 1, n_k): every head of a sequence has the same
            sizes = tokens.shape[:-1]
            own = place[len(place) - len(sizes) :]
            tokens = tokens[tuple(0 if size == 1 else i for i, size in zip(own, sizes, strict=True))]
        token_at = tokens.unique(return_inverse=True)[1]
        keys = torch.arange(1, num_keys, device=device)
        return cls(None, token_at, (token_at[:-1] * num_keys + keys).sort().values)

    def pairs(self, positions: Tensor) -> Pairs:
        """Return every pair of a row and a key that the row looks for; `positions` `(r,)` says where the rows stand."""
        rows = torch.arange(len(positions), device=positions.device)
        if self.offset is not None:
            keys = positions - self.offset + 1
            return rows[keys > 0], keys[keys > 0]
        num_keys = len(self.token_at)
        begin = self.token_at[positions.clamp(min=0)] * num_keys
        first = torch.searchsorted(self.entries, begin)
        counts = torch.searchsorted(self.entries, begin + positions.clamp(min=0)) - first
        ends = counts.cumsum(0)
        place = torch.arange(int(ends[-1]), device=rows.device)  # place + first - (ends - counts) is the entry
        entry = place + (first - ends + counts).repeat_interleave(counts)
        return rows.repeat_interleave(counts), self.entries[entry] % num_keys
