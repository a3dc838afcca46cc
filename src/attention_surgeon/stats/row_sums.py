"""The seam between rows and numbers: every statistic as sums over rows that can be added up strip by strip.

A statistic of a head is a mean over its rows (a maximum, a count), so nobody needs all rows at once:

    sums = RowSums.zeros((*batch, heads), num_keys, ...)
    for each strip of query rows:
        add_strip(sums, Strip(weights, ...), options)     weights: (*batch, heads, r, c), in the working precision
    statistics = finish(sums)                             in stats/head_statistics.py

`head_statistics` walks dense weights like this. Who has only queries and keys makes the weights of one strip, adds it,
and forgets it; or, for speed, adds up itself what it has found in another way, as `stats/scan` does. Either way the
statistics are `RATIOS` of these sums, and `add_strip` says what each must hold. Similarity between heads needs all
heads of a strip at once: `RowSums.gram` is None where they come one by one.

A strip may leave out keys at both ends: `first_key` says which key its first column is. Keys outside are hidden.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from attention_surgeon.ops import working_dtype

CELLS_AT_ONCE = 1 << 22
"""How many weights are looked at together: 32 MiB in float64."""


@final
@dataclass(frozen=True, eq=False)
class Repeats:
    """Where tokens repeat: known from the tokens, or from the offset at which everything repeats.

    Attributes:
        tokens: Integers `(n_k,)`, or `(*batch, 1, n_k)` where sequences differ; None: `offset` tells.
        offset: After how many positions everything comes again; None: `tokens` tell.
    """

    tokens: Tensor | None = None
    offset: int | None = None

    def targets(self, positions: Tensor, keys: Tensor) -> Tensor:
        """Return which cells are looked for.

        Args:
            positions: `(r,)`, where each query stands among the keys.
            keys: `(c,)`, consecutive keys.

        Returns:
            Boolean `(r, c)`, or `(*batch, 1, r, c)`: True where the key before k holds the query's token, k before p.

        >>> import torch
        >>> Repeats(tokens=torch.tensor([3, 1, 2, 3])).targets(torch.tensor([3]), torch.arange(4))
        tensor([[False,  True, False, False]])
        """
        is_earlier = keys < positions[:, None]
        if self.tokens is None:
            assert self.offset is not None
            return is_earlier & (keys == positions[:, None] - self.offset + 1) & (keys > 0)
        mine = self.tokens[..., positions.clamp(min=0)]
        before = self.tokens[..., (keys - 1).clamp(min=0)]
        return is_earlier & (keys > 0) & (mine[..., :, None] == before[..., None, :])


@final
@dataclass(frozen=True)
class StatisticsOptions:
    """What a reader may choose; checked by the public functions.

    Attributes:
        window: How far away a key may be and still be near; 0 is the position itself.
        threshold: Below which weight a visible cell counts as sparse.
        repeats: Where the tokens repeat, for the induction score; None: it is not measured.
    """

    window: int = 1
    threshold: float = 0.01
    repeats: Repeats | None = None


@final
@dataclass
class RowSums:
    """Sums over rows, each `(*batch, heads)` unless it says otherwise. Rows without weight count in `num_empty` alone.

    Attributes:
        num_rows: How many rows counted; integer, as all that start with `num_`.
        num_empty: How many rows have no weight.
        num_choices: How many rows counted that see more than one key.
        num_with_previous: How many rows counted whose position has one before it.
        num_with_next: How many rows counted whose position has one after it.
        num_repeated: How many rows counted that see a key which follows an earlier occurrence of their token.
        num_cells: How many cells of counted rows are visible.
        num_small: How many of these are below the threshold.
        entropy: Σ_q H_q.
        entropy_share: Σ_q H_q / log m_q over rows with m_q > 1.
        effective_keys: Σ_q exp H_q.
        largest: The largest weight so far; no sum.
        row_largest: Σ_q max_k w_qk.
        own: Σ_q w_qk with k = p_q.
        previous: Σ_q w_qk with k = p_q - 1.
        next: Σ_q w_qk with k = p_q + 1.
        first: Σ_q w_q0.
        near: Σ w_qk with |p_q - k| <= window.
        far: Σ w_qk with |p_q - k| > window.
        distance: Σ w_qk |p_q - k|.
        even: Σ min(w_qk, 1 / m_q) over visible cells.
        induction: Σ w_qk over the keys that induction looks for.
        received: `(*batch, heads, n_k)`, Σ_q w_qk.
        gram: `(*batch, heads, heads)`, Σ_qk a_qk b_qk for each two heads; None: not measured.
    """

    num_rows: Tensor
    num_empty: Tensor
    num_choices: Tensor
    num_with_previous: Tensor
    num_with_next: Tensor
    num_repeated: Tensor
    num_cells: Tensor
    num_small: Tensor
    entropy: Tensor
    entropy_share: Tensor
    effective_keys: Tensor
    largest: Tensor
    row_largest: Tensor
    own: Tensor
    previous: Tensor
    next: Tensor
    first: Tensor
    near: Tensor
    far: Tensor
    distance: Tensor
    even: Tensor
    induction: Tensor
    received: Tensor
    gram: Tensor | None

    @classmethod
    def zeros(
        cls,
        leading: Sequence[int],
        num_keys: int,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
        with_gram: bool = False,
    ) -> "RowSums":
        """Return the sums over no rows; `leading` is `(*batch, heads)`."""
        counts = {name: torch.zeros(tuple(leading), dtype=torch.int64, device=device) for name in COUNTS}
        sums = {name: torch.zeros(tuple(leading), dtype=dtype, device=device) for name in SUMS}
        received = torch.zeros(*leading, num_keys, dtype=dtype, device=device)
        gram = torch.zeros(*leading, leading[-1], dtype=dtype, device=device) if with_gram else None
        return cls(**counts, **sums, received=received, gram=gram)


COUNTS = (
    "num_rows",
    "num_empty",
    "num_choices",
    "num_with_previous",
    "num_with_next",
    "num_repeated",
    "num_cells",
    "num_small",
)
"""Fields of `RowSums` that count, one number for each head."""

SUMS = (
    "entropy",
    "entropy_share",
    "effective_keys",
    "largest",
    "row_largest",
    "own",
    "previous",
    "next",
    "first",
    "near",
    "far",
    "distance",
    "even",
    "induction",
)
"""Fields of `RowSums` that are sums of weights or of what is made of them."""

RATIOS = {
    "entropy": ("entropy", "num_rows"),
    "entropy_share": ("entropy_share", "num_choices"),
    "effective_keys": ("effective_keys", "num_rows"),
    "mean_max_attention": ("row_largest", "num_rows"),
    "diagonal_mass": ("own", "num_rows"),
    "previous_mass": ("previous", "num_with_previous"),
    "next_mass": ("next", "num_with_next"),
    "first_mass": ("first", "num_rows"),
    "local_mass": ("near", "num_rows"),
    "global_mass": ("far", "num_rows"),
    "local_vs_global": ("near", "far"),
    "mean_distance": ("distance", "num_rows"),
    "sparsity": ("num_small", "num_cells"),
    "evenness": ("even", "num_rows"),
    "induction": ("induction", "num_repeated"),
}
"""Each statistic that is the ratio of two sums over rows, with the fields of `RowSums` above and below."""


@final
@dataclass(frozen=True)
class Strip:
    """The weights of some query rows.

    Attributes:
        weights: `(*batch, heads, r, c)`, in the working precision, 0 in hidden cells and empty rows.
        positions: `(r,)`, where each query stands among the keys; below 0 if it stands before the first.
        first_key: Which key the first column is.
        allowed: Boolean, broadcasts to `weights`, True = may attend; None: every key of the strip is visible.
    """

    weights: Tensor
    positions: Tensor
    first_key: int = 0
    allowed: Tensor | None = None

    @property
    def keys(self) -> Tensor:
        """`(c,)`, the key of each column."""
        num_columns = self.weights.shape[-1]
        return torch.arange(self.first_key, self.first_key + num_columns, device=self.weights.device)

    def num_visible(self) -> Tensor:
        """How many keys each row may see, broadcasts to `(*batch, heads, r)`."""
        if self.allowed is None:
            return torch.tensor(self.weights.shape[-1], device=self.weights.device)
        return self.allowed.sum(-1)


def add_strip(sums: RowSums, strip: Strip, options: StatisticsOptions) -> None:
    """Add the rows of a strip to `sums`, in place."""
    has_weight = strip.weights.sum(-1) > 0
    sums.num_rows += has_weight.sum(-1)
    sums.num_empty += (~has_weight).sum(-1)
    _add_spread(sums, strip, has_weight)
    _add_cells(sums, strip, has_weight, options.threshold)
    _add_places(sums, strip, has_weight, options.window)
    if options.repeats is not None:
        _add_induction(sums, strip, has_weight, options.repeats)
    last_key = strip.first_key + strip.weights.shape[-1]
    sums.received[..., strip.first_key : last_key] += strip.weights.sum(-2)
    if sums.gram is not None:
        flat = strip.weights.flatten(-2)
        sums.gram += flat @ flat.mT  # (..., h, rc) @ (..., rc, h) -> (..., h, h)


def _add_spread(sums: RowSums, strip: Strip, has_weight: Tensor) -> None:
    """Entropies and largest weights; a row without weight has entropy 0, and must not count as one effective key."""
    entropy = torch.special.entr(strip.weights).sum(-1)  # entr(w) = -w log w, 0 at 0
    num_visible = strip.num_visible().expand_as(entropy)
    has_choice = has_weight & (num_visible > 1)
    most = num_visible.to(entropy.dtype).log().masked_fill(~has_choice, 1.0)
    largest = strip.weights.amax(-1)
    sums.num_choices += has_choice.sum(-1)
    sums.entropy += entropy.sum(-1)
    sums.entropy_share += (entropy / most).masked_fill(~has_choice, 0.0).sum(-1)
    sums.effective_keys += entropy.exp().masked_fill(~has_weight, 0.0).sum(-1)
    sums.row_largest += largest.sum(-1)
    sums.largest = torch.maximum(sums.largest, largest.amax(-1))


def _add_cells(sums: RowSums, strip: Strip, has_weight: Tensor, threshold: float) -> None:
    """Count visible cells, and the small ones; and how much of each row lies under the even weights."""
    num_visible = strip.num_visible().expand_as(has_weight)
    is_small = strip.weights < threshold
    if strip.allowed is not None:
        is_small = is_small & strip.allowed
    even = 1.0 / num_visible.clamp(min=1).to(strip.weights.dtype)
    sums.num_cells += num_visible.masked_fill(~has_weight, 0).sum(-1)
    sums.num_small += is_small.sum(-1).masked_fill(~has_weight, 0).sum(-1)
    sums.even += strip.weights.minimum(even[..., None]).sum((-2, -1))


def _add_places(sums: RowSums, strip: Strip, has_weight: Tensor, window: int) -> None:
    """Weights by where the key stands: here, before, after, near, far; and how far away; and the first key."""
    weights, last = strip.weights, sums.received.shape[-1] - 1
    offset = strip.keys - strip.positions[:, None]
    distance = offset.abs()
    is_near = distance <= window
    kinds = torch.stack([offset == 0, offset == -1, offset == 1, is_near, ~is_near]).to(weights.dtype)
    kinds = torch.cat([kinds, distance[None].to(weights.dtype)]).flatten(1)
    found = weights.flatten(-2) @ kinds.mT  # (..., h, rc) @ (rc, 6) -> (..., h, 6): one pass for all six
    for total, each in zip(
        (sums.own, sums.previous, sums.next, sums.near, sums.far, sums.distance), found.unbind(-1), strict=True
    ):
        total += each
    sums.num_with_previous += (has_weight & (strip.positions > 0)).sum(-1)
    sums.num_with_next += (has_weight & (strip.positions >= -1) & (strip.positions < last)).sum(-1)
    if strip.first_key == 0:
        sums.first += weights[..., 0].sum(-1)


def _add_induction(sums: RowSums, strip: Strip, has_weight: Tensor, repeats: Repeats) -> None:
    """What goes to the keys after earlier occurrences of each row's token."""
    wanted = repeats.targets(strip.positions, strip.keys)
    if strip.allowed is not None:
        wanted = wanted & strip.allowed
    found = has_weight & wanted.any(-1)
    sums.num_repeated += found.sum(-1)
    sums.induction += strip.weights.masked_fill(~wanted, 0.0).sum((-2, -1))


def strips_of(weights: Tensor, visible: Tensor | None) -> Iterator[Strip]:
    """Yield the rows of dense weights, some at a time, in the working precision; rows without visible keys as zeros."""
    *leading, num_queries, num_keys = weights.shape
    at_once = max(1, CELLS_AT_ONCE // (math.prod(leading) * num_keys))
    positions = torch.arange(num_keys - num_queries, num_keys, device=weights.device)
    for start in range(0, num_queries, at_once):
        rows = slice(start, start + at_once)
        some = weights[..., rows, :].detach().to(working_dtype(weights.dtype, weights.device))
        allowed = None
        if visible is not None:
            allowed = visible.expand_as(weights)[..., rows, :]
            some = some.masked_fill(~allowed.any(-1, keepdim=True), 0.0)
        yield Strip(some, positions[rows], allowed=allowed)
