"""What a plain tensor says when it is used as a mask; a tensor whose meaning is in doubt is refused.

The rules are those of `attention`: boolean or integer 0/1 means True = may attend; floating means added to the
scores, where `-inf` (or the lowest number of the dtype, or of bfloat16) hides.
"""

from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import Parameter

from attention_surgeon.errors import ArgumentTypeError, DeviceError, MaskError, ShapeError
from attention_surgeon.masks.lazy import LazyMask
from attention_surgeon.require import kind_of, require_tensor


def read_dense(mask: object, device: torch.device, caller: str) -> Tensor:
    """Return a mask as a tensor beside Q: a tensor as it is, a mask object written out.

    Raises:
        ArgumentTypeError, DeviceError: neither of them; a tensor on another device.
    """
    if not isinstance(mask, Tensor) and isinstance(mask, LazyMask):  # 2.15 does not trace the second about a tensor
        mask = mask.dense(device)
    if not isinstance(mask, Tensor):
        raise ArgumentTypeError(
            f"{caller}: mask is {kind_of(mask)}, expected a torch.Tensor, a mask of attention_surgeon.masks "
            f"or None; wrap arrays in torch.as_tensor(...)."
        )
    if mask.device != device:
        raise DeviceError(f"{caller}: mask is on {mask.device} and Q on {device}; move it with mask.to(Q.device).")
    return mask


def holds(condition: Tensor) -> bool:
    """Say whether a condition is true anywhere; False where numbers cannot be looked at.

    That is in `torch.compile` and `torch.export`, in `torch.vmap`, and for tensors without numbers (meta, fake): there
    a mask is taken at its word.

    >>> holds(torch.tensor([False, True])), holds(torch.ones(2, dtype=torch.bool, device="meta"))
    (True, False)
    """
    if torch.compiler.is_compiling():
        return False
    try:
        return bool(condition.any())
    except RuntimeError:  # vmap, meta and fake tensors say so in three ways, all of this class
        return False


def require_plain(mask: Any, name: str, caller: str) -> None:
    """Refuse what is no tensor, and a tensor of a class whose numbers need not be what it stands for.

    Raises:
        ArgumentTypeError: with the way out.
    """
    require_tensor(mask, name, caller)
    kind = type(mask)
    if kind not in (Tensor, Parameter) and not kind.__module__.startswith("torch._subclasses"):  # fake tensors
        raise ArgumentTypeError(
            f"{caller}: {name} is a {kind.__name__}, a subclass of torch.Tensor whose numbers need not be the mask "
            f"that it stands for; pass that mask as a plain tensor, or {name}.as_subclass(torch.Tensor) if its numbers "
            f"are the mask."
        )


def read_yes_no(mask: Tensor, caller: str, name: str = "mask") -> Bool[Tensor, "*cells"]:
    """Return a boolean or 0/1 integer tensor as a boolean one.

    Raises:
        ArgumentTypeError, MaskError: no tensor; floating or complex; an integer that is neither 0 nor 1.
    """
    require_plain(mask, name, caller)
    if mask.is_floating_point():
        raise MaskError(
            f"{caller}: {name} has dtype {mask.dtype}, and a floating mask is one that is added to the scores; "
            f"write additive_to_mask({name}), or, if its 1s mean may attend, {name}.bool()."
        )
    if mask.is_complex():
        raise MaskError(f"{caller}: {name} has dtype {mask.dtype}, expected boolean, True = may attend.")
    if mask.dtype == torch.bool:
        return mask
    wrong = (mask != 0) & (mask != 1)
    if holds(wrong):
        raise MaskError(
            f"{caller}: an integer mask must hold only 0 (hidden) and 1 (may attend), found {mask[wrong][0].item()}; "
            f"for numbers that are added to the scores use a floating mask."
        )
    return mask.bool()


def read_cells(tensor: Tensor, caller: str) -> Bool[Tensor, "*batch q k"]:
    """Return a boolean or 0/1 integer tensor `(*batch, n_q, n_k)` as a boolean one with memory of its own.

    Raises:
        ArgumentTypeError, MaskError, ShapeError: as `read_yes_no`; fewer than two axes.
    """
    allowed = read_yes_no(tensor, caller, name="tensor")
    if allowed.ndim < 2:
        raise ShapeError(
            f"{caller}: tensor has shape {tuple(tensor.shape)}, expected (*batch, n_q, n_k); "
            f"one row for every query is tensor[None, :]."
        )
    return allowed.detach().clone()


def read_additive(mask: Tensor, caller: str, otherwise: str = "") -> Bool[Tensor, "*cells"]:
    """Return where a floating mask does not hide: True = may attend, whatever number is added there.

    Args:
        mask: Floating, any shape.
        caller: Name that starts every message.
        otherwise: What the message about 0s and 1s offers to those who really want to add them.

    Raises:
        ArgumentTypeError, MaskError: no floating tensor; NaN, +inf, or nothing but 0s and 1s.
    """
    require_plain(mask, "mask", caller)
    if not mask.is_floating_point():
        raise MaskError(
            f"{caller}: mask has dtype {mask.dtype}, expected a floating mask of 0 (may attend) and -inf (hidden); "
            f"a boolean one, True = may attend, is on our side already."
        )
    if holds(mask.isnan()):
        raise MaskError(f"{caller}: the floating mask holds NaN; hide a key with -inf, keep it with 0.")
    if holds(mask == float("inf")):
        raise MaskError(
            f"{caller}: the floating mask holds +inf, which would make its row NaN; "
            f"hide a key with -inf, keep it with 0."
        )
    if holds(mask == 1) and not holds((mask != 0) & (mask != 1)):
        raise MaskError(
            f"{caller}: the floating mask holds only 0s and 1s, so its meaning is in doubt "
            f"(a floating mask is added to the scores). If 1 means may attend, pass mask.bool(); "
            f"if 1 means hidden, pass mask == 0{otherwise}."
        )
    return mask > max(torch.finfo(mask.dtype).min, torch.finfo(torch.bfloat16).min)


def read_unbiased(mask: Tensor, caller: str) -> Bool[Tensor, "*cells"]:
    """Return a floating mask that only hides, as a boolean one.

    Raises:
        ArgumentTypeError, MaskError: as `read_additive`; a number that neither hides nor is 0.
    """
    allowed = read_additive(mask, caller)
    bias = mask[allowed & (mask != 0)]
    if bias.numel():
        found = bias[0].item()
        raise MaskError(
            f"{caller}: the floating mask holds {found:.6g}, neither 0 (may attend) nor -inf (hidden), so it is a "
            f"bias that no yes-or-no mask can hold. Pass it to attention as it is; "
            f"if every number but 0 is meant to hide, pass mask == 0."
        )
    return allowed
