"""The door of attention: what Q, K, V and the mask must be, said once, with the way out in each message.

Everything behind the door (`Mechanism`, `attention`, `attention_gradients`) works on `Operands`: checked, in the
working precision, and with the mask taken apart into who may attend (`allowed`) and what is added (`bias`).
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from attention_surgeon.masks.foreign import known_mask
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.masks.read import read_additive, read_dense, read_yes_no
from attention_surgeon.ops.precision import working_dtype
from attention_surgeon.require import require_mask_shape, require_operands

_Record = TypeVar("_Record", bound=Any)


@dataclass(frozen=True)
class Operands:
    """What one attention call is made of, checked and in working precision.

    Attributes:
        query: `(*batch, n_q, d_k)`.
        key: `(*batch, n_k, d_k)`.
        value: `(*batch, n_k, d_v)`.
        allowed: Boolean, broadcasts to `(*batch, n_q, n_k)`, True = may attend. None: everybody may.
        bias: Floating, broadcasts to `(*batch, n_q, n_k)`, added to the scaled scores. None: nothing is added.
        dtype: The dtype of the tensors that came in, to which results are rounded.
        model_size: Width of the model before it was split into heads, where the caller knows it.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    allowed: Tensor | None
    bias: Tensor | None
    dtype: torch.dtype
    model_size: int | None = None

    @property
    def key_size(self) -> int:
        """d_k, the size of one query and of one key."""
        return self.query.shape[-1]


def replaced(record: _Record, **parts: Any) -> _Record:
    """Return a copy of a dataclass with the named parts replaced: `dataclasses.replace`, which torch 2.6 cannot trace.

    >>> x = torch.ones(2, 2)
    >>> replaced(Operands(x, x, x, None, None, x.dtype), model_size=8).model_size
    8
    """
    kept = {name: getattr(record, name) for name in record.__match_args__ if name not in parts}
    return type(record)(**kept, **parts)


def check_operands(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    mask: MaskLike | None = None,
    *,
    caller: str = "attention",
    model_size: int | None = None,
) -> Operands:
    """Check the arguments of an attention call and return them ready for use.

    Args:
        Q: Query `(*batch, n_q, d_k)`, floating.
        K: Key `(*batch, n_k, d_k)`, same dtype and device; batch axes equal or broadcastable.
        V: Value `(*batch, n_k, d_v)`.
        mask: Boolean or 0/1 integer (True = may attend), or floating (added to the scores), or a mask object.
            Broadcasts to `(*batch, n_q, n_k)`.
        caller: Name that starts every message.
        model_size: Recorded in the result.

    Returns:
        The `Operands`.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, MaskError: each names what was given, what was
            expected and the way out.

    >>> q, k, v = torch.ones(2, 3), torch.ones(5, 3), torch.ones(5, 7)
    >>> check_operands(q, k, v, torch.ones(2, 4, dtype=torch.bool))
    Traceback (most recent call last):
    attention_surgeon.errors.ShapeError: attention: mask has shape (2, 4) but the scores have shape (2, 5) \
(*batch, n_q, n_k); the mask must broadcast to them.
    """
    batch = require_operands(Q, K, V, caller)
    dtype = working_dtype(Q.dtype, Q.device)
    scores_shape = (*batch, Q.shape[-2], K.shape[-2])
    allowed, bias = resolve_mask(mask, scores_shape, device=Q.device, dtype=dtype, caller=caller)
    return Operands(Q.to(dtype), K.to(dtype), V.to(dtype), allowed, bias, Q.dtype, model_size)


def resolve_mask(
    mask: MaskLike | None,
    scores_shape: tuple[int, ...],
    *,
    device: torch.device,
    dtype: torch.dtype,
    caller: str = "attention",
) -> tuple[Tensor | None, Tensor | None]:
    """Take a mask apart into `(allowed, bias)`: who may attend, and what is added to the scores.

    A boolean or 0/1 integer mask says True = may attend. A floating mask is added; its entries of `-inf`, or at
    the lowest finite number of its dtype (or bfloat16's), hide the key. A floating mask of 0s and 1s (with at least one
    1) is refused: it is nearly always a 0/1 mask of one polarity or the other.

    Args:
        mask: The mask, or None.
        scores_shape: `(*batch, n_q, n_k)`, to which the mask must broadcast.
        device: Where the scores live.
        dtype: Dtype of the bias that is returned.
        caller: Name that starts every message.

    Returns:
        `allowed` (boolean or None) and `bias` (floating or None).

    Raises:
        ArgumentTypeError, DeviceError, ShapeError, MaskError: as `check_operands`.
    """
    mask = known_mask(mask, caller)
    if mask is None:
        return None, None
    mask = read_dense(mask, device, caller)
    require_mask_shape(mask.shape, scores_shape, caller)
    if not mask.is_floating_point():
        return read_yes_no(mask, caller), None
    to_add = "; if it really is to be added, use Mechanism(mask=add_to_scores(mask))"
    allowed = read_additive(mask, caller, otherwise=to_add)
    return allowed, mask.masked_fill(~allowed, 0.0).to(dtype)
