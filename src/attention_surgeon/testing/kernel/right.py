"""What is right: the answer in float64, and how far a kernel may be from it.

A kernel in low precision may err by twice what plain attention errs in the same precision, as attention-gym asks.
"""

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
    return _attend(operands_of(call, align))


@lru_cache(maxsize=256)
def allowed_error(call: KernelCall, align: Align = "end") -> float:
    """Return how far the furthest number of an answer may be from the right one."""
    right, given = right_answer(call, align), operands_of(call, align)
    dtype = getattr(torch, call.dtype)
    small = [x.to(dtype) for x in (given.query, given.key, given.value)]
    if call.scale is not None:
        small[0] = (given.query / (call.scale * math.sqrt(call.width))).to(dtype)
    bias = None if given.bias is None else given.bias.to(dtype)
    naive = _attend(Operands(*small, given.allowed, bias, dtype), call.scale)
    off = float((naive.double() - right).abs().nan_to_num(0.0).max())
    return max(2 * off, _LEAST[call.dtype] * float(right.abs().max()))


def _attend(given: Operands, scale: float | None = None) -> Tensor:
    """Return attention in the dtype of its operands, step by step."""
    factor = given.query.shape[-1] ** -0.5 if scale is None else scale
    scores = given.query @ given.key.transpose(-2, -1) * factor
    if given.bias is not None:
        scores = scores + given.bias
    if given.allowed is not None:
        scores = scores.masked_fill(~given.allowed, -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0) @ given.value
