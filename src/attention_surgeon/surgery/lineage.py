"""What the tensors of a running attention come from: scores of a query and a key, what was done to them, weights.

A module that attends by code of its own is followed one torch function at a time. A product of two tensors may be
scores; what multiplies them, is added, hides or caps is noted; a softmax over keys makes weights of them; and the
product of weights with a third tensor is where attention ends. Whatever is done to scores or weights that is not
noted here ends the trail, so that nothing is taken for attention that is not.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

_HIDES = -1e4  # what is added or filled in from here down hides: the softmax of it is 0 in every dtype

Shaped: TypeAlias = tuple[Tensor, torch.Size]
"""A tensor, and the shape of the scores that it was laid over."""


@final
@dataclass(frozen=True, eq=False)
class Scores:
    """Scores on their way to the softmax.

    Attributes:
        query: `(*lead, n_q, d)`.
        key: `(*lead, n_k, d)`.
        shape: Of the scores as they are now; only the axes before the last two may differ from `lead`.
        factor: What the product was multiplied by.
        added: What was added.
        hidden: Where they were filled in so low that nothing is left of them.
        cap: The soft cap; None: none.
        is_in_tanh: Whether a tanh was taken that is yet to be multiplied by the cap.
        depends: Whether something that was added depends on scores itself.
        erased: Where they were multiplied by 0, which is nothing by itself: there they must be hidden, too.
    """

    query: Tensor
    key: Tensor
    shape: torch.Size
    factor: float = 1.0
    added: tuple[Shaped, ...] = ()
    hidden: tuple[Shaped, ...] = ()
    cap: float | None = None
    is_in_tanh: bool = False
    depends: bool = False
    erased: tuple[Shaped, ...] = ()

    def times(self, factor: float) -> "Scores | None":
        """Return them multiplied."""
        if self.is_in_tanh:  # cap · tanh(factor · s), so the scaled scores are cap · factor · s
            return dataclasses.replace(self, cap=factor, factor=self.factor * factor, is_in_tanh=False)
        if self.cap is not None or self.hidden:
            return None
        added = tuple((tensor * factor, shape) for tensor, shape in self.added)
        return dataclasses.replace(self, factor=self.factor * factor, added=added)

    def within(self, mask: Tensor) -> "Scores | None":
        """Return them multiplied by a mask of 0s and 1s, as old code hides: `scores * mask - 1e4 * (1 - mask)`."""
        if self.is_in_tanh or self.added or self.hidden or bool(((mask != 0) & (mask != 1)).any()):
            return None
        return dataclasses.replace(self, erased=(*self.erased, (mask == 0, self.shape)))

    def plus(self, tensor: Tensor | float | int, *, depends: bool) -> "Scores | None":
        """Return them with something added."""
        if self.is_in_tanh:
            return None
        laid = (tensor if isinstance(tensor, Tensor) else torch.tensor(tensor), self.shape)
        return dataclasses.replace(self, added=(*self.added, laid), depends=self.depends or depends)

    def without(self, hidden: Tensor, filled: Any) -> "Scores | None":
        """Return them with some filled in; None: the number does not hide."""
        number = float(filled) if not isinstance(filled, Tensor) or filled.numel() == 1 else 0.0
        if number > _HIDES or self.is_in_tanh:
            return None
        return dataclasses.replace(self, hidden=(*self.hidden, (hidden.bool(), self.shape)))

    def in_tanh(self) -> "Scores | None":
        """Return their tanh."""
        if self.added or self.hidden or self.cap is not None or self.is_in_tanh:
            return None
        return dataclasses.replace(self, is_in_tanh=True)

    def viewed(self, shape: torch.Size) -> "Scores | None":
        """Return them in another shape."""
        if len(shape) < 2 or shape[-2:] != self.shape[-2:]:
            return None
        return dataclasses.replace(self, shape=shape)


@final
@dataclass(frozen=True, eq=False)
class Weights:
    """What a softmax made of scores.

    Attributes:
        scores: The scores.
        shape: Of the weights as they are now.
        erased: Where they were set to 0; there the scores must be hidden, too.
    """

    scores: Scores
    shape: torch.Size
    erased: tuple[Shaped, ...] = ()

    def viewed(self, shape: torch.Size) -> "Weights | None":
        """Return them in another shape."""
        return dataclasses.replace(self, shape=shape) if shape[-2:] == self.shape[-2:] else None


@final
@dataclass(frozen=True, eq=False)
class Attention:
    """A whole attention that was followed, in the axes `(batch, heads, n, size)`.

    Attributes:
        query: `(batch, heads, n_q, d)`.
        key: `(batch, heads, n_k, d)`.
        value: `(batch, heads, n_k, d_v)`.
        allowed: Who may attend to whom; None: everybody.
        bias: What is added to visible scores; None: nothing.
        scaling: What the scores are multiplied by.
        cap: Their soft cap; None: none.
        depends: Whether `bias` depends on query or key, so that it is of no other ones.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    allowed: Tensor | None
    bias: Tensor | None
    scaling: float
    cap: float | None = None
    depends: bool = False

    def output(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return what the same attention gives of others, `(batch, heads, n_q, d_v)`, in their dtype."""
        scores = query @ key.mT * self.scaling  # (..., q, d) @ (..., d, k) -> (..., q, k)
        if self.cap is not None:
            scores = self.cap * torch.tanh(scores / self.cap)
        if self.bias is not None:
            scores = scores + self.bias.to(scores.dtype)
        if self.allowed is not None:
            scores = scores.masked_fill(~self.allowed, torch.finfo(scores.dtype).min)
        return scores.softmax(-1) @ value


def attention_of(weights: Weights, value: Tensor, num_heads: int | None) -> Attention | None:
    """Return the attention that ends with a product of weights and `value (*lead, n_k, d_v)`; None: axes do not fit."""
    scores, lead = weights.scores, weights.shape[:-2]
    try:
        value = value.expand(*lead, *value.shape[-2:])
        parts = [one.reshape(*lead, *one.shape[-2:]) for one in (scores.query, scores.key)]
        added = [tensor.expand(shape).reshape(weights.shape) for tensor, shape in scores.added]
        hidden = [tensor.expand(shape).reshape(weights.shape) for tensor, shape in scores.hidden]
        erased = [tensor.expand(shape).reshape(weights.shape) for tensor, shape in (*scores.erased, *weights.erased)]
        query, key, value = (by_head(one, num_heads) for one in (*parts, value))
        allowed, bias = _mask_of(added, hidden)
        if any(one.any() if allowed is None else (one & allowed).any() for one in erased):
            return None
        allowed, bias = (None if one is None else by_head(one, num_heads) for one in (allowed, bias))
    except (RuntimeError, ValueError):
        return None
    return Attention(query, key, value, allowed, bias, scores.factor, scores.cap, scores.depends)


def by_head(part: Tensor, num_heads: int | None) -> Tensor:
    """Return `(*lead, n, size)` as `(batch, heads, n, size)`: of one axis in front, batch and heads are folded.

    Raises:
        RuntimeError: the heads do not fit into that axis.
    """
    if part.ndim == 2:
        return part[None, None]
    if part.ndim == 3:
        return part.unflatten(0, (-1, num_heads or 1))
    return part.flatten(0, -4) if part.ndim > 4 else part


def _mask_of(added: list[Tensor], hidden: list[Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Return what is hidden, by a fill or by a number far below, and what is added to the rest."""
    bias = None
    if added:
        total = torch.stack([one.clamp(min=2 * _HIDES).float() for one in added]).sum(0)
        hidden = [*hidden, total <= _HIDES]
        bias = total
    away = torch.stack(hidden).any(0) if hidden else None
    if bias is not None and away is not None:
        bias = bias.masked_fill(away, 0.0)
    allowed = None if away is None or not away.any() else ~away
    return allowed, bias if bias is not None and bias.any() else None


Known: TypeAlias = Scores | Weights | None
"""What is known of a tensor; None: that it comes from scores or weights, by a way that was not followed."""


@final
@dataclass(eq=False)
class Ledger:
    """What is known of the tensors of one run; they are held, so that none takes another's place."""

    entries: dict[int, tuple[Tensor, Known]] = field(default_factory=dict)

    def of(self, value: object) -> Known:
        """Return what is known of a tensor."""
        return self.entries[id(value)][1] if id(value) in self.entries else None

    def has(self, value: object) -> bool:
        """Whether a tensor comes from scores or weights in any way."""
        return id(value) in self.entries

    def note(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any], result: Any) -> None:
        """Note what a function made of tensors that are known."""
        if not isinstance(result, Tensor):
            return
        known = self._made(name, args, named, result)
        if known is not None or any(self.has(one) for one in (*args, *named.values())):
            self.entries[id(result)] = (result, known)

    def _made(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
        if (pair := product_of(name, args, named)) is not None:
            return self._product(pair, args, named, result)
        rule = _RULES.get(name)
        return None if rule is None else rule(self, args, named, result)

    def _product(
        self, pair: "Product", args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor
    ) -> Scores | None:
        if self.has(pair.left) or self.has(pair.right) or pair.order is not None:
            return None
        lead = result.shape[:-2]
        query, key = pair.left, pair.right.mT
        if result.shape[-2:] != (query.shape[-2], key.shape[-2]) or not lead:
            return None
        query, key = (one.expand(*lead, *one.shape[-2:]) for one in (query, key))
        scores = Scores(query, key, result.shape, factor=pair.factor)
        return scores if pair.added is None else scores.plus(pair.added, depends=self.has(pair.added))


@final
@dataclass(frozen=True, eq=False)
class Product:
    """A product of matrices: `left (*lead, n, m) @ right (*lead, m, p)`.

    Attributes:
        left: The first.
        right: The second.
        factor: What it is multiplied by.
        added: What is added; None: nothing.
        order: How the axes of the product are put in the end; None: as they are.
    """

    left: Tensor
    right: Tensor
    factor: float = 1.0
    added: Tensor | None = None
    order: tuple[int, ...] | None = None


_PRODUCTS = frozenset({"matmul", "__matmul__", "bmm"})


def product_of(name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Product | None:
    """Return the product that a call of a torch function is, None where it is none, or one with a plain matrix."""
    product = None
    if name in _PRODUCTS:
        given = (*args, *(named[key] for key in ("input", "other", "mat2") if key in named))
        product = Product(*given[:2]) if len(given) >= 2 else None
    elif name == "baddbmm":
        left, right = (
            named.get(key, args[at] if at < len(args) else None) for at, key in ((1, "batch1"), (2, "batch2"))
        )
        added = args[0] * named.get("beta", 1)
        product = Product(left, right, float(named.get("alpha", 1)), added)
    elif name == "einsum":
        product = _product_of_sum(*args)
    if product is None or not all(isinstance(one, Tensor) and one.ndim > 2 for one in (product.left, product.right)):
        return None
    return product


def _product_of_sum(equation: str, *operands: Any) -> Product | None:
    """Return `einsum` of two tensors as a product of matrices; None: it is none."""
    tensors = operands[0] if len(operands) == 1 else operands
    inputs, arrow, out = equation.replace(" ", "").partition("->")
    sides = inputs.split(",")
    if not arrow or len(sides) != 2 or len(tensors) != 2 or "." in equation:
        return None
    shared = [letter for letter in sides[0] if letter in sides[1] and letter in out]
    summed = [letter for letter in sides[0] if letter in sides[1] and letter not in out]
    rows, columns = ([letter for letter in out if letter in side and letter not in shared] for side in sides)
    if not (len(summed) == len(rows) == len(columns) == 1) or len(shared) + 2 != len(out):
        return None
    if any(len(side) != len(set(side)) or len(side) != len(shared) + 2 for side in sides):
        return None
    left, right = (
        tensor if order == list(side) else tensor.permute([side.index(letter) for letter in order])
        for tensor, side, order in (
            (tensors[0], sides[0], [*shared, *rows, *summed]),
            (tensors[1], sides[1], [*shared, *summed, *columns]),
        )
    )
    made = [*shared, *rows, *columns]
    order = tuple(made.index(letter) for letter in out)
    return Product(left, right, order=None if order == tuple(range(len(out))) else order)


def _number(value: object) -> float | None:
    """Return a number, or the only one of a tensor."""
    if isinstance(value, Tensor):
        return float(value) if value.numel() == 1 else None
    return float(value) if isinstance(value, int | float) else None


def _second(args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    return args[1] if len(args) > 1 else named.get("other")


def _times(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    first, second = args[0], _second(args, named)
    if not isinstance(ledger.of(first), Scores):
        first, second = second, first
    scores, factor = ledger.of(first), _number(second)
    if not isinstance(scores, Scores):
        return None
    if factor is not None:
        return scores.times(factor)
    is_mask = isinstance(second, Tensor) and not ledger.has(second) and scores.shape == result.shape
    return scores.within(second) if is_mask and isinstance(second, Tensor) else None


def _over(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    scores, factor = ledger.of(args[0]), _number(_second(args, named))
    return scores.times(1 / factor) if isinstance(scores, Scores) and factor else None


def _plus(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    first, second = args[0], _second(args, named)
    if not isinstance(ledger.of(first), Scores):
        first, second = second, first
    scores = ledger.of(first)
    if not isinstance(scores, Scores) or named.get("alpha", 1) != 1 or scores.shape != result.shape:
        return None
    return scores.plus(second, depends=ledger.has(second))


def _minus(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    scores, second = ledger.of(args[0]), _second(args, named)
    if not isinstance(scores, Scores) or named.get("alpha", 1) != 1 or scores.shape != result.shape:
        return None
    return scores.plus(-second, depends=ledger.has(second))


def _filled(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    scores = ledger.of(args[0])
    mask, value = (named.get(key, args[at] if at < len(args) else None) for at, key in ((1, "mask"), (2, "value")))
    if isinstance(scores, Weights) and _number(value) == 0 and scores.shape == result.shape:
        return dataclasses.replace(scores, erased=(*scores.erased, (mask.bool(), scores.shape)))
    return scores.without(mask, value) if isinstance(scores, Scores) and scores.shape == result.shape else None


def _chosen(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    """Follow `where(condition, scores, number)`, or the other way round."""
    if len(args) != 3:
        return None
    condition, first, second = args
    if isinstance(ledger.of(second), Scores):
        condition, first, second = ~condition, second, first
    scores = ledger.of(first)
    return scores.without(~condition, second) if isinstance(scores, Scores) and scores.shape == result.shape else None


def _at_least(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    """Follow `max(scores, lowest number)`, which changes nothing that can be seen."""
    scores, least = ledger.of(args[0]), _number(_second(args, named))
    return scores if isinstance(scores, Scores) and least is not None and least <= _HIDES else None


def _in_tanh(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    scores = ledger.of(args[0])
    return scores.in_tanh() if isinstance(scores, Scores) else None


def _softmax(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    scores, dim = ledger.of(args[0]), named.get("dim", args[1] if len(args) > 1 else None)
    is_over_keys = dim in (-1, result.ndim - 1) and isinstance(scores, Scores) and not scores.is_in_tanh
    return Weights(scores, result.shape) if is_over_keys and isinstance(scores, Scores) else None


def _same(ledger: Ledger, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Known:
    known = ledger.of(args[0])
    return None if known is None else known.viewed(result.shape)


Rule: TypeAlias = Callable[[Ledger, tuple[Any, ...], Mapping[str, Any], Tensor], Known]
_RULES: dict[str, Rule] = {
    **dict.fromkeys(("mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__"), _times),
    **dict.fromkeys(("div", "div_", "true_divide", "divide", "__truediv__", "__itruediv__"), _over),
    **dict.fromkeys(("add", "add_", "__add__", "__radd__", "__iadd__"), _plus),
    **dict.fromkeys(("sub", "sub_", "subtract", "__sub__", "__isub__"), _minus),
    **dict.fromkeys(("masked_fill", "masked_fill_"), _filled),
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    **dict.fromkeys(("max", "maximum"), _at_least),
    **dict.fromkeys(("tanh", "tanh_"), _in_tanh),
    "where": _chosen,
    **dict.fromkeys(
        ("view", "reshape", "view_as", "flatten", "unflatten", "squeeze", "unsqueeze", "contiguous", "clone", "detach"),
        _same,
    ),
    **dict.fromkeys(("to", "float", "double", "half", "bfloat16", "type", "type_as", "dropout", "expand"), _same),
}
