"""The calls that a layer is judged by."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.faults import Family
from attention_surgeon.ops import Circuit, Mechanism, leave_unscaled
from attention_surgeon.testing.contract import Case, Contract
from attention_surgeon.testing.draw import causal, generator, numbers, padding, ragged_mask
from attention_surgeon.testing.function_cases import MaskMeaning
from attention_surgeon.testing.layer.build import LayerSizes

MaskForm: TypeAlias = Literal["n n", "b 1 n n", "b n n", "b n", "b h n n", "none"]

MASK_FORMS: tuple[MaskForm, ...] = ("n n", "b 1 n n", "b n n", "b h n n", "b n")

Kind: TypeAlias = Literal["simple", "self", "multihead", "causal_multihead", "cross", "grouped", "multiquery"]

_TITLES: Mapping[Kind, str] = {
    "simple": "simple unscaled attention",
    "self": "single-head attention",
    "multihead": "multi-head attention",
    "causal_multihead": "causal multi-head attention",
    "cross": "cross-attention",
    "grouped": "grouped-query attention",
    "multiquery": "multi-query attention",
}


@dataclass(frozen=True, eq=False)
class LayerCase(Case):
    """One call of a layer.

    Attributes:
        name: `masked`.
        x: What asks, `(batch, n_q, width)`, float64.
        context: What answers, `(batch, n_k, width)`; None: x itself.
        allowed: `(batch, n_q, n_k)`, True = may attend, or None.
        form: How the mask is handed over.
        probe: Whose layer is called.
        bias: `(n_q, n_k)`, numbers that a mask to be added holds besides.
    """

    name: str
    x: Tensor
    context: Tensor | None = None
    allowed: Tensor | None = None
    form: MaskForm = "none"
    probe: int = 0
    bias: Tensor | None = None

    @property
    def sentence(self) -> str:
        """`masked: x (2, 7, 15), mask (7, 7)`."""
        parts = [f"x {tuple(self.x.shape)}"]
        if self.context is not None:
            parts.append(f"context {tuple(self.context.shape)}")
        if self.allowed is not None:
            parts.append(f"mask ({', '.join(self.form.split())})")
        return f"{self.name}: {', '.join(parts)}"

    def with_other_numbers(self) -> "LayerCase":
        """Return a call of the same sizes with other numbers."""
        context = None if self.context is None else self.context.flip(1) * 0.5 + 1
        return dataclasses.replace(self, x=self.x.flip(1) * 0.5 - 1, context=context)

    def shaped_mask(self, num_heads: int) -> Tensor | None:
        """Return who may attend to whom, in the shape in which it is handed over."""
        if self.allowed is None:
            return None
        return {
            "n n": self.allowed[0],
            "b 1 n n": self.allowed[:, None],
            "b n n": self.allowed,
            "b h n n": self.allowed[:, None].expand(-1, num_heads, -1, -1),
            "b n": self.allowed[:, 0],
        }[self.form]


@dataclass(frozen=True)
class LayerAsked:
    """What decides the calls: sizes, whether there is a context, and the forms of mask that are understood."""

    sizes: LayerSizes
    width: int
    context_width: int | None
    forms: tuple[MaskForm, ...]
    is_additive: bool = False


@lru_cache(maxsize=64)
def layer_cases(asked: LayerAsked, probe: int) -> tuple[LayerCase, ...]:
    """Return the calls of one probe."""
    s, source = asked.sizes, generator(3000 + probe)
    draw = _Draw(asked, source, probe)
    cases = [draw.case("plain", s.n_q, s.n_k)]
    if asked.context_width is not None:
        cases.append(draw.case("as many keys as queries", s.n_q, s.n_q))
    for form in asked.forms:
        cases += _masked(draw, form, s, source)
    if asked.is_additive and asked.forms and asked.forms[0] != "b n":
        cases.append(_biased(cases[-1], source))
    cases.append(draw.case("as many tokens as a head is wide", s.head, s.head))
    return tuple(cases)


def _masked(draw: "_Draw", form: MaskForm, s: LayerSizes, source: torch.Generator) -> Iterator[LayerCase]:
    """Yield the calls with a mask in this form; cross-attention also where there are as many keys as queries."""
    if draw.asked.context_width is None:
        yield from _masked_sizes(draw, form, s.n_q, s.n_q, source)
        return
    yield from _masked_sizes(draw, form, s.n_q, s.n_k, source)
    yield from _masked_sizes(draw, form, s.n_q, s.n_q, source, suffix=", as many keys")


def _masked_sizes(
    draw: "_Draw", form: MaskForm, n_q: int, n_k: int, source: torch.Generator, suffix: str = ""
) -> Iterator[LayerCase]:
    batch = draw.asked.sizes.batch
    padded = padding(batch, n_k)[:, None, :].expand(batch, n_q, n_k)
    if form != "b n":
        mask = ragged_mask(source, 1 if form == "n n" else batch, n_q, n_k).expand(batch, n_q, n_k)
        yield draw.case(f"masked {form}{suffix}", n_q, n_k, mask=mask, form=form)
    if form != "n n":
        yield draw.case(f"padding mask {form}{suffix}", n_q, n_k, mask=padded, form=form)
        return
    alike = padded[-1:].expand(batch, n_q, n_k)
    yield draw.case(f"the same padding {form}{suffix}", n_q, n_k, mask=alike, form=form)
    if n_q == n_k:
        yield draw.case(f"causal mask{suffix}", n_q, n_k, mask=causal(n_q, n_k).expand(batch, n_q, n_k), form=form)


def _biased(case: LayerCase, source: torch.Generator) -> LayerCase:
    """Return the call with numbers in its mask besides; what is hidden has none."""
    assert case.allowed is not None
    bias = numbers(source, *case.allowed.shape[1:]).masked_fill(~case.allowed[0], 0.0)
    return dataclasses.replace(case, name="biased", allowed=case.allowed[:1].expand_as(case.allowed), bias=bias)


@lru_cache(maxsize=64)
def small_layer_cases(asked: LayerAsked) -> tuple[LayerCase, ...]:
    """Return calls with few tokens and whole numbers."""
    return tuple(_small(asked))


def _small(asked: LayerAsked) -> Iterator[LayerCase]:
    draw = _Draw(asked, generator(9), 0, whole=True)
    for n in (1, 2, 3):
        for _ in range(3):
            yield draw.case("small", n, n + (asked.context_width is not None), batch=1)
            if asked.forms and asked.forms[0] != "b n":
                n_k = n + (asked.context_width is not None)
                yield draw.case("small, masked", n, n_k, mask=causal(n, n_k)[None], form=asked.forms[0], batch=1)


class _Draw:
    """Draws the inputs of one probe."""

    def __init__(self, asked: LayerAsked, source: torch.Generator, probe: int, *, whole: bool = False) -> None:
        self.asked, self.source, self.probe, self.whole = asked, source, probe, whole

    def case(
        self,
        name: str,
        n_q: int,
        n_k: int,
        *,
        mask: Tensor | None = None,
        form: MaskForm = "none",
        batch: int | None = None,
    ) -> LayerCase:
        batch = batch or self.asked.sizes.batch
        x = self._numbers(batch, n_q, self.asked.width)
        width = self.asked.context_width
        context = None if width is None else self._numbers(batch, n_k, width)
        return LayerCase(name, x, context, mask, form, self.probe)

    def _numbers(self, *shape: int) -> Tensor:
        if self.whole:
            return torch.randint(-2, 3, shape, generator=self.source).double()
        return numbers(self.source, *shape, amplitude=1.0)


@dataclass(frozen=True)
class LayerSpec(Contract):
    """An attention layer: what is asked of it.

    Attributes:
        kind: Which layer: it decides the heads, whether there is a context, an output projection, a scale.
        mask: What a mask means to it, as for `FunctionSpec`.
        scaled: Whether scores are to be divided by √d_k; None: all but `simple`.
        allows_nan_rows: Whether a query that may attend to no key may get NaN, as in `torch.nn.MultiheadAttention`.
    """

    kind: Kind = field(default="multihead", repr=False)
    mask: MaskMeaning = "keep"
    scaled: bool | None = None
    allows_nan_rows: bool = False

    name: ClassVar[str] = "layer"
    value_names: ClassVar[tuple[str, ...]] = ("output", "weights")

    @property
    def registered_name(self) -> str:
        """The kind."""
        return "torch_mha" if self.allows_nan_rows and self.mask == "hide" else self.kind

    @property
    def title(self) -> str:
        """`multi-head attention layer`, and so on."""
        return f"{_TITLES[self.kind]} layer"

    @property
    def is_scaled(self) -> bool:
        """Whether scores are to be divided by √d_k."""
        return self.kind != "simple" if self.scaled is None else self.scaled

    def circuit(self) -> Circuit:
        """Return what is right."""
        mechanism = Mechanism() if self.is_scaled else Mechanism(scale=leave_unscaled)
        return Circuit(mechanism, pattern=causal) if self.kind == "causal_multihead" else Circuit(mechanism)

    def sizes(self, probe: int) -> LayerSizes:
        """Return the sizes of a layer that is built for this probe."""
        if self.kind in ("simple", "self"):
            return (LayerSizes(1, 1, 11, 7, 5, 2), LayerSizes(1, 1, 13, 5, 7, 3))[probe % 2]
        if self.kind == "grouped":
            return (LayerSizes(6, 2, 5, 7, 11, 3), LayerSizes(4, 2, 7, 5, 3, 3))[probe % 2]
        if self.kind == "multiquery":
            return (LayerSizes(3, 1, 5, 7, 11, 2), LayerSizes(2, 1, 7, 5, 3, 3))[probe % 2]
        return (LayerSizes(3, 3, 5, 7, 11, 2), LayerSizes(2, 2, 7, 5, 3, 3))[probe % 2]

    @property
    def families(self) -> frozenset[Family]:
        """What can be wrong with it."""
        families: set[Family] = {"layer"}
        if self.kind == "causal_multihead":
            families.add("causal")
        if self.kind == "cross":
            families.add("cross")
        if self.kind in ("grouped", "multiquery"):
            families.add("grouped")
        return frozenset(families)
