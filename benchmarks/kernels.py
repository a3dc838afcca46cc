"""What is a mask worth to a kernel that knows its tiles? Ours with the rule, SDPA with the same mask written out.

python -m benchmarks.table --only kernels
"""

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from attention_surgeon.kernels import tiled_attention
from attention_surgeon.masks import Mask, causal_mask, document_mask, prefix_mask, window_mask
from benchmarks.rows import Row, rows_of
from benchmarks.side_by_side import alternate

HEADS, SIZE, DOCUMENT, PREFIX, WINDOW = 8, 64, 700, 1000, 256
LONGEST = 30.0
"""Seconds that one case may go on before no further turn is begun."""


def _documents(n: int) -> Mask:
    return document_mask(torch.arange(n) // DOCUMENT)


MASKS: dict[str, Callable[[int], Mask]] = {
    f"window of {WINDOW}": lambda n: window_mask(n, size=WINDOW),
    f"documents of {DOCUMENT}": _documents,
    f"documents of {DOCUMENT}, causal": lambda n: _documents(n) & causal_mask(n),
    f"prefix of {PREFIX}": lambda n: prefix_mask(n, prefix_len=PREFIX),
}


def rows(is_quick: bool = False) -> Iterator[Row]:
    """Yield two rows for each mask, ours and SDPA's."""
    tokens = 1024 if is_quick else 8192
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, HEADS, tokens, SIZE, generator=generator) for _ in range(3))
    for name, make in MASKS.items():
        mask = make(tokens)
        dense = mask.dense()
        contenders = {
            "ours": lambda mask=mask: tiled_attention(query, key, value, mask),
            "SDPA": lambda dense=dense: F.scaled_dot_product_attention(query, key, value, dense),
        }
        timings = alternate(contenders, turns=5, at_most=LONGEST)
        setting = f"{HEADS} heads x {SIZE}, float32"
        yield from rows_of(f"forward, {name}", tokens, setting, timings, is_headline=name.startswith("window"))
