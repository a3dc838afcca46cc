"""One call of a kernel: its sizes, dtype, strides and numbers, and the same as Python that can be pasted.

The lines that are shown are the lines that make the numbers, so what a reader pastes is what was tried.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.testing.contract import Case

Layout: TypeAlias = Literal["bhnd", "bnhd", "bnd", "nd"]
"""Axes of query, key and value: b sequences, h heads, n tokens, d features."""

Rows: TypeAlias = Literal["plain", "alike", "growing", "falling", "low", "lowest", "high", "apart"]
"""What the scores of a row are like."""

Strides: TypeAlias = Literal["contiguous", "transposed", "expanded", "sliced"]
"""How the tensors lie in memory."""

MaskKind: TypeAlias = Literal["keep", "hide", "added"]
"""What a mask is: True = may attend, True = hidden, numbers to add."""

_ROWS: Mapping[Rows, str] = {
    "plain": "",
    "alike": "k = k * 0.05",
    "apart": "k = k * 10",
    "growing": "k = k * torch.linspace(0.1, 4, {n_k})[:, None]",
    "falling": "k = k * torch.linspace(4, 0.1, {n_k})[:, None]",
    "low": "q[..., 0], k[..., 0] = 160, -160",
    "lowest": "q[..., 0], k[..., 0] = 1024, -1024",
    "high": "q[..., 0], k[..., 0] = 40 * (1 - 2 * (torch.arange({n_q}) % 2)), 40",
}

IN_WORDS: Mapping[str, str] = {
    "growing": "scores that grow along the keys",
    "falling": "scores that fall along the keys",
    "low": "scores that all lie far below 0",
    "lowest": "scores that all lie below -1e5",
    "high": "scores far above 0 in one row and far below it in the next",
    "alike": "scores that are nearly equal",
    "apart": "scores that lie far apart",
    "transposed": "tensors that are transposed views",
    "expanded": "keys and values that are expanded over the heads (stride 0)",
    "sliced": "tensors that are slices of wider ones",
}
"""What is special about a call."""


@dataclass(frozen=True)
class KernelCall(Case):
    """One call.

    Attributes:
        name: What it is made for.
        n_q: Queries.
        n_k: Keys.
        batch: Sequences.
        heads: Of the queries.
        kv_heads: Of keys and values; neighbouring query heads share one.
        width: Of a query and of a key.
        value_width: Of a value.
        dtype: `float32`, `float16`, `bfloat16`, `float64`.
        rows: What the scores are like.
        strides: How the tensors lie in memory.
        is_causal: Whether the future is to be hidden.
        scale: What the scores are to be multiplied by; None: 1 / √width.
        mask: Which kind of mask is given.
        seed: Another one gives other numbers.
    """

    name: str = "plain"
    n_q: int = 5
    n_k: int = 7
    batch: int = 1
    heads: int = 2
    kv_heads: int = 2
    width: int = 16
    value_width: int = 16
    dtype: str = "float32"
    rows: Rows = "plain"
    strides: Strides = "contiguous"
    is_causal: bool = False
    scale: float | None = None
    mask: MaskKind | None = None
    seed: int = 0

    @property
    def sentence(self) -> str:
        """`plain: q (1, 2, 5, 16), k and v (1, 2, 7, 16), float32`."""
        q = (self.batch, self.heads, self.n_q, self.width)
        kv = (self.batch, self.kv_heads, self.n_k, self.width)
        causal = ", causal" if self.is_causal else ""
        return f"{self.name}: q {q}, k and v {kv}, {self.dtype}{causal}"

    def with_other_numbers(self) -> "KernelCall":
        """Return a call of the same sizes with other numbers."""
        return dataclasses.replace(self, seed=self.seed + 1)

    def drawing(self) -> list[str]:
        """Return the lines that draw q, k, v `(b, h, n, d)` and, where there is one, the mask `(n_q, n_k)`."""
        b, g, m = self.batch, self.kv_heads, self.n_k
        lines = [
            f"g = torch.Generator().manual_seed({self.seed})",
            f"q = torch.randn({b}, {self.heads}, {self.n_q}, {self.width}, generator=g)",
            f"k = torch.randn({b}, {g}, {m}, {self.width}, generator=g)",
            f"v = torch.randn({b}, {g}, {m}, {self.value_width}, generator=g)",
            _ROWS[self.rows].format(n_q=self.n_q, n_k=m),
        ]
        if self.dtype != "float32":
            lines.append(f"q, k, v = (x.to(torch.{self.dtype}) for x in (q, k, v))")
        if self.strides == "expanded":
            lines.append(f"k, v = (x[:, :1].expand(-1, {g}, -1, -1) for x in (k, v))")
        if self.mask == "added":
            lines.append(f"mask = torch.randn({self.n_q}, {m}, generator=g)")
        elif self.mask is not None:
            sign = "<" if self.mask == "keep" else ">"
            lines.append(f"mask = torch.rand({self.n_q}, {m}, generator=g) {sign} 0.7")
            lines.append(f"mask[:, 0] = {self.mask == 'keep'}")
        return [line for line in lines if line]

    def moving(self, layout: Layout) -> list[str]:
        """Return the lines that bring q, k and v into a layout, and into the strides of this call."""
        usual = {"bhnd": "x", "bnhd": "x.transpose(1, 2).contiguous()", "bnd": "x[:, 0]", "nd": "x[0, 0]"}
        move = usual[layout]
        if layout == "bnhd" and self.strides in ("transposed", "expanded"):
            move = "x.transpose(1, 2)"
        elif self.strides == "transposed":
            move += {"bhnd": _turned("1, 2"), "bnd": _turned("0, 1"), "nd": _turned("0, 1")}[layout]
        elif self.strides == "sliced":
            move = f"torch.cat([{move}, {move}], -1)[..., : x.shape[-1]]"
        return [] if move == "x" else [f"q, k, v = ({move} for x in (q, k, v))"]

    def operands(self) -> dict[str, Tensor]:
        """Return q, k, v `(b, h, n, d)` and the mask; they are for reading only."""
        return _drawn(self)

    def given(self, layout: Layout) -> dict[str, Any]:
        """Return fresh tensors as a kernel of that layout gets them."""
        own: dict[str, Any] = {"torch": torch, **_made(self.drawing())}
        _run(self.moving(layout), own)
        return {name: own[name] for name in ("q", "k", "v", "mask") if name in own}

    def code(self, layout: Layout, called: str) -> str:
        """Return the whole call as Python; `called` is the call itself, `f(q, k, v)`."""
        return "\n".join([*self.drawing(), *self.moving(layout), called])


def _turned(axes: str) -> str:
    return f".transpose({axes}).contiguous().transpose({axes})"


@lru_cache(maxsize=128)
def _drawn(call: KernelCall) -> dict[str, Tensor]:
    return _made(call.drawing())


def _made(lines: list[str]) -> dict[str, Any]:
    own: dict[str, Any] = {"torch": torch}
    _run(lines, own)
    return {name: own[name] for name in ("q", "k", "v", "mask") if name in own}


def _run(lines: list[str], own: dict[str, Any]) -> None:
    """Run lines of this file, which nobody else has written."""
    exec("\n".join(lines), own)
