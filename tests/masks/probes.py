"""Masks beside their cells, the latter written down by loops over positions that share nothing with the package."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from attention_surgeon import masks
from attention_surgeon.masks import Mask

Batch = tuple[int, ...]


class Case(NamedTuple):
    """A mask and the cells it must have, `(*batch, n_q, n_k)` with the batch axes it happens to have."""

    mask: Mask
    cells: Tensor


Recipe = Callable[[], Case]
"""What to make, not yet made: the test hook draws random numbers, which Hypothesis forbids while it draws."""


def cells_where(n_q: int, n_k: int, may_attend: Callable[[int, int], bool]) -> Tensor:
    rows = [[may_attend(q, k) for k in range(n_k)] for q in range(n_q)]
    return torch.tensor(rows, dtype=torch.bool).reshape(n_q, n_k)


def random_cells(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6


def causal(n_q: int, n_k: int, align: str, number: int) -> Case:
    own = own_key(n_q, n_k, align)
    return Case(masks.causal_mask(n_q, n_k, align), cells_where(n_q, n_k, lambda q, k: k <= q + own))


def reverse(n_q: int, n_k: int, align: str, number: int) -> Case:
    own = own_key(n_q, n_k, align)
    return Case(masks.reverse_mask(n_q, n_k, align), cells_where(n_q, n_k, lambda q, k: k >= q + own))


def window(n_q: int, n_k: int, align: str, number: int) -> Case:
    own = own_key(n_q, n_k, align)
    mask = masks.window_mask(n_q, n_k, size=number, align=align)
    return Case(mask, cells_where(n_q, n_k, lambda q, k: k in range(q + own - number + 1, q + own + 1)))


def two_sided_window(n_q: int, n_k: int, align: str, number: int) -> Case:
    own = own_key(n_q, n_k, align)
    mask = masks.window_mask(n_q, n_k, size=number, align=align, is_causal=False)
    return Case(mask, cells_where(n_q, n_k, lambda q, k: abs(q + own - k) < number))


def prefix(n_q: int, n_k: int, align: str, number: int) -> Case:
    own, prefix_len = own_key(n_q, n_k, align), min(number - 1, n_k)
    mask = masks.prefix_mask(n_q, n_k, prefix_len=prefix_len, align=align)
    return Case(mask, cells_where(n_q, n_k, lambda q, k: k < prefix_len or k <= q + own))


def own_key(n_q: int, n_k: int, align: str) -> int:
    """Return how far to the right of its row number a query's own key stands."""
    return n_k - n_q if align == "end" else 0


def padding(batch: Batch, n_k: int, seed: int) -> Case:
    lengths = torch.randint(0, n_k + 1, batch, generator=torch.Generator().manual_seed(seed))
    cells = torch.tensor([[k < length for k in range(n_k)] for length in lengths.flatten().tolist()])
    return Case(masks.padding_mask(lengths, n_k), cells.bool().reshape(*batch, 1, n_k))


def token_padding(batch: Batch, n_k: int, seed: int) -> Case:
    tokens = torch.randint(0, 3, (*batch, n_k), generator=torch.Generator().manual_seed(seed))
    cells = torch.tensor([token != 2 for token in tokens.flatten().tolist()], dtype=torch.bool)
    return Case(masks.token_padding_mask(tokens, 2), cells.reshape(*batch, 1, n_k))


def document(batch: Batch, n_q: int, n_k: int, seed: int, is_packed: bool) -> Case:
    """Documents that lie one after the other, or are scattered."""
    generator = torch.Generator().manual_seed(seed)
    queries, keys = (torch.randint(0, 3, (*batch, n), generator=generator) for n in (n_q, n_k))
    if is_packed:
        queries, keys = queries.sort(-1).values, keys.sort(-1).values
    num_rows = math.prod(batch)
    cells = [
        [a == b for a in query for b in key]
        for query, key in zip(
            queries.reshape(num_rows, n_q).tolist(), keys.reshape(num_rows, n_k).tolist(), strict=True
        )
    ]
    return Case(masks.document_mask(queries, keys), torch.tensor(cells).bool().reshape(*batch, n_q, n_k))


def given_cells(batch: Batch, rows: int, n_k: int, seed: int, dtype: torch.dtype) -> Case:
    cells = random_cells(*batch, rows, n_k, seed=seed)
    return Case(masks.tensor_mask(cells.to(dtype)), cells)


def combined(one: Recipe, other: Recipe, how: str) -> Case:
    (mask, cells), (other_mask, other_cells) = one(), other()
    match how:
        case "&":
            return Case(mask & other_mask, cells & other_cells)
        case "|":
            return Case(mask | other_mask, cells | other_cells)
        case "tensor &":
            return Case(cells & other_mask, cells & other_cells)
        case _:
            return Case(mask | other_cells, cells | other_cells)


def inverted(one: Recipe) -> Case:
    mask, cells = one()
    return Case(~mask, ~cells)


def spread(one: Recipe, shape: tuple[int, ...]) -> Case:
    mask, cells = one()
    return Case(mask.broadcast_to(shape), cells.expand(shape))


def forms(batch: Batch, n_q: int, n_k: int) -> st.SearchStrategy[Recipe]:
    """Draw a mask of any form, with the batch or without."""
    positional = st.sampled_from([causal, reverse, window, two_sided_window, prefix])
    align, number = st.sampled_from(["end", "start"]), st.integers(1, 4)
    batches, seed, boolean = st.sampled_from([batch, ()]), st.integers(0, 99), st.booleans()
    rows, dtype = st.sampled_from([n_q, 1]), st.sampled_from([torch.bool, torch.uint8, torch.int64])
    q, k = st.just(n_q), st.just(n_k)
    return st.one_of(
        st.builds(partial, positional, q, k, align, number),
        st.builds(partial, st.sampled_from([padding, token_padding]), batches, k, seed),
        st.builds(partial, st.just(document), batches, q, k, seed, boolean),
        st.builds(partial, st.just(given_cells), batches, rows, k, seed, dtype),
    )


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Draw any composition, spread over `(*batch, n_q, n_k)`."""
    batch = draw(st.sampled_from([(), (2,), (3, 2), (0,)]))
    n_q, n_k = draw(st.integers(0, 7)), draw(st.integers(0, 7))
    how = st.sampled_from(["&", "|", "tensor &", "| tensor"])
    recipe = draw(
        st.recursive(
            forms(batch, n_q, n_k),
            lambda inner: (
                st.builds(partial, st.just(combined), inner, inner, how) | st.builds(partial, st.just(inverted), inner)
            ),
            max_leaves=5,
        )
    )
    return partial(spread, recipe, (*batch, n_q, n_k))
