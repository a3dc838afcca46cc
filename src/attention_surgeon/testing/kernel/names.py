"""Names for what a kernel does wrong: the faults of the catalogue that give the same wrong answer."""

from collections.abc import Iterator

import torch
from torch import Tensor

from attention_surgeon.ops import Operands
from attention_surgeon.testing.kernel.call import KernelCall
from attention_surgeon.testing.kernel.limits import Asker, Outcome
from attention_surgeon.testing.kernel.right import allowed_error, operands_of

_NEAR = 0.02  # of how far the kernel is from right
_BLOCKS = (8, 16, 24, 32, 40, 48, 64, 80, 96, 128, 256, 512)


def name_of(asker: Asker, *calls: KernelCall) -> str | None:
    """Return the fault of the catalogue that answers as the kernel does in all of these calls; None for none."""
    found = [_names_of(asker, call, asker.ask(call)) for call in dict.fromkeys(calls)]
    return next((name for name in found[0] if all(name in names for names in found)), None)


def _names_of(asker: Asker, call: KernelCall, outcome: Outcome) -> list[str]:
    if call.rows == "low":
        return ["running_maximum_finite"]
    if outcome.output is None:
        return []
    if outcome.distance == float("inf"):
        return ["softmax_no_max_subtraction"] if call.rows == "high" else []
    near = max(allowed_error(call, asker.way.align), _NEAR * outcome.distance)
    if near > outcome.distance / 4:
        return []  # too near to right to tell what it is
    return [name for name, answer in _answers(call, asker) if _distance(answer, outcome.output) <= near]


def _distance(one: Tensor, two: Tensor) -> float:
    return float((one - two).abs().nan_to_num(float("inf")).max()) if one.shape == two.shape else float("inf")


def _answers(call: KernelCall, asker: Asker) -> Iterator[tuple[str, Tensor]]:
    """Yield what faults of the catalogue would answer to a call."""
    given = operands_of(call, asker.way.align)
    if call.kv_heads != call.heads:
        drawn = call.operands()
        tiled = [drawn[name].double().repeat(1, call.heads // call.kv_heads, 1, 1) for name in ("k", "v")]
        yield "heads_tiled", _attend(given.query, tiled[0], tiled[1], given.allowed, given.bias)
    if call.is_causal:
        yield "causal_ignored", _attend(given.query, given.key, given.value, None, given.bias)
    if call.mask is not None:
        yield "mask_ignored", _attend(given.query, given.key, given.value, None, None)
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
            for part in ("output", "sum", "both"):
                yield "online_softmax_not_rescaled", _in_blocks(given, block, part)


def _attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, bias: Tensor | None) -> Tensor:
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if bias is not None:
        scores = scores + bias
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0) @ value


def _in_blocks(given: Operands, block: int, forgotten: str) -> Tensor:
    """Return the answer of an online softmax that forgets to rescale its output, its sum, or both."""
    scores = given.query @ given.key.transpose(-2, -1) * given.query.shape[-1] ** -0.5
    if given.allowed is not None:
        scores = scores.masked_fill(~given.allowed, -torch.inf)
    top = torch.full((*scores.shape[:-1], 1), -torch.inf, dtype=torch.float64)
    total, output = (
        torch.zeros_like(top),
        torch.zeros_like(given.query @ given.value[..., :1, :].mT * given.value[..., :1, :]),
    )
    for start in range(0, scores.shape[-1], block):
        part = scores[..., start : start + block]
        new = torch.maximum(top, part.amax(-1, keepdim=True))
        safe = new.nan_to_num(neginf=0.0)
        weights, factor = (part - safe).exp(), (top - safe).exp()
        total = total * (1 if forgotten in ("sum", "both") else factor) + weights.sum(-1, keepdim=True)
        output = (
            output * (1 if forgotten in ("output", "both") else factor)
            + weights @ given.value[..., start : start + block, :]
        )
        top = new
    return output / total
