"""What is a mask worth to a kernel that knows its tiles? Ours and flex with the rule, SDPA with it written out.

python -m benchmarks.table --only kernels
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon.kernels import tiled_attention
from attention_surgeon.masks import Mask, causal_mask, document_mask, prefix_mask, window_mask
from benchmarks.peers import compiled_flex
from benchmarks.rows import Row, rows_of
from benchmarks.side_by_side import Work, alternate

SIZE, DOCUMENT, PREFIX, WINDOW = 64, 700, 1000, 256
LONGEST = 30.0
"""Seconds that one case may go on before no further turn is begun."""


def _documents(n: int) -> Mask:
    return document_mask(torch.arange(n) // DOCUMENT)


Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""As flex wants it: whether a query sees a key, by batch, head, query and key."""

MASKS: dict[str, tuple[Callable[[int], Mask], Rule]] = {
    f"window of {WINDOW}": (
        lambda n: window_mask(n, size=WINDOW),
        lambda batch, head, q, k: (k <= q) & (q - k < WINDOW),
    ),
    f"documents of {DOCUMENT}": (_documents, lambda batch, head, q, k: q // DOCUMENT == k // DOCUMENT),
    f"documents of {DOCUMENT}, causal": (
        lambda n: _documents(n) & causal_mask(n),
        lambda batch, head, q, k: (q // DOCUMENT == k // DOCUMENT) & (k <= q),
    ),
    f"prefix of {PREFIX}": (
        lambda n: prefix_mask(n, prefix_len=PREFIX),
        lambda batch, head, q, k: (k < PREFIX) | (k <= q),
    ),
}


def rows(is_quick: bool = False) -> Iterator[Row]:
    """Yield a row for each mask and contender, at one head and at eight; the quick run leaves flex out."""
    tokens = 1024 if is_quick else 8192
    for heads in (1, 8):
        generator = torch.Generator().manual_seed(0)
        operands = [torch.randn(1, heads, tokens, SIZE, generator=generator) for _ in range(3)]
        for name in MASKS:
            timings = alternate(_works(name, operands, with_flex=not is_quick), turns=7, at_most=LONGEST)
            setting = f"{heads} head{'s' if heads > 1 else ''} x {SIZE}, float32"
            is_headline = heads > 1 and name.startswith("window")
            yield from rows_of(f"forward, {name}", tokens, setting, timings, is_headline=is_headline)
            if not is_quick:
                both = alternate(_with_backward(name, operands), turns=3, at_most=LONGEST)
                yield from rows_of(f"forward and backward, {name}", tokens, setting, both)
                yield Row(f"forward and backward, {name}", tokens, setting, "flex", note="has no backward on a CPU")


def _works(name: str, operands: Sequence[Tensor], *, with_flex: bool) -> dict[str, Work]:
    query, key, value = operands
    make, rule = MASKS[name]
    mask = make(query.shape[-2])
    dense = mask.dense()
    works: dict[str, Work] = {
        "ours": lambda: tiled_attention(query, key, value, mask),
        "SDPA": lambda: F.scaled_dot_product_attention(query, key, value, dense),
    }
    return works | ({"flex": _flex(query, key, value, rule)} if with_flex else {})


def _with_backward(name: str, operands: Sequence[Tensor]) -> dict[str, Work]:
    given = [x.clone().requires_grad_() for x in operands]
    mask = MASKS[name][0](given[0].shape[-2])
    dense = mask.dense()

    def ours() -> object:
        return torch.autograd.grad(tiled_attention(*given, mask).sum(), given)

    def sdpa() -> object:
        return torch.autograd.grad(F.scaled_dot_product_attention(*given, dense).sum(), given)

    return {"ours": ours, "SDPA": sdpa}


def _flex(query: Tensor, key: Tensor, value: Tensor, rule: Rule) -> Work:
    """Return the call of flex_attention, compiled before the clock starts."""
    from torch.nn.attention.flex_attention import create_block_mask

    tokens = query.shape[-2]
    compiled = compiled_flex()
    block_mask = create_block_mask(rule, None, None, tokens, tokens, device="cpu")

    def work() -> object:
        with torch.no_grad():
            return compiled(query, key, value, block_mask=block_mask)

    work()
    return work
