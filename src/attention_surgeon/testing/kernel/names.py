"""Names for what a kernel does wrong: the faults of the catalogue that give the same wrong answer."""

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from attention_surgeon.testing.kernel.call import KernelCall
from attention_surgeon.testing.kernel.limits import Asker, Outcome
from attention_surgeon.testing.kernel.right import FORGOTTEN, allowed_error, in_tiles, operands_of

_NEAR = 0.02  # of how far the kernel is from right
_BLOCKS = (2, 3, 4, 8, 16, 24, 32, 40, 48, 64, 80, 96, 128, 256, 512)


def name_of(asker: Asker, *calls: KernelCall) -> str | None:
    """Return the fault of the catalogue that answers as the kernel does in all of these calls; None for none."""
    found = [_names_of(asker, call, asker.ask(call)) for call in dict.fromkeys(calls)]
    return next((name for name in found[0] if all(name in names for names in found)), None)


def _names_of(asker: Asker, call: KernelCall, outcome: Outcome) -> list[str]:
    if outcome.output is None:
        return []
    if call.rows in ("low", "lowest", "high"):
        is_overflow = call.rows == "high" and not outcome.output[:, :, ::2].isfinite().all()
        return ["softmax_no_max_subtraction" if is_overflow else "running_maximum_finite"]
    if call.rows == "apart":
        return ["mask_fill_too_small"]
    off = _distance(asker.right(call), outcome.output)
    near = max(allowed_error(call, asker.way.align), _NEAR * off)
    is_near = near > off / 4  # too near to right to tell what it is
    names = [] if is_near else [name for name, x in _answers(call, asker) if _distance(x, outcome.output) <= near]
    return names or (["sums_in_low_precision"] if off <= 2 * _error_of_sums(call, asker) else [])


def _error_of_sums(call: KernelCall, asker: Asker) -> float:
    """Return how far an answer is off whose sums are kept in the dtype of the operands, key by key."""
    if call.dtype not in ("float16", "bfloat16"):
        return 0.0
    given = operands_of(asker.meant(call), asker.way.align)
    dtype = getattr(torch, call.dtype)
    query, key, value = (x.to(dtype) for x in (given.query, given.key, given.value))
    small = dataclasses.replace(given, query=query, key=key, value=value, dtype=dtype)
    return _distance(asker.right(call), in_tiles(small, 1).double())


def _distance(one: Tensor, two: Tensor) -> float:
    """Return how far two answers lie apart where both are numbers, which they must be in most places."""
    if one.shape != two.shape:
        return float("inf")
    off = (one - two).abs()
    numbers = off.isfinite()
    return float(off[numbers].max()) if 2 * int(numbers.sum()) > off.numel() else float("inf")


def _answers(call: KernelCall, asker: Asker) -> Iterator[tuple[str, Tensor]]:
    """Yield what faults of the catalogue would answer to a call."""
    given = operands_of(call, asker.way.align)
    if call.kv_heads != call.heads:
        drawn = call.operands()
        tiled = [drawn[name].double().repeat(1, call.heads // call.kv_heads, 1, 1) for name in ("k", "v")]
        answer = _attend(given.query, tiled[0], tiled[1], given.allowed, given.bias)
        yield "heads_tiled", answer
        yield "heads_tiled", answer.unflatten(1, (-1, call.kv_heads)).transpose(1, 2).flatten(1, 2)
    if asker.meant(call).is_causal:
        seen = torch.ones(call.n_q, call.n_k, dtype=torch.bool)
        yield "causal_ignored", _attend(given.query, given.key, given.value, seen, given.bias)
        seen[:, : call.n_q] = seen[:, : call.n_q].tril()  # cut from the start, and nothing hidden behind it
        yield "causal_aligned_at_start", _attend(given.query, given.key, given.value, seen, given.bias)
    if call.mask is not None:
        weights = _attend(given.query, given.key, torch.eye(call.n_k, dtype=torch.float64), None, None)
        yield "mask_ignored", weights @ given.value
        late = weights + given.bias if given.bias is not None else weights * _as_numbers(given.allowed)
        yield "mask_after_softmax", late @ given.value
        if given.allowed is not None:
            yield "mask_inverted", _attend(given.query, given.key, given.value, ~given.allowed, None)
    if call.scale is not None:
        usual = given.query / (call.scale * call.width**0.5)
        yield "scale_flag_ignored", _attend(usual, given.key, given.value, given.allowed, given.bias)
    for block in _BLOCKS:
        whole = call.n_k // block * block
        if 0 < whole < call.n_k:
            seen = None if given.allowed is None else given.allowed[..., :whole]
            yield (
                "tail_dropped",
                _attend(given.query, given.key[..., :whole, :], given.value[..., :whole, :], seen, None),
            )
        if block < call.n_k:
            for part in FORGOTTEN:
                yield "online_softmax_not_rescaled", in_tiles(given, block, part)


def _as_numbers(allowed: Tensor | None) -> Tensor | float:
    return 1.0 if allowed is None else allowed.double()


def _attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, bias: Tensor | None) -> Tensor:
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if bias is not None:
        scores = scores + bias
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0) @ value
