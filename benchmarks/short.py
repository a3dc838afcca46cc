"""Where most calls are: one query against a cache, short sequences, batches, low precision.

python -m benchmarks.table --only short

Such calls take microseconds, so each turn makes as many as fill `AT_LEAST` seconds, and a time is that of one. Three
operations of torch, two products and a softmax, without a scale or a look at what is given, are the least that anything
written in Python takes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.nn import functional as F

from attention_surgeon.kernels import tiled_attention
from benchmarks.rows import Row, rows_of
from benchmarks.side_by_side import Timing, Work, alternate

SIZE = 64
AT_LEAST = 0.02
LONGEST = 10.0
"""Seconds that one case may go on before no further turn is begun."""


class Shape(NamedTuple):
    """One call, named `what` in the table; `shared` is the number of heads of keys, 0: as many as of queries."""

    what: str
    batch: int
    heads: int
    queries: int
    keys: int
    dtype: torch.dtype = torch.float32
    shared: int = 0
    with_backward: bool = False

    @property
    def setting(self) -> str:
        """`16 x 8 heads x 64, float32`."""
        batch = f"{self.batch} x " if self.batch > 1 else ""
        heads = f"{self.heads} head{'' if self.heads == 1 else 's'}"
        groups = f" on {self.shared}" if self.shared else ""
        return f"{batch}{heads}{groups} x {SIZE}, {str(self.dtype).removeprefix('torch.')}"


SHAPES = (
    Shape("one query, a cache", 1, 1, 1, 1024),
    Shape("one query, a cache", 1, 8, 1, 1024),
    Shape("one query, a cache", 1, 1, 1, 8192),
    Shape("one query, a cache", 1, 8, 1, 8192),
    Shape("one query, a cache, shared heads", 1, 8, 1, 8192, shared=2),
    Shape("16 queries, a cache", 1, 1, 16, 4096),
    Shape("short", 1, 8, 128, 128),
    Shape("short", 16, 8, 128, 128),
    Shape("short", 1, 1, 512, 512),
    Shape("short", 1, 8, 512, 512),
    Shape("short, bfloat16", 1, 8, 512, 512, torch.bfloat16),
    Shape("short, forward and backward", 1, 8, 512, 512, with_backward=True),
    Shape("forward and backward", 1, 8, 2048, 2048, with_backward=True),
    Shape("forward and backward", 1, 8, 2048, 2048, torch.bfloat16, with_backward=True),
    Shape("forward and backward", 1, 8, 2048, 2048, torch.float16, with_backward=True),
)


def rows(is_quick: bool = False) -> Iterator[Row]:
    """Yield the rows of each shape."""
    for shape in SHAPES:
        if is_quick and shape.queries * shape.keys > 2**18:
            continue
        works = _works(shape)
        calls = _calls(works["SDPA"])
        many = {name: _repeated(work, calls) for name, work in works.items()}
        taken = alternate(many, turns=5 if is_quick else 15, at_most=LONGEST)
        timings = {name: Timing(tuple(each / calls for each in timing.taken)) for name, timing in taken.items()}
        what = shape.what if shape.queries == shape.keys else f"{shape.what} of {shape.keys:,}"
        yield from rows_of(what, shape.queries, shape.setting, timings)


def _works(shape: Shape) -> dict[str, Work]:
    generator = torch.Generator().manual_seed(0)

    def drawn(heads: int, tokens: int) -> torch.Tensor:
        made = torch.randn(shape.batch, heads, tokens, SIZE, generator=generator).to(shape.dtype)
        return made.requires_grad_(shape.with_backward)

    others = shape.shared or shape.heads
    tensors = drawn(shape.heads, shape.queries), drawn(others, shape.keys), drawn(others, shape.keys)
    is_shared = bool(shape.shared)

    def ours() -> object:
        return _both(tiled_attention(*tensors, use_shared_heads=is_shared), tensors, shape.with_backward)

    def peer() -> object:
        output = F.scaled_dot_product_attention(*tensors, enable_gqa=is_shared)
        return _both(output, tensors, shape.with_backward)

    query, key, value = (x.detach().flatten(0, 1) for x in tensors)

    def least() -> object:
        return torch.bmm(torch.bmm(query, key.mT).softmax(-1), value)

    is_plain = not (is_shared or shape.with_backward)
    return {"ours": ours, "SDPA": peer} | ({"three operations": least} if is_plain else {})


def _both(output: torch.Tensor, tensors: tuple[torch.Tensor, ...], with_backward: bool) -> object:
    return torch.autograd.grad(output, tensors, torch.ones_like(output)) if with_backward else output


def _calls(work: Work) -> int:
    """Return how many calls fill a turn."""
    work()
    once = alternate({"once": work}, turns=3)["once"].median
    return max(1, int(AT_LEAST / once))


def _repeated(work: Work, calls: int) -> Work:
    def many() -> None:
        for _ in range(calls):
            work()

    return many
