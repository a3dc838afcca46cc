"""How a function takes its mask and its switch, read from its signature."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attention_surgeon.errors import UnjudgedError


@dataclass(frozen=True)
class Signature:
    """Where the optional arguments of an attention function go.

    Attributes:
        mask: Name of the mask's parameter, or None where there is none.
        scale: Name of the on/off switch of the scale, or None.
        by_position: Whether the mask may be given as the fourth argument only.
        needs_mask: Whether it must be given, if only as None.
    """

    mask: str | None
    scale: str | None
    by_position: bool = False
    needs_mask: bool = False


def read_signature(function: Callable[..., Any], num_operands: int = 3) -> Signature:
    """Find the mask and the switch among the parameters that follow the operands.

    Raises:
        UnjudgedError: it takes too few arguments, or needs others.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # built in: no signature to read
        return Signature("attn_mask", None, by_position=True)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return Signature("mask", None, by_position=True)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < num_operands:
        raise UnjudgedError(
            f"it takes {len(positional)} positional arguments, expected at least {num_operands}: query, key, value."
        )
    rest = [p for p in parameters if p not in positional[:num_operands] and p.kind is not p.VAR_KEYWORD]
    mask = next((p for p in rest if "mask" in p.name.lower()), None)
    scale = next((p for p in rest if "scal" in p.name.lower() and _is_switch(p)), None)
    if mask is None:
        mask = next((p for p in rest if p is not scale and p.default is None and not _is_number(p)), None)
    unknown = [p.name for p in rest if p.default is p.empty and p not in (mask, scale)]
    if mask is None and len(unknown) == 1 and len(positional) > num_operands:
        mask, unknown = positional[num_operands], []
    if unknown:
        raise UnjudgedError(f"it needs the argument {unknown[0]!r}, whose meaning the contract does not know.")
    return Signature(
        mask.name if mask else None,
        scale.name if scale else None,
        by_position=mask is not None and mask.kind is mask.POSITIONAL_ONLY,
        needs_mask=mask is not None and mask.default is mask.empty,
    )


def _is_switch(parameter: inspect.Parameter) -> bool:
    return isinstance(parameter.default, bool) or parameter.annotation in (bool, "bool")


def _is_number(parameter: inspect.Parameter) -> bool:
    return any(
        word in parameter.name.lower() for word in ("drop", "scal", "temp", "eps", "dim", "axis", "dtype", "device")
    )
