"""The calls that an attention function is judged by."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.ops import Circuit, Mechanism, Operands, leave_unscaled
from attention_surgeon.testing.contract import Case, Contract
from attention_surgeon.testing.draw import SIZES, Sizes, causal, generator, numbers, padding, ragged_mask

MaskMeaning: TypeAlias = Literal["keep", "hide", "additive"]


@dataclass(frozen=True, eq=False)
class FunctionCase(Case):
    """One call of an attention function.

    Attributes:
        name: `masked`.
        operands: Query, key, value in float64; `allowed` and `bias` are the mask.
        scale: The switch, where the function has one.
    """

    name: str
    operands: Operands
    scale: bool = True

    @property
    def sentence(self) -> str:
        """`masked: Q (2, 5, 11), K (2, 7, 11), V (2, 7, 13), mask (2, 5, 7)`."""
        given = self.operands
        shapes = {"Q": given.query, "K": given.key, "V": given.value, "mask": given.allowed}
        text = ", ".join(f"{name} {tuple(x.shape)}" for name, x in shapes.items() if x is not None)
        return f"{self.name}: {text}{'' if self.scale else ', scale=False'}"

    def with_other_numbers(self) -> "FunctionCase":
        """Return a call of the same sizes with other numbers, and another mask."""
        given = self.operands
        allowed = None if given.allowed is None else given.allowed.flip(-1) | given.allowed.flip(-2)
        other = dataclasses.replace(
            given, query=-given.query, key=given.key.flip(-2), value=given.value * 0.5 + 1, allowed=allowed
        )
        return dataclasses.replace(self, operands=other)


@dataclass(frozen=True)
class Asked:
    """Which calls a function can answer: what decides the cases.

    Attributes:
        layout: Number of axes of Q: 2 `(n, d)`, 3 `(b, n, d)`, 4 `(b, h, n, d)`.
        mask: Whether it takes a mask.
        bias: Whether that mask may also hold numbers to add.
        switch: Whether it takes `scale`.
        is_causal: Whether it hides the future itself: then there are never more queries than keys.
    """

    layout: int
    mask: bool
    bias: bool
    switch: bool
    is_causal: bool = False


@lru_cache(maxsize=64)
def function_cases(asked: Asked, probe: int) -> tuple[FunctionCase, ...]:
    """Return the calls of one probe, the most telling first."""
    s = SIZES[probe % 2]
    if asked.is_causal and s.n_q > s.n_k:
        s = dataclasses.replace(s, n_q=s.n_k, n_k=s.n_q)
    draw = _Draw(asked, s, generator(1000 + probe))
    cases = [draw.case("plain", s.n_q, s.n_k), draw.case("self", s.n_k, s.n_k)]
    if asked.mask:
        cases.append(draw.case("masked", s.n_q, s.n_k, mask=draw.ragged(s.n_q, s.n_k)))
        cases.append(draw.case("causal mask", s.n_k, s.n_k, mask=draw.spread(causal(s.n_k, s.n_k))))
        cases.append(draw.case("padding mask", s.n_k, s.n_k, mask=draw.padded(s.n_k)))
    if asked.bias:
        cases.append(draw.case("biased", s.n_q, s.n_k, mask=draw.ragged(s.n_q, s.n_k), biased=True))
    if asked.switch:
        cases.append(draw.case("unscaled", s.n_q, s.n_k, scale=False))
    cases.append(draw.case("all sizes equal", s.n_k, s.n_k, d_k=s.n_k, d_v=s.n_k))
    if asked.mask:
        cases.append(
            draw.case("all sizes equal, masked", s.n_k, s.n_k, d_k=s.n_k, d_v=s.n_k, mask=draw.ragged(s.n_k, s.n_k))
        )
    return tuple(cases)


@lru_cache(maxsize=64)
def small_function_cases(asked: Asked) -> tuple[FunctionCase, ...]:
    """Return calls with whole numbers, the fewest tokens first."""
    return tuple(_small(asked))


def _small(asked: Asked) -> Iterator[FunctionCase]:
    source = generator(7)
    for n_q, n_k, d_k in product((1, 2, 3), (2, 3), (1, 2, 3)):
        if asked.is_causal and n_q > n_k:
            continue
        for attempt in range(3):
            draw = _Draw(asked, Sizes(1, 1, n_q, n_k, d_k, 1), source, whole=True)
            yield draw.case("small", n_q, n_k)
            if asked.mask:
                mask = draw.spread(causal(n_q, n_k) if attempt == 0 else ragged_mask(source, n_q, n_k))
                yield draw.case("small, masked", n_q, n_k, mask=mask)
            if asked.switch:
                yield draw.case("small, unscaled", n_q, n_k, scale=False)


class _Draw:
    """Draws the tensors of one probe in the function's layout."""

    def __init__(self, asked: Asked, sizes: Sizes, source: torch.Generator, *, whole: bool = False) -> None:
        self.asked, self.sizes, self.source, self.whole = asked, sizes, source, whole
        self.batch = {2: (), 3: (sizes.batch,), 4: (sizes.batch, sizes.heads)}[asked.layout]

    def case(
        self,
        name: str,
        n_q: int,
        n_k: int,
        *,
        d_k: int | None = None,
        d_v: int | None = None,
        mask: Tensor | None = None,
        biased: bool = False,
        scale: bool = True,
    ) -> FunctionCase:
        d_k, d_v = d_k or self.sizes.d_k, d_v or self.sizes.d_v
        query, key = self.numbers(n_q, d_k), self.numbers(n_k, d_k)
        value = self.numbers(n_k, d_v)
        bias = self.numbers(n_q, n_k) if biased else None
        if mask is not None and self.asked.bias and bias is None:
            bias = torch.zeros(mask.shape, dtype=torch.float64)  # a mask to be added is numbers, if only zeros
        if bias is not None and mask is not None:
            bias = bias.masked_fill(~mask, 0.0)  # what is hidden has no number of its own
        return FunctionCase(name, Operands(query, key, value, mask, bias, torch.float64), scale)

    def numbers(self, *shape: int) -> Tensor:
        if self.whole:
            return torch.randint(-2, 3, (*self.batch, *shape), generator=self.source).double()
        return numbers(self.source, *self.batch, *shape)

    def ragged(self, n_q: int, n_k: int) -> Tensor:
        """Another mask for every sequence, the same for its heads."""
        mask = ragged_mask(self.source, *self.batch[:1], n_q, n_k)
        return self._over_heads(mask)

    def spread(self, mask: Tensor) -> Tensor:
        return mask.expand(*self.batch, *mask.shape)

    def padded(self, n: int) -> Tensor:
        rows = padding(self.sizes.batch, n) if self.batch else padding(1, n)[0]
        return self._over_heads(rows[..., None, :].expand(*self.batch[:1], n, n))

    def _over_heads(self, mask: Tensor) -> Tensor:
        if len(self.batch) < 2:
            return mask
        return mask[:, None].expand(*self.batch, *mask.shape[-2:])


