"""What both kernels do with their arguments before the work begins: check them, and lay heads and batch on one axis."""

import functools
import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DTypeError, OptionError, ShapeError
from attention_surgeon.kernels.problem import Plan
from attention_surgeon.kernels.visible import LOG2_E, check_mask, may_want_gradient
from attention_surgeon.masks import Mask
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.require import broadcast_shape, require_floating, require_operands, require_switch

_WORKING = {
    torch.float64: torch.float64,
    **dict.fromkeys((torch.float32, torch.float16, torch.bfloat16), torch.float32),
}


@final
@dataclass(frozen=True)
class Operands:
    """Checked operands, in the dtype of the sums.

    Attributes:
        query: `(units, n_q, d_k)`; a unit is one head of one entry of the batch.
        key: `(kv units, n_k, d_k)`, not repeated for the units that share it.
        value: `(kv units, n_k, d_v)`.
        mask: A mask, or a tensor `(*batch of its own, n_q, n_k)` whose numbers have not been looked at.
        kv_of: For each unit the entry of key and value that it reads.
        mask_of: For each unit the position in the mask's own batch.
        scale: What the scores are multiplied by.
        batch: The axes that `units` was made of.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Mask | Tensor | None
    kv_of: list[int]
    mask_of: list[int]
    scale: float
    batch: tuple[int, ...]

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return query, key, value and a mask that is a tensor."""
        return self.query, self.key, self.value, self.mask if isinstance(self.mask, Tensor) else None

    def plan(self, dtype: torch.dtype, dropout: float, seed: int, caller: str, *, wants_logsumexp: bool = True) -> Plan:
        """Return the call without its tensors; `dtype` is that of the query as it came."""
        return Plan(
            self.kv_of,
            self.mask_of,
            rule=self.mask if isinstance(self.mask, Mask) else None,
            factor=self.scale * LOG2_E,
            dropout=dropout,
            seed=seed,
            coarsest=torch.finfo(dtype).eps,
            wants_bias=isinstance(self.mask, Tensor) and may_want_gradient(self.mask),
            wants_logsumexp=wants_logsumexp,
            caller=caller,
        )

    def unfold(self, made: Tensor) -> Tensor:
        """Return `(units, ...)` with the axes of the batch."""
        return made.reshape(*self.batch, *made.shape[1:])


def read_operands(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: MaskLike | None,
    scale: bool | int | float,
    use_shared_heads: bool,
    caller: str,
) -> Operands:
    """Check the arguments of a kernel, which `kernels.tiled_attention` describes, and return them laid out.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, MaskError, OptionError, ShapeError: with the way out.
    """
    require_switch(use_shared_heads, "use_shared_heads", caller)
    grouped = _in_groups(query, key, value, caller) if use_shared_heads else (query, key, value)
    otherwise = "fewer heads of K and V than of Q are shared with use_shared_heads=True"
    groups = require_operands(*grouped, caller, otherwise)
    batch = (*groups[:-2], groups[-2] * groups[-1]) if use_shared_heads else groups
    dtype = _working_dtype(query.dtype, caller)
    checked = check_mask(mask, (*batch, query.shape[-2], key.shape[-2]), query.device, caller)
    kv_batch = broadcast_shape(grouped[1].shape[:-2], grouped[2].shape[:-2])
    assert kv_batch is not None  # they go together with the query's
    return Operands(
        query=_flat(grouped[0], groups, dtype),
        key=_flat(grouped[1], kv_batch, dtype),
        value=_flat(grouped[2], kv_batch, dtype),
        mask=checked,
        kv_of=own_positions(kv_batch, groups),
        mask_of=own_positions(() if checked is None else tuple(checked.shape[:-2]), batch),
        scale=_factor(scale, query.shape[-1], caller),
        batch=batch,
    )


@functools.lru_cache(maxsize=256)
def own_positions(own: tuple[int, ...], batch: tuple[int, ...]) -> list[int]:
    """Return for each unit of `batch`, flattened, the position in the flattened `own` batch that broadcasts to it.

    >>> own_positions((2, 1), (2, 3)), own_positions((), (2,))
    ([0, 0, 0, 1, 1, 1], [0, 0])
    """
    return np.broadcast_to(np.arange(math.prod(own)).reshape(own), batch).ravel().tolist()


def _in_groups(query: Tensor, key: Tensor, value: Tensor, caller: str) -> tuple[Tensor, Tensor, Tensor]:
    """Give the groups of query heads an axis, and key and value one of size 1, along which they are broadcast."""
    for name, x in (("Q", query), ("K", key), ("V", value)):
        require_floating(x, name, caller)
        if x.ndim < 3:
            raise ShapeError(
                f"{caller}: {name} has shape {tuple(x.shape)}; use_shared_heads=True needs a head axis, "
                f"(*batch, heads, n, size)."
            )
    heads, shared = query.shape[-3], key.shape[-3]
    if value.shape[-3] != shared or shared == 0 or heads % shared:
        raise ShapeError(
            f"{caller}: {shared} heads of K and {value.shape[-3]} of V cannot be shared evenly among {heads} heads of "
            f"Q (axis -3): K and V need the same number, a divisor of {heads}."
        )
    apart = query.unflatten(-3, (shared, heads // shared))  # (..., heads, q, d) -> (..., shared, group, q, d)
    return apart, key.unsqueeze(-3), value.unsqueeze(-3)


def _flat(x: Tensor, batch: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if x.shape[:-2] != batch:
        x = x.expand(*batch, -1, -1)
    if len(batch) != 1:
        x = x.reshape(math.prod(batch), *x.shape[-2:])  # (*batch, n, d) -> (units, n, d)
    return x if x.dtype == dtype else x.to(dtype)


def _working_dtype(dtype: torch.dtype, caller: str) -> torch.dtype:
    if dtype not in _WORKING:
        names = ", ".join(str(known).removeprefix("torch.") for known in _WORKING)
        raise DTypeError(f"{caller}: no sums in {dtype}: the dtypes to compute in are {names}; use .to(torch.float32).")
    return _WORKING[dtype]


def _factor(scale: bool | int | float, key_size: int, caller: str) -> float:
    if isinstance(scale, bool):
        return 1 / math.sqrt(key_size) if scale else 1.0
    if not isinstance(scale, int | float):
        raise ArgumentTypeError(f"{caller}: scale is {scale!r}, expected True, False or a number.")
    if not math.isfinite(scale):
        raise OptionError(f"{caller}: scale is {scale}, expected a finite number.")
    return float(scale)
