"""What a scan gives only when asked: the strongest keys of chosen rows, and how alike heads are."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.masks import TileKind
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.require import kind_of, require_count
from attention_surgeon.stats.scan.operands import check_operands
from attention_surgeon.stats.scan.plan import RowGroup, ScanHead, groups_of
from attention_surgeon.stats.top_keys import TopKeys, top_keys


def scan_top_keys(
    query: Float[Tensor, "*batch q d"],
    key: Float[Tensor, "*_batch k d"],
    rows: Sequence[int],
    mask: MaskLike | None = None,
    *,
    count: int = 3,
    scale: float | int | None = None,
) -> TopKeys:
    """Return the keys that get the most from chosen queries, without the weights of the others.

    Args:
        query: As for `scan_attention`.
        key: As for `scan_attention`.
        rows: Which queries, in any order; negative ones count from the end.
        mask: As for `scan_attention`.
        count: How many keys, at most n_k.
        scale: As for `scan_attention`.

    Returns:
        Weights and keys, `(*batch, heads, len(rows), count)`.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, MaskError, OptionError, NonFiniteError: as
            `scan_attention` and `top_keys`; a row that is none.

    >>> import torch
    >>> scan_top_keys(torch.tensor([[9.0, 0.0], [0.0, 9.0]]), torch.eye(2), rows=[1], count=1).keys
    tensor([[1]])
    """
    operands = check_operands(query, key, None, mask, scale, "scan_top_keys")
    num_queries, num_keys = operands.scores_shape[-2:]
    chosen = _checked_rows(rows, num_queries)
    require_count(count, "count", "scan_top_keys")
    if count > num_keys:
        raise OptionError(f"scan_top_keys: count is {count}, but there are only {num_keys} keys.")
    found = []
    for head in operands.heads(None):
        parts = [top_keys(_weights_of(head, RowGroup.of(chosen[place, None])), count) for place in range(len(chosen))]
        found.append(TopKeys(*(torch.cat(each) for each in zip(*parts, strict=True))))
    shape = (*operands.leading, len(chosen), count)
    return TopKeys(*(torch.stack(each).reshape(shape) for each in zip(*found, strict=True)))


def scan_similarity(
    query: Float[Tensor, "*batch heads q d"],
    key: Float[Tensor, "*_batch kv_heads k d"],
    mask: MaskLike | None = None,
    *,
    scale: float | int | None = None,
) -> Float[Tensor, "*batch heads heads"]:
    """Return how alike the heads of each sequence are, without keeping the weights of any.

    The cosine of `HeadStatistics.similarity`. All heads of some rows are written out at once, one group after another,
    in float64: slower by far than `scan_attention`, and so a function of its own.

    Args:
        query: `(*batch, heads, n_q, d)`.
        key: As for `scan_attention`.
        mask: As for `scan_attention`.
        scale: As for `scan_attention`.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, MaskError, OptionError, NonFiniteError: as
            `scan_attention`; no axis of heads.

    >>> import torch
    >>> scan_similarity(torch.ones(2, 5, 4), torch.ones(1, 5, 4))
    tensor([[1.0000, 1.0000],
            [1.0000, 1.0000]], dtype=torch.float64)
    """
    operands = check_operands(query, key, None, mask, scale, "scan_similarity")
    if not operands.leading:
        raise OptionError(
            f"scan_similarity: query has shape {tuple(query.shape)}, expected an axis of heads before the last two."
        )
    heads = list(operands.heads(None))
    size = operands.leading[-1]
    found = []
    for first in range(0, len(heads), size):
        found.append(_similarity(heads[first : first + size]))
    return torch.stack(found).reshape(*operands.leading, size)


def _similarity(heads: list[ScanHead]) -> Tensor:
    """Return the cosine of every two heads of one sequence."""
    gram = heads[0].query.new_zeros(len(heads), len(heads), dtype=torch.float64)
    rows = torch.arange(heads[0].num_queries, device=heads[0].query.device)
    for group in groups_of(rows, heads[0].num_keys, 8 * len(heads)):
        flat = torch.stack([_weights_of(head, group).flatten() for head in heads])
        gram += flat @ flat.mT  # (h, rk) @ (rk, h) -> (h, h)
    lengths = gram.diagonal().sqrt()
    return gram / (lengths[:, None] * lengths)


def _weights_of(head: ScanHead, group: RowGroup) -> Tensor:
    """Write out the weights of some rows, float64 `(r, n_k)`; 0 where there is nobody to attend to."""
    query, key, _ = head.exact
    block = head.mask.block(group.runs, 0, head.num_keys, query.device)
    if block.kind is TileKind.EMPTY:
        return query.new_zeros(len(group.rows), head.num_keys)
    scores = query[group.rows] @ key.mT
    if block.bias is not None:
        scores += block.bias
    if block.allowed is not None:
        scores.masked_fill_(~block.allowed, -math.inf)
    return scores.softmax(-1).nan_to_num_(0.0)


def _checked_rows(rows: Sequence[int], num_queries: int) -> Tensor:
    if isinstance(rows, str) or not isinstance(rows, Sequence) or not rows:
        raise ArgumentTypeError(f"scan_top_keys: rows is {kind_of(rows)}, expected a list of at least one position.")
    for row in rows:
        if isinstance(row, bool) or not isinstance(row, int):
            raise ArgumentTypeError(f"scan_top_keys: rows holds {row!r}, expected whole numbers.")
        if not -num_queries <= row < num_queries:
            raise OptionError(f"scan_top_keys: rows holds {row}, but there are {num_queries} queries.")
    return torch.tensor([row % num_queries for row in rows])
