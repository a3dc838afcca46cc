"""Who is measured against `tiled_attention`, and what each of them is, precisely.

ours    `attention_surgeon.kernels.tiled_attention`
naive   three lines of PyTorch in the dtype of the inputs, as a textbook writes them: scores, softmax, product; the
        n x n scores and the n x n weights stand in memory
SDPA    `torch.nn.functional.scaled_dot_product_attention`; a mask other than causal as a dense boolean one, made
        before the clock starts
flex    `torch.nn.attention.flex_attention`, compiled; its block mask and its compilation are made before the clock
        starts and stated apart
MHA     `torch.nn.MultiheadAttention` in eval mode without weights, as wide as all heads; it also does the four
        projections that the others do not
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon.kernels import tiled_attention
from attention_surgeon.masks import Mask, causal_mask, window_mask
from benchmarks.side_by_side import Work

Direction = Literal["forward", "forward and backward"]
MOST_MEMORY = 0.5
"""The share of this machine's memory that a contender may need."""


class Left(Exception):
    """A contender does not take part; the text says why, and is shown."""


@dataclass(frozen=True)
class Case:
    """One call of attention.

    Attributes:
        tokens: How many queries, and keys.
        heads: How many heads.
        size: How wide each is.
        window: How many keys a query sees, itself and those before it; None: no window.
        is_causal: Whether a query sees no later key.
        direction: Whether gradients are computed too.
        dtype: "float32" or "bfloat16".
    """

    tokens: int
    heads: int = 1
    size: int = 64
    window: int | None = None
    is_causal: bool = False
    direction: Direction = "forward"
    dtype: str = "float32"

    @property
    def what(self) -> str:
        """`forward, causal`."""
        if self.window is not None:
            return f"{self.direction}, window of {self.window}"
        return f"{self.direction}, causal" if self.is_causal else self.direction

    @property
    def setting(self) -> str:
        """`8 heads x 64, float32`."""
        return f"{self.heads} head{'' if self.heads == 1 else 's'} x {self.size}, {self.dtype}"

    @cached_property
    def inputs(self) -> list[Tensor]:
        """Query, key and value, the same numbers every time; they want gradients if those are computed."""
        generator = torch.Generator().manual_seed(0)
        shape = (1, self.heads, self.tokens, self.size)
        made = [torch.randn(shape, generator=generator).to(getattr(torch, self.dtype)) for _ in range(3)]
        return [each.requires_grad_(self.direction != "forward") for each in made]

    @property
    def mask(self) -> Mask | None:
        """The mask as a rule."""
        if self.window is not None:
            return window_mask(self.tokens, size=self.window)
        return causal_mask(self.tokens) if self.is_causal else None

    def work(self, attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Work:
        """Return the call to be timed, with its gradients if they are wanted."""
        query, key, value = self.inputs

        def forward() -> Tensor:
            with torch.no_grad():
                return attend(query, key, value)

        def both() -> tuple[Tensor, ...]:
            output = attend(query, key, value)
            return torch.autograd.grad(output, (query, key, value), torch.ones_like(output))

        return forward if self.direction == "forward" else both

    def require_memory(self, squares: float) -> None:
        """Refuse what needs more than this machine has: `squares` times n x n numbers for each head.

        Raises:
            Left: with what it needs.
        """
        width = 4 if self.dtype == "float32" else 2
        need = squares * self.heads * self.tokens**2 * width
        have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if need > MOST_MEMORY * have:
            raise Left(f"needs {need / 2**30:.0f} GiB")


def ours(case: Case) -> Work:
    mask = case.mask
    return case.work(lambda query, key, value: tiled_attention(query, key, value, mask))


def naive(case: Case) -> Work:
    case.require_memory(3.0 if case.direction == "forward" else 5.0)
    hidden = None if case.mask is None else ~case.mask.dense()

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.mT / query.shape[-1] ** 0.5
        if hidden is not None:
            scores = scores.masked_fill(hidden, float("-inf"))
        return torch.softmax(scores, dim=-1) @ value

    return case.work(attend)


def sdpa(case: Case) -> Work:
    if case.window is None:
        return case.work(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=case.is_causal))
    case.require_memory(1.5)
    assert case.mask is not None
    allowed = case.mask.dense()
    return case.work(lambda query, key, value: F.scaled_dot_product_attention(query, key, value, allowed))


def flex(case: Case) -> Work:
    from torch.nn.attention.flex_attention import create_block_mask

    if case.direction != "forward":
        raise Left("has no backward on a CPU")
    block_mask = None
    if case.mask is not None:
        case.require_memory(2.0)
        far = case.window or case.tokens
        block_mask = create_block_mask(
            lambda batch, head, q, k: (k <= q) & (q - k < far), None, None, case.tokens, case.tokens, device="cpu"
        )
    return case.work(lambda query, key, value: compiled_flex()(query, key, value, block_mask=block_mask))


@lru_cache(maxsize=1)
def compiled_flex() -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)  # pyright: ignore[reportReturnType]


def mha(case: Case) -> Work:
    if case.window is not None:
        raise Left("takes a dense mask, as SDPA")
    width = case.heads * case.size
    module = torch.nn.MultiheadAttention(width, case.heads, batch_first=True, dtype=getattr(torch, case.dtype)).eval()
    mask = None
    if case.is_causal:
        case.require_memory(1.5)
        mask = torch.nn.Transformer.generate_square_subsequent_mask(case.tokens)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        merged = [each.transpose(1, 2).flatten(-2) for each in (query, key, value)]
        return module(*merged, attn_mask=mask, is_causal=case.is_causal, need_weights=False)[0]

    return case.work(attend)


PEERS: dict[str, Callable[[Case], Work]] = {"ours": ours, "SDPA": sdpa, "naive": naive, "flex": flex, "MHA": mha}
"""How each contender prepares a case."""


def prepared(name: str, case: Case) -> tuple[Work, float]:
    """Return the work of a contender after a first call, and how many seconds that took: compiling is in it.

    Raises:
        Left: the contender does not take part.
    """
    begun = time.perf_counter()
    work = PEERS[name](case)
    try:
        work()
    except Exception as error:  # whatever a compiler raises, the peer is left out and the reason shown
        raise Left(f"{type(error).__name__}: {str(error).splitlines()[0][:80]}") from error
    return work, time.perf_counter() - begun


def memory_of(name: str, **case: object) -> Work:
    """Prepare a case for `peak_extra_memory`: a small call first, so that libraries are loaded."""
    wanted = Case(**case)  # pyright: ignore[reportArgumentType]
    small = Case(**{**case, "tokens": 64})  # pyright: ignore[reportArgumentType]
    PEERS[name](small)()
    return PEERS[name](wanted)
