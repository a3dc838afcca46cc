"""What a mask says, whatever it is made of: for every pair, the number that it adds to a score."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.ops import LazyMask
from attention_surgeon.testing.answer import Array, arrays_in, to_array

MaskForm: TypeAlias = Literal["keep", "hide", "additive"]
Declared: TypeAlias = Literal["auto", "keep", "hide", "additive"]

ENOUGH = 1e3
"""A score lowered by this much is hidden, whatever the scores are; one raised by it is all that is seen."""

_LITTLE = -1.0
"""Stands for every number that lowers a score and does not hide it."""


def mask_in(returned: Any) -> Any:
    """Return the tensor or array that a function returned for a mask.

    Raises:
        TypeError: there is none.
    """
    if isinstance(returned, LazyMask) and not isinstance(returned, torch.Tensor):
        return returned.dense()
    found = arrays_in(returned)
    if found:
        return found[0]
    if isinstance(returned, list | tuple):
        return np.asarray(returned)
    raise TypeError(f"it returned {type(returned).__name__}, expected a tensor or an array")


def form_of(masks: Sequence[Any], declared: Declared) -> MaskForm:
    """Return what the numbers of these masks mean: `keep`, `hide` or `additive`.

    Undeclared, booleans and 0s and 1s say who may attend; all other numbers are added, and so are floats that are all
    zero: to hide everything is no mask.

    Raises:
        UnjudgedError: there are no masks to read.
    """
    if declared != "auto":
        return declared
    if not masks:
        raise UnjudgedError("it returned no mask to read.")
    numbers = [to_array(mask) for mask in masks]
    is_yes_no = all(np.isin(x, (0.0, 1.0)).all() for x in numbers)
    is_zero = all(not x.any() and _is_floating(mask) for x, mask in zip(numbers, masks, strict=True))
    return "keep" if is_yes_no and not is_zero else "additive"


def as_added(mask: Any, form: MaskForm) -> Array:
    """Return what a mask adds to each score: 0 where it hides nothing, -inf where it hides.

    Numbers in between are kept apart as kinds: any that lower a score a little are the same, as are any that raise it
    beyond all others.
    """
    numbers = to_array(mask)
    if form == "keep":
        numbers = np.where(numbers != 0, 0.0, -np.inf)
    elif form == "hide":
        numbers = np.where(numbers != 0, -np.inf, 0.0)
    numbers = np.where(numbers <= -ENOUGH, -np.inf, np.where(numbers >= ENOUGH, np.inf, numbers))
    return np.where((numbers < 0) & np.isfinite(numbers), _LITTLE, numbers)


def how_read(form: MaskForm) -> str:
    """Say how a mask was read that was not declared."""
    if form == "additive":
        return "its mask was read as numbers to be added to the scores"
    return "its mask was read as True (or 1) = may attend; declare mask='hide' if True hides"


def _is_floating(mask: Any) -> bool:
    return torch.is_floating_point(mask) if isinstance(mask, torch.Tensor) else np.asarray(mask).dtype.kind == "f"
