"""How attention learns where its tokens stand: rotated queries and keys, or a bias that depends on the distance.

    rotary          q_i · k_j  becomes  (R_i q_i) · (R_j k_j), which depends on i - j only
    ALiBi           score_ij - slope_h · |i - j|
    relative bias   score_ij + table[j - i, h]

Each is a part of a `Circuit`. Positions are counted so that the last query stands at the last key, as with a cache.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.ops.operands import Operands

Layout: TypeAlias = Literal["halves", "pairs"]
"""Which two features turn together: i and i + size / 2 (`halves`), or 2 i and 2 i + 1 (`pairs`)."""


def leave_in_place(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return query, key and value as they are: this attention does not know where they stand."""
    return query, key, value


def add_no_bias(operands: Operands) -> Tensor | None:
    """Add nothing to the scores."""
    return None


def positions_of(num_queries: int, num_keys: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions of queries `(n_q,)` and keys `(n_k,)`, in dtype and on device of `like`.

    >>> positions_of(2, 3, torch.zeros(()))
    (tensor([1., 2.]), tensor([0., 1., 2.]))
    """
    keys = torch.arange(num_keys, dtype=like.dtype, device=like.device)
    queries = torch.arange(num_keys - num_queries, num_keys, dtype=like.dtype, device=like.device)
    return queries, keys


def spread_angles(angles: Float[Tensor, "*n half"], layout: Layout) -> Float[Tensor, "*n size"]:
    """Give each of two features that turn together their common angle: `a b` becomes `a b a b` or `a a b b`.

    >>> spread_angles(torch.tensor([1.0, 2.0]), "halves"), spread_angles(torch.tensor([1.0, 2.0]), "pairs")
    (tensor([1., 2., 1., 2.]), tensor([1., 1., 2., 2.]))
    """
    return torch.cat([angles, angles], dim=-1) if layout == "halves" else angles.repeat_interleave(2, dim=-1)


def quarter_turn(x: Float[Tensor, "*n size"], layout: Layout) -> Float[Tensor, "*n size"]:
    """Turn each pair of features by a right angle: `(first, second)` becomes `(-second, first)`.

    >>> quarter_turn(torch.tensor([1.0, 2.0, 3.0, 4.0]), "halves")
    tensor([-3., -4.,  1.,  2.])
    >>> quarter_turn(torch.tensor([1.0, 2.0, 3.0, 4.0]), "pairs")
    tensor([-2.,  1., -4.,  3.])
    """
    if layout == "halves":
        first, second = x.chunk(2, dim=-1)
        return torch.cat([-second, first], dim=-1)
    return torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)  # (..., half, 2) -> (..., size)


@dataclass(frozen=True)
class Rotary:
    """Rotary positions: queries and keys turn by an angle that grows with their position.

        x cos(p θ) + turned(x) sin(p θ),  θ_i = base^(-2 i / size)

    Attributes:
        layout: Which features turn together. LLaMA's weights in transformers are for `halves`, Meta's own and GPT-J's
            for `pairs`.
        base: How slowly the slowest pair turns.
        size: How many features turn, the first ones (partial rotary, GPT-NeoX); None: all.

    Source: Su et al. 2021, "RoFormer", equation 34.

    >>> q, k = torch.ones(3, 4), torch.ones(3, 4)
    >>> q, k, _ = Rotary()(q, k, k)
    >>> scores = q @ k.T
    >>> torch.allclose(scores[0, 1], scores[1, 2])      # one step apart, wherever they stand
    True
    """

    layout: Layout = "halves"
    base: float = 10_000.0
    size: int | None = None

    def __post_init__(self) -> None:
        """Refuse a layout that there is not."""
        if self.layout not in ("halves", "pairs"):
            raise OptionError(f"Rotary: layout is {self.layout!r}, expected 'halves' or 'pairs'.")

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn queries `(*batch, n_q, d)` and keys `(*batch, n_k, d)`; values stay.

        Raises:
            ShapeError: the number of features that turn is odd, or more than there are.
        """
        for_query, for_key = positions_of(query.shape[-2], key.shape[-2], query)
        return self.rotate(query, for_query), self.rotate(key, for_key), value

    def rotate(
        self, x: Float[Tensor, "*batch n d"], positions: Float[Tensor, " n"], *, angles: Layout | None = None
    ) -> Float[Tensor, "*batch n d"]:
        """Turn each row by the angles of its position.

        Args:
            x: Queries or keys.
            positions: Of the rows.
            angles: For which layout the angles are laid out; None: for the one in which the features turn.
        """
        size = self._turning(x)
        speeds = self.base ** (-torch.arange(0, size, 2, dtype=x.dtype, device=x.device) / size)
        laid_out = spread_angles(positions[:, None] * speeds, angles or self.layout)  # (n, half) -> (n, size)
        turning, rest = x[..., :size], x[..., size:]
        turned = turning * laid_out.cos() + quarter_turn(turning, self.layout) * laid_out.sin()
        return torch.cat([turned, rest], dim=-1)

    def _turning(self, x: Tensor) -> int:
        width = x.shape[-1]
        size = width if self.size is None else self.size
        if size % 2 or not 0 < size <= width:
            raise ShapeError(
                f"Rotary: {size} of {width} features cannot turn in pairs; "
                f"use a head size that is even, or Rotary(size={max(2, width // 2 * 2)})."
            )
        return size


def alibi_slopes(num_heads: int) -> list[float]:
    """Return how steeply the bias of each head falls with the distance, the first head's most.

    `2^(-8 h / heads)` for a power of two; otherwise those of the power of two below, then every other one of the next.

    Source: Press et al. 2021, "Train short, test long", section 3, and its published code.

    >>> alibi_slopes(4)
    [0.25, 0.0625, 0.015625, 0.00390625]
    >>> [round(slope, 4) for slope in alibi_slopes(3)]
    [0.0625, 0.0039, 0.25]
    """
    below = 2 ** int(math.log2(num_heads))
    slopes = [2.0 ** (-8 * head / below) for head in range(1, below + 1)]
    return slopes if below == num_heads else slopes + alibi_slopes(2 * below)[::2][: num_heads - below]


@dataclass(frozen=True)
class Alibi:
    """Attention with linear biases: what is far gets less, each head at its own rate: `-slope_h · |i - j|`.

    The heads are the axis in front of positions; without it there is one head.

    Source: Press et al. 2021, "Train short, test long".

    >>> from attention_surgeon.ops import Circuit
    >>> Q = K = torch.zeros(2, 3, 4)                    # two heads, three positions
    >>> Circuit(bias=Alibi()).attend(Q, K, torch.eye(3).expand(2, 3, 3))[1][0, 2] < torch.tensor([0.334, 0.34, 0.36])
    tensor([True, True, True])
    """

    def __call__(self, operands: Operands) -> Float[Tensor, "heads q k"]:
        """Return what is added to the scaled scores, `(heads, n_q, n_k)`."""
        slopes = torch.tensor(self.slopes(num_heads_of(operands)), dtype=operands.query.dtype)
        return -slopes.to(operands.query.device)[:, None, None] * distances(operands).abs()

    def slopes(self, num_heads: int) -> list[float]:
        """Return the slope of each head."""
        return alibi_slopes(num_heads)


@dataclass(frozen=True, eq=False)
class RelativeBias:
    """A learned number per head and distance, added to the scaled scores: `table[clip(j - i) + reach, head]`.

    Attributes:
        table: `(2 * reach + 1, heads)`; row `reach` is the distance 0, what lies farther takes the outermost row.

    Source: Shaw et al. 2018, "Self-attention with relative position representations", section 3.2 (the clipping);
    Raffel et al. 2020, "T5", section 2.1 (one number in place of a vector).

    >>> from attention_surgeon.ops import Circuit
    >>> behind = torch.tensor([[5.0], [0.0], [0.0]])        # one head, all for what stands before
    >>> Circuit(bias=RelativeBias(behind)).attend(torch.zeros(1, 3, 2), torch.zeros(1, 3, 2), torch.zeros(1, 3, 1))[1]
    tensor([[[0.3333, 0.3333, 0.3333],
             [0.9867, 0.0066, 0.0066],
             [0.4983, 0.4983, 0.0034]]])
    """

    table: Tensor

    def __call__(self, operands: Operands) -> Float[Tensor, "heads q k"]:
        """Return what is added to the scaled scores, `(heads, n_q, n_k)`.

        Raises:
            ShapeError: the table is for another number of heads.
        """
        return self.looked_up(operands).permute(2, 0, 1)  # (q, k, heads) -> (heads, q, k)

    def looked_up(self, operands: Operands) -> Float[Tensor, "q k heads"]:
        """Return the row of the table for each query and key."""
        heads = num_heads_of(operands)
        if self.table.ndim != 2 or self.table.shape[0] % 2 == 0 or self.table.shape[1] != heads:
            raise ShapeError(
                f"RelativeBias: the table has shape {tuple(self.table.shape)}, expected (2 * reach + 1, {heads}): "
                f"a row for each distance from -reach to reach, a column for each head."
            )
        reach = self.table.shape[0] // 2
        index = distances(operands).clamp(-reach, reach).long() + reach
        return self.table.to(operands.query)[index]


def num_heads_of(operands: Operands) -> int:
    """Return how many heads there are: the size of the axis in front of positions, 1 without it."""
    return operands.query.shape[-3] if operands.query.ndim > 2 else 1


def distances(operands: Operands) -> Float[Tensor, "q k"]:
    """Return `j - i` for query i and key j, negative for keys that stand before the query."""
    queries, keys = positions_of(operands.query.shape[-2], operands.key.shape[-2], operands.query)
    return keys - queries[:, None]