@dataclass(frozen=True)
class FunctionSpec(Contract):
    """Attention as a function, in torch or NumPy: what is asked, whatever library it comes from.

    Attributes:
        mask: What a mask means to it: `keep` (True or 1 = may attend), `hide` (True or 1 = hidden), `additive`.
        returns: Whether `(output, weights)` or `(weights, output)` comes back when two values do.
        scaled: Whether scores are to be divided by √d_k.
        hides_future: Whether the function itself hides the future.
        align: Where a causal mask lies when n_q != n_k: `end` (the last query sees every key) or `start`.
        allows_nan_rows: Whether a query that may attend to no key may get NaN.
    """

    mask: MaskMeaning = "keep"
    returns: Literal["output_first", "weights_first"] = "output_first"
    scaled: bool = True
    hides_future: bool = field(default=False, repr=False)
    align: Literal["end", "start"] = "end"
    allows_nan_rows: bool = field(default=False, repr=False)

    name: ClassVar[str] = "attention"
    value_names: ClassVar[tuple[str, ...]] = ("output", "weights")

    @property
    def registered_name(self) -> str:
        """`attention` or `causal_attention`."""
        return f"causal_{self.name}" if self.hides_future else self.name

    def circuit(self) -> Circuit:
        """Return what is right."""
        mechanism = Mechanism() if self.scaled else Mechanism(scale=leave_unscaled)
        if not self.hides_future:
            return Circuit(mechanism)
        return Circuit(mechanism, pattern=causal if self.align == "end" else _causal_from_the_start)


def said_of_mask(mask: Any, meaning: MaskMeaning) -> str:
    """Return what a mask means, in words: `True = may attend`."""
    if meaning == "additive":
        return "is added to the scores"
    return f"{'True' if 'bool' in str(mask.dtype) else 1} = {'may attend' if meaning == 'keep' else 'hidden'}"


def fill_with_a_low_number(scaled: Tensor, operands: Operands) -> Tensor:
    """Hide with a finite number: right, but a query that may attend to no key then gets the mean of the values."""
    if operands.bias is not None:
        scaled = scaled + operands.bias
    return scaled if operands.allowed is None else scaled.masked_fill(~operands.allowed, -1e9)


def _causal_from_the_start(n_q: int, n_k: int) -> Tensor:
    return torch.arange(n_k) <= torch.arange(n_q)[:, None]
