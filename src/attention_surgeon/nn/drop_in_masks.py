"""The two masks of `nn.MultiheadAttention`, in which True means HIDDEN, taken apart into `allowed` and `bias`."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon.errors import DeviceError, DTypeError, MaskError, ShapeError
from attention_surgeon.masks import Mask
from attention_surgeon.masks.foreign import known_mask
from attention_surgeon.nn.drop_in_checks import CALLER
from attention_surgeon.nn.torch_errors import PaddingError
from attention_surgeon.require import require_tensor


@final
@dataclass(frozen=True)
class HidingMasks:
    """Boolean (True = hidden) or floating (added to the scores), each on its own.

    Attributes:
        attn_mask: `(n_q, n_k)` or `(batch * num_heads, n_q, n_k)`, the heads of one sequence next to each other.
        key_padding_mask: `(batch, n_k)`, or `(n_k,)` without a batch.
        batched: Whether there is a batch.
    """

    attn_mask: Tensor | None
    key_padding_mask: Tensor | None
    batched: bool

    def check(self, query: Tensor, scores_shape: tuple[int, ...]) -> None:
        """Check kinds, dtypes and shapes against scores `(batch, heads, n_q, n_k)`, before keys are added.

        Raises:
            ArgumentTypeError, DTypeError, DeviceError, MaskError, ShapeError: with the way out.
        """
        batch, num_heads, n_q, n_k = scores_shape
        if (mask := self.key_padding_mask) is not None:
            _check_kind("key_padding_mask", mask, query)
            expected, axes = ((batch, n_k), "(batch, n_k)") if self.batched else ((n_k,), "(n_k,)")
            if mask.shape != expected:
                axis_text = ""
                if mask.ndim != len(expected):
                    axis_text = (
                        f"expected `key_padding_mask` to be `None` or {len(expected)}-D but found {mask.ndim}-D tensor "
                        f"instead: "
                    )
                raise PaddingError(
                    f"{CALLER}: {axis_text}key_padding_mask has shape {tuple(mask.shape)}, expected {expected}, "
                    f"{axes}: one entry for each key of each sequence."
                )
        if (mask := self.attn_mask) is not None:
            _check_kind("attn_mask", mask, query)
            per_head = (batch * num_heads, n_q, n_k)
            if mask.shape not in ((n_q, n_k), per_head):
                axis_text = f"Expected `attn_mask` shape to be {per_head} or {(n_q, n_k)}: "
                if mask.ndim not in (2, 3):
                    axis_text = (
                        f"expected `attn_mask` to be `None`, 2-D or 3-D but found {mask.ndim}-D tensor instead: "
                    )
                raise ShapeError(
                    f"{CALLER}: {axis_text}attn_mask has shape {tuple(mask.shape)}, expected {(n_q, n_k)}, (n_q, n_k), "
                    f"or {per_head}, (batch * num_heads, n_q, n_k)."
                )

    def merge(self, num_heads: int, num_added: int, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
        """Return `(allowed, bias)`, each None or broadcastable to `(batch, heads, n_q, n_k + num_added)`.

        The added keys, which stand behind the others, may be attended to by everybody.
        """
        allowed = bias = None
        for mask in self._with_all_axes(num_heads):
            mask = F.pad(mask, (0, num_added))  # pads with False, and with 0.0
            if mask.dtype == torch.bool:
                allowed = ~mask if allowed is None else allowed & ~mask
            else:
                bias = mask.to(dtype) if bias is None else bias + mask.to(dtype)
        return allowed, bias

    def _with_all_axes(self, num_heads: int) -> list[Tensor]:
        masks = []
        if self.attn_mask is not None and self.attn_mask.ndim == 3:
            batch = self.attn_mask.shape[0] // num_heads
            masks.append(self.attn_mask.unflatten(0, (batch, num_heads)))  # (b * h, q, k) -> (b, h, q, k)
        elif self.attn_mask is not None:
            masks.append(self.attn_mask)
        if self.key_padding_mask is not None:
            masks.append(self.key_padding_mask[..., None, None, :])  # (b, k) -> (b, 1, 1, k)
        return masks


def hiding(mask: Any, name: str, device: torch.device) -> Any:
    """Return a mask of PyTorch's that is no plain tensor (`CausalBias`, `BlockMask`) as one in which True = hidden.

    Raises:
        ArgumentTypeError: a subclass of `torch.Tensor` that is not known.
    """
    known = known_mask(mask, CALLER, name)
    return ~known.dense(device) if isinstance(known, Mask) and known is not mask else mask


def _check_kind(name: str, mask: Tensor, query: Tensor) -> None:
    require_tensor(mask, name, CALLER)
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise MaskError(
            f"{CALLER}: {name} has dtype {mask.dtype}, expected torch.bool (True = hidden) or a floating dtype (added "
            f"to the scores); if 1 means hidden, pass {name}.bool(), if 1 means may attend, {name} == 0."
        )
    if mask.device != query.device:
        raise DeviceError(
            f"{CALLER}: {name} is on {mask.device} and query on {query.device}; move it with {name}.to(query.device)."
        )
    if mask.dtype not in (torch.bool, torch.float32, query.dtype):
        raise DTypeError(
            f"{CALLER}: {name} is {mask.dtype} and query {query.dtype}; "
            f"a floating mask has the dtype of query: {name}.to(query.dtype)."
        )
