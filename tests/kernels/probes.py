"""What the tests of the kernels share: sizes that are distinct primes, drawn masks, and the oracle's answers."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from attention_surgeon import masks
from attention_surgeon.kernels import tiled_attention
from attention_surgeon.masks import Mask
from attention_surgeon.ops import attention
from attention_surgeon.ops.operands import MaskLike

BATCH, HEADS, N_Q, N_K, D_K, D_V = 2, 3, 23, 37, 5, 11
"""More queries and keys than the small tiles of the tests have, and a ragged tail of both."""

MASKS = {
    "none": lambda q, k: None,
    "causal": masks.causal_mask,
    "causal from the start": lambda q, k: masks.causal_mask(q, k, align="start"),
    "reverse": masks.reverse_mask,
    "window": lambda q, k: masks.window_mask(q, k, size=7),
    "window on both sides": lambda q, k: masks.window_mask(q, k, size=5, is_causal=False),
    "prefix": lambda q, k: masks.prefix_mask(q, k, prefix_len=min(13, k)),
    "documents": lambda q, k: masks.document_mask(torch.arange(q) // 6, torch.arange(k) // 9),
    "causal and documents": lambda q, k: (
        masks.causal_mask(q, k) & masks.document_mask(torch.arange(q) // 6, torch.arange(k) // 9)
    ),
    "not causal": lambda q, k: ~masks.causal_mask(q, k),
    "padding": lambda q, k: masks.padding_mask([k, k // 2], n_k=k).with_heads(),
    "pairs of keys": lambda q, k: masks.token_padding_mask(torch.arange(k) // 2 % 3, padding_id=0),
    "boolean": lambda q, k: ragged(q, k),
    "boolean for each head": lambda q, k: ragged(BATCH, HEADS, q, k),
    "boolean for each sequence": lambda q, k: ragged(BATCH, 1, q, k),
    "boolean of one row": lambda q, k: ragged(k),
    "boolean of one column": lambda q, k: ragged(q, 1),
    "integers": lambda q, k: ragged(q, k).long(),
    "added": lambda q, k: added(q, k),
    "added for each head": lambda q, k: added(HEADS, q, k),
    "added and lowest": lambda q, k: added(q, k).nan_to_num(neginf=torch.finfo(torch.bfloat16).min),
    "added and large": lambda q, k: 1000 * added(q, k),
    "added by blocks": lambda q, k: (torch.arange(q)[:, None] // 4 + torch.arange(k) // 8) * 0.7,
    "added of one row": lambda q, k: added(k),
    "nothing": lambda q, k: torch.zeros(q, k, dtype=torch.bool),
}
"""Masks by name, each made from n_q and n_k."""


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def ragged(*shape: int) -> Tensor:
    """Return a boolean mask that hides about half; of two axes, query 1 sees nothing."""
    allowed = draw(*shape, seed=97) > 0
    if shape[-2:][0] > 1 and len(shape) > 1:
        allowed[..., 1, :] = False
    return allowed


def added(*shape: int) -> Tensor:
    return draw(*shape, seed=89).masked_fill(~ragged(*shape), -torch.inf)


class Operands(NamedTuple):
    query: Tensor
    key: Tensor
    value: Tensor


def operands(
    n_q: int = N_Q, n_k: int = N_K, *, seed: int = 0, dtype: torch.dtype = torch.float64, spread: float = 1.0
) -> Operands:
    shapes = ((n_q, D_K), (n_k, D_K), (n_k, D_V))
    drawn = [draw(BATCH, HEADS, *shape, seed=seed + number) for number, shape in enumerate(shapes)]
    drawn[0] *= spread
    return Operands(*(x.to(dtype) for x in drawn))


Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def output_and_gradients(attend: Attend, given: Operands, *others: Tensor) -> list[Tensor]:
    """Return what `attend` gives, and the gradients of a loss that weighs every entry differently."""
    leaves = [x.detach().clone().requires_grad_() for x in given]
    output = attend(*leaves)
    upstream = draw(*output.shape, seed=101).to(output.dtype)
    return [output.detach(), *torch.autograd.grad(output, [*leaves, *others], upstream, materialize_grads=True)]


def truth(given: Operands, mask: MaskLike | None = None, scale: bool = True) -> list[Tensor]:
    """Return the oracle's output and gradients in float64."""
    wide = Operands(*(x.double() for x in given))
    return output_and_gradients(lambda q, k, v: attention(q, k, v, mask, scale)[0], wide)


def tiled(given: Operands, mask: MaskLike | None = None, **options: object) -> list[Tensor]:
    return output_and_gradients(lambda q, k, v: tiled_attention(q, k, v, mask, **options), given)


def assert_same(ours: list[Tensor], theirs: list[Tensor], error: float) -> None:
    """Compare output, dQ, dK and dV, each against its own largest entry."""
    for name, one, other in zip(("output", "dQ", "dK", "dV", "dmask"), ours, theirs, strict=False):
        assert one.shape == other.shape, name
        assert bool(one.isfinite().all()), name
        largest = max(1.0, float(other.abs().max())) if other.numel() else 1.0
        assert float((one - other).abs().max() if one.numel() else 0.0) <= error * largest, name


def build_mask(names: tuple[str, ...], number: int, n_q: int, n_k: int) -> Mask | Tensor | None:
    """Return a mask of that number, or two of them put together.

    Args:
        names: "and", "or", "not" or "as it is", then one or two of `SIMPLE`; nothing: no mask.
        number: Width, prefix or seed.
        n_q: Queries.
        n_k: Keys.
    """
    if not names:
        return None
    how, *simple = names
    first, *second = (SIMPLE[name](number, n_q, n_k) for name in simple)
    if how == "not":
        return ~first
    if not second:
        return first.dense() if how == "dense" else first
    return first & second[0] if how == "and" else first | second[0]


SIMPLE = {
    "causal": lambda number, q, k: masks.causal_mask(q, k, align=("end", "start")[number % 2]),
    "window": lambda number, q, k: masks.window_mask(q, k, size=number),
    "prefix": lambda number, q, k: masks.prefix_mask(q, k, prefix_len=min(number, k)),
    "documents": lambda number, q, k: masks.document_mask(torch.arange(q) // number, torch.arange(k) // number),
    "tensor": lambda number, q, k: masks.tensor_mask(draw(q, k, seed=number) > 0),
}

MASK_NAMES = st.one_of(
    st.just(()),
    st.tuples(st.sampled_from(["as it is", "dense", "not"]), st.sampled_from([*SIMPLE])),
    st.tuples(st.sampled_from(["and", "or"]), st.sampled_from([*SIMPLE]), st.sampled_from([*SIMPLE])),
)
