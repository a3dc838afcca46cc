"""Masks of PyTorch's own kinds, taken as the masks they are; their classes are known by name, nothing is imported.

`torch.nn.attention.bias.CausalBias` is a subclass of `torch.Tensor` whose numbers are **not** the mask: they are memory
that nobody wrote. Whoever reads it as a tensor lets the future leak. So every other subclass is refused, too, by
`read.require_plain`.
"""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from attention_surgeon.masks.blocks import TileKind, kind_of
from attention_surgeon.masks.forms import BandMask
from attention_surgeon.masks.mask import Device, Mask
from attention_surgeon.masks.read import require_plain


def known_mask(mask: Any, caller: str, name: str = "mask") -> Any:
    """Return a mask of PyTorch's as one of ours, and everything else as it came.

    Args:
        mask: What stood where a mask is asked for.
        caller: Name that starts the message.
        name: Of the argument.

    Raises:
        ArgumentTypeError: a subclass of `torch.Tensor` that is not known, and whose numbers may not be the mask.

    >>> from torch.nn.attention.bias import causal_lower_right
    >>> known_mask(causal_lower_right(2, 3), "example")
    <mask (2, 3): k - q <= 1>
    """
    if mask is None or isinstance(mask, Mask):
        return mask
    kind = type(mask).__name__
    if kind == "CausalBias":
        shape = (mask.seq_len_q, mask.seq_len_kv)
        return BandMask(shape, lowest=None, highest=shape[1] - shape[0] if mask.variant.name == "LOWER_RIGHT" else 0)
    if kind == "BlockMask" and hasattr(mask, "mask_mod"):
        return _from_flex(mask)
    if isinstance(mask, Tensor):
        require_plain(mask, name, caller)
    return mask


@final
@dataclass(frozen=True, eq=False, repr=False)
class FlexMask(Mask):
    """A `BlockMask` of `torch.nn.attention.flex_attention`, `(B, H, n_q, n_k)`, or `(n_q, n_k)` where B and H are 1.

    Attributes:
        rule: Its `mask_mod`, `(b, h, q, k) -> may attend`.
        seen: Blocks of which something may be seen, boolean `(B, H, blocks of queries, blocks of keys)`.
        full: Blocks of which everything is seen, without asking the rule.
        block: Queries and keys of a block.
    """

    rule: Any
    seen: Tensor
    full: Tensor
    block: tuple[int, int]

    def _rule(self) -> str:
        return getattr(self.rule, "__name__", "mask_mod")

    def _ignores_queries(self) -> bool:
        return False

    def _tile(self, rows: range, columns: range, device: Device) -> Tensor:
        from torch.nn.attention.flex_attention import create_mask  # takes a second: only for those who use it

        (batch, heads), own = self.seen.shape[:2], self.seen.device
        cells = create_mask(
            lambda b, h, q, k: self.rule(b, h, q + rows.start, k + columns.start),
            batch,
            heads,
            len(rows),
            len(columns),
            device=str(own),
        )
        cells = self._of_cells(self.seen, rows, columns) & (self._of_cells(self.full, rows, columns) | cells)
        return cells.reshape(*self.shape[:-2], len(rows), len(columns)).to(device)

    def _kind(self, rows: range, columns: range) -> TileKind:
        if not self._of_cells(self.seen, rows, columns).any():
            return TileKind.EMPTY
        if self._of_cells(self.full, rows, columns).all():
            return TileKind.FULL
        return kind_of(self._tile(rows, columns, self.seen.device))

    def _of_cells(self, blocks: Tensor, rows: range, columns: range) -> Tensor:
        """Return for each cell what its block is, `(B, H, r, c)`."""
        queries, keys = (
            torch.arange(each.start, each.stop, device=blocks.device) // size
            for each, size in zip((rows, columns), self.block, strict=True)
        )
        return blocks[:, :, queries[:, None], keys]


def _from_flex(mask: Any) -> Mask:
    n_q, n_k = (int(size) for size in mask.shape[-2:])
    num_blocks = -(-n_k // mask.BLOCK_SIZE[1])
    partial = _as_blocks(mask.kv_num_blocks, mask.kv_indices, num_blocks)
    full = torch.zeros_like(partial)
    if mask.full_kv_num_blocks is not None:
        full = _as_blocks(mask.full_kv_num_blocks, mask.full_kv_indices, num_blocks)
    batch = tuple(partial.shape[:2])
    shape = (n_q, n_k) if batch == (1, 1) else (*batch, n_q, n_k)
    return FlexMask(shape, mask.mask_mod, partial | full, full, tuple(mask.BLOCK_SIZE))


def _as_blocks(counts: Tensor, indices: Tensor, num_blocks: int) -> Tensor:
    """Return the first `counts` of `indices` in each line as booleans `(B, H, blocks of queries, num_blocks)`."""
    is_listed = torch.arange(indices.shape[-1], device=counts.device) < counts[..., None]
    nowhere = indices.long().masked_fill(~is_listed, num_blocks)
    blocks = torch.zeros(*counts.shape, num_blocks + 1, dtype=torch.bool, device=counts.device)
    return blocks.scatter(-1, nowhere, True)[..., :num_blocks]
