"""From what is chosen on the operating table to one operation on a circuit."""

import dataclasses
from functools import reduce

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.faults.mask_content import Reading, read_mask_as
from attention_surgeon.masks import Mask, causal_mask, prefix_mask, reverse_mask, window_mask
from attention_surgeon.ops import Operands
from attention_surgeon.surgery import Operation, find_operation
from attention_surgeon.viewer.live import TableRequest

MASKS = (
    ("own", "the model's own"),
    ("none", "none: all see all"),
    ("causal", "causal: what came before"),
    ("reverse", "reverse: what comes after"),
    ("window:3", "window: the last few"),
    ("prefix:2", "prefix: the first for all"),
)
SCALES = (("own", "the model's own"), ("none", "none"))


def operation_of(request: TableRequest) -> Operation | None:
    """Return everything that is asked for as one operation, None where nothing is.

    The fault comes before mask and temperature, which stand around whatever mask step and softmax there are, and after
    the scale, which it may replace.

    Raises:
        OptionError, SurgeryError: no such mask, scale or fault, or one that cannot act on a model.
    """
    parts = [*_scale(request.scale), *_fault(request.fault), *_mask(request.mask)]
    if request.temperature == 0:  # the limit: all to the largest score
        parts.append(find_operation("one_hot"))
    elif request.temperature != 1:
        parts.append(find_operation(f"temperature:{request.temperature:g}"))
    if not parts:
        return None
    names, summaries = ", ".join(part.name for part in parts), " ".join(part.summary for part in parts)
    return Operation(names, summaries, lambda circuit: reduce(lambda made, part: part.change(made), parts, circuit))


def mask_named(name: str, n_q: int, n_k: int) -> Mask | None:
    """Return a mask by its name, None for `none`.

    Raises:
        OptionError: there is no such mask, or its number does not fit.
    """
    kind, colon, number = name.partition(":")
    if not colon and kind in ("none", "causal", "reverse"):
        return {"none": None, "causal": causal_mask(n_q, n_k), "reverse": reverse_mask(n_q, n_k)}[kind]
    if kind in ("window", "prefix") and number.isascii() and number.isdigit() and len(number) < 6:
        if kind == "window":
            return window_mask(n_q, n_k, size=int(number))
        return prefix_mask(n_q, n_k, prefix_len=min(int(number), n_k))
    known = ", ".join(value for value, _ in MASKS)
    raise OptionError(f"mask is {name!r}, expected one of {known}; the numbers may be others.")


def _scale(name: str) -> list[Operation]:
    if name not in dict(SCALES):
        raise OptionError(f"scale is {name!r}, expected one of {', '.join(dict(SCALES))}.")
    return [] if name == "own" else [find_operation("no_scale")]


def _fault(name: str | None) -> list[Operation]:
    return [] if name is None else [find_operation(name)]


def _mask(name: str) -> list[Operation]:
    if name == "own":
        return []
    mask_named(name, 1, 1)  # so that a wrong name is refused before the model runs
    return [Operation(f"mask {name}", f"The mask is {name}.", read_mask_as(_instead(name)))]


def _instead(name: str) -> Reading:
    """Return the reading that puts a mask in the place of the model's own; padding stays hidden."""

    def read(operands: Operands, scores: Tensor) -> Operands:
        n_q, n_k = scores.shape[-2:]
        mask = mask_named(name, n_q, n_k)
        allowed = torch.ones(n_q, n_k, dtype=torch.bool) if mask is None else mask.dense()
        allowed = allowed.to(scores.device)
        if operands.allowed is not None:
            allowed = allowed & operands.allowed.any(-2, keepdim=True)  # (..., q, k) & (..., 1, k)
        return dataclasses.replace(operands, allowed=allowed)

    return read
