"""What do all statistics and both maps of a long context cost, next to the attention itself?

python -m benchmarks.table --only scan
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_surgeon.masks import Mask, causal_mask, window_mask
from attention_surgeon.ops import attention
from attention_surgeon.stats import PER_HEAD, head_statistics, pool_weights, scan_attention
from benchmarks.rows import Row, rows_of
from benchmarks.side_by_side import Work, alternate, peak_extra_memory

SIZES = (512, 1024, 2048, 4096, 16384, 65536)
QUICK_SIZES = (512, 1024, 2048)
HEAD_SIZE = 64
WINDOW = 256
SHORT = 4096
"""Up to so many tokens a turn takes milliseconds, and a few turns more say which of them were disturbed."""
LONGEST = 25.0
"""Seconds that one case may go on before no further turn is begun."""

_WHATS = {
    "statistics": "statistics and maps, causal",
    "with value": "statistics, maps and output, causal",
    "with tokens": "statistics, maps and induction, causal",
    "window": f"statistics and maps, window of {WINDOW}",
}


def rows(is_quick: bool = False) -> Iterator[Row]:
    """Yield a row for the scan and one for SDPA on the same head, for each size."""
    for kind in _WHATS:
        for tokens in QUICK_SIZES if is_quick else SIZES:
            timings = alternate(_works(kind, tokens), turns=5 if tokens > SHORT else 21, at_most=LONGEST)
            memory = {"ours": peak_extra_memory("benchmarks.scan:memory_of", kind=kind, tokens=tokens)}
            notes = {"ours": _apart(tokens)} if kind == "statistics" and tokens == 4096 else {}
            yield from rows_of(
                _WHATS[kind],
                tokens,
                f"1 head x {HEAD_SIZE}, float32",
                timings,
                memory=memory,
                notes=notes,
                is_headline=kind == "statistics" and tokens == max(SIZES),
            )


def memory_of(kind: str, tokens: int) -> Work:
    """Return the scan alone, for a process in which its memory is measured."""
    return _scan(kind, *_operands(tokens))


def largest_difference(tokens: int) -> float:
    """Return by how much, relatively, any number of the scan differs from that of the weights written out."""
    query, key, _ = _operands(tokens)
    mask = causal_mask(tokens)
    _, weights = attention(query.double(), key.double(), key.double(), mask)
    dense, scan = head_statistics(weights, mask), scan_attention(query, key, mask=mask)
    pooled = pool_weights(weights)
    pairs = [(getattr(dense, name), getattr(scan.statistics, name)) for name in (*PER_HEAD, "received")]
    pairs += [(pooled.mean, scan.map.mean), (pooled.largest, scan.map.largest)] if scan.map is not None else []
    return max(_relative(one, other) for one, other in pairs if one is not None and other is not None)


def _relative(one: Tensor, other: Tensor) -> float:
    wanted, found = one.double(), other.double()
    known = wanted.isfinite() & (wanted != 0)
    return float(((found - wanted).abs() / wanted.abs())[known].max()) if bool(known.any()) else 0.0


def _apart(tokens: int) -> str:
    return f"every number within {largest_difference(tokens):.1g} of the weights written out"


def _operands(tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = torch.randn(3, 1, 1, tokens, HEAD_SIZE, generator=torch.Generator().manual_seed(0))
    return query, key, value


def _works(kind: str, tokens: int) -> dict[str, Work]:
    query, key, value = _operands(tokens)
    return {
        "ours": _scan(kind, query, key, value),
        "SDPA": lambda: F.scaled_dot_product_attention(query, key, value, is_causal=True),
    }


def _scan(kind: str, query: Tensor, key: Tensor, value: Tensor) -> Work:
    tokens = query.shape[-2]
    mask: Mask = window_mask(tokens, size=WINDOW) if kind == "window" else causal_mask(tokens)
    given = value if kind == "with value" else None
    numbers = None
    if kind == "with tokens":  # as often as words come in a text: a few make up half of it
        drawn = torch.rand(tokens, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        numbers = (20_000**drawn).long()
    return lambda: scan_attention(query, key, given, mask, tokens=numbers)
