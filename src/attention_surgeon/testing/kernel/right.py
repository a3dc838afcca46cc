"""What is right: the answer in float64, and how far a kernel may be from it.

A kernel in low precision may err by twice what plain attention errs in the same precision, whole or in tiles of 16 keys
whose sums are kept in it.
"""

import dataclasses
import math
from functools import lru_cache
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.ops import Operands
from attention_surgeon.testing.kernel.call import KernelCall

Align: TypeAlias = Literal["end", "start"]
"""Where a causal mask lies with more keys than queries: the last query sees every key, or the first sees one."""

_LEAST: dict[str, float] = {"float64": 1e-5, "float32": 1e-4, "float16": 2e-3, "bfloat16": 1.6e-2}
"""The least that is allowed, of the largest number of the answer: twice the rounding of the answer, or, where sums are
made in float32, ten times what the order of a thousand sums changes."""

_TILE = 16
_LOST = 0.3


def operands_of(call: KernelCall, align: Align = "end") -> Operands:
    """Return what a call is made of, in float64: keys and values once for each query head, and who may attend."""
    drawn = call.operands()
    q, k, v = (drawn[name].double() for name in ("q", "k", "v"))
    k, v = (x.repeat_interleave(call.heads // call.kv_heads, 1) for x in (k, v))
    allowed = causal_of(call.n_q, call.n_k, align) if call.is_causal else None
    bias = drawn["mask"].double() if call.mask == "added" else None
    if call.mask in ("keep", "hide"):
        seen = drawn["mask"] if call.mask == "keep" else ~drawn["mask"]
        allowed = seen if allowed is None else allowed & seen
    if call.scale is not None:
        q = q * (call.scale * math.sqrt(call.width))
    return Operands(q, k, v, allowed, bias, torch.float64)


def causal_of(n_q: int, n_k: int, align: Align) -> Tensor:
    """Return who may attend under a causal mask, `(n_q, n_k)`."""
    offset = n_k - n_q if align == "end" else 0
    return torch.arange(n_k) <= torch.arange(n_q)[:, None] + offset


@lru_cache(maxsize=256)
def right_answer(call: KernelCall, align: Align = "end") -> Tensor:
    """Return the answer `(b, h, n_q, d)` in float64; a query without keys gets zeros."""
    return attend(operands_of(call, align))


@lru_cache(maxsize=256)
def allowed_error(call: KernelCall, align: Align = "end") -> float:
    """Return how far the furthest number of an answer may be from the right one."""
    right, given = right_answer(call, align), operands_of(call, align)
    if call.rows == "lowest":  # a score of -1e5 is known to a hundredth: only what is lost altogether is wrong
        return _LOST * float(right.abs().max())
    dtype, scale = getattr(torch, call.dtype), call.scale
    query = given.query if scale is None else given.query / (scale * math.sqrt(call.width))
    small = dataclasses.replace(
        given,
        query=query.to(dtype),
        key=given.key.to(dtype),
        value=given.value.to(dtype),
        bias=None if given.bias is None else given.bias.to(dtype),
        dtype=dtype,
    )
    naive = [attend(small, scale)]
    if call.dtype in ("float16", "bfloat16"):
        naive.append(in_tiles(small, _TILE))
    off = max(float((each.double() - right).abs().nan_to_num(0.0).max()) for each in naive)
    return max(2 * off, _LEAST[call.dtype] * float(right.abs().max()))


FORGOTTEN = ("output", "sum", "both")
"""What an online softmax may forget to rescale."""


def in_tiles(given: Operands, tile: int, forgotten: str = "") -> Tensor:
    """Return the answer of an online softmax over tiles of keys, in the dtype of the operands.

    Args:
        given: Query, key, value and mask.
        tile: Keys of a tile.
        forgotten: One of `FORGOTTEN` for a wrong one; empty for a right one.
    """
    scores = _masked_scores(given, None)
    top = torch.full((*scores.shape[:-1], 1), -torch.inf, dtype=scores.dtype)
    total, output = torch.zeros_like(top), torch.zeros((), dtype=scores.dtype)
    for start in range(0, scores.shape[-1], tile):
        part, value = scores[..., start : start + tile], given.value[..., start : start + tile, :]
        new = torch.maximum(top, part.amax(-1, keepdim=True))
        safe = new.masked_fill(new == -torch.inf, 0.0)
        weights, factor = (part - safe).exp(), (top - safe).exp()
        total = total * (1 if forgotten in ("sum", "both") else factor) + weights.sum(-1, keepdim=True)
        output = output * (1 if forgotten in ("output", "both") else factor) + weights @ value
        top = new
    return output / total


def attend(given: Operands, scale: float | None = None) -> Tensor:
    """Return attention in the dtype of its operands, step by step; a query without keys gets zeros."""
    return _masked_scores(given, scale).softmax(-1).nan_to_num(0.0) @ given.value


def _masked_scores(given: Operands, scale: float | None) -> Tensor:
    factor = given.query.shape[-1] ** -0.5 if scale is None else scale
    scores = given.query @ given.key.transpose(-2, -1) * factor
    if given.bias is not None:
        scores = scores + given.bias
    return scores if given.allowed is None else scores.masked_fill(~given.allowed, -torch.inf)
