"""The attention inside a trace: the product that scores, the softmax, the product that combines, and whose is what.

A `Core` is one softmax with the two products around it, as the operations of the target stand. `Canon` is the same in
one layout, whatever the target's: `(batch, heads, query, key)`, found from what depends on which token.
"""

import itertools
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.witness.flow import NONE, SEVERAL, Flow, apart
from attention_surgeon.witness.products import Product, as_product
from attention_surgeon.witness.record import Array, Op, Trace

Part: TypeAlias = Literal["q", "key_rows", "v"]
"""A part of a `Canon`."""


@dataclass(frozen=True)
class Core:
    """Where one attention stands in a trace, as numbers of operations.

    Attributes:
        scores: The products whose sum becomes the scores.
        softmax: The softmax, the `exp` of one that was written out, or the fused call.
        combine: The product of weights and values; the fused call itself.
        weights_first: Whether the weights are the left operand of `combine`.
    """

    scores: tuple[int, ...]
    softmax: int
    combine: int
    weights_first: bool = True

    @property
    def is_fused(self) -> bool:
        """Whether one call does all of it."""
        return self.softmax == self.combine


def find_cores(flow: Flow) -> list[Core]:
    """Return every attention of a trace, in order.

    Raises:
        UnjudgedError: there is none that has a softmax.
    """
    fused = [Core((), i, i) for i, op in enumerate(flow.ops) if op.name == "sdpa"]
    if fused:
        return fused
    products = flow.products
    if len(products) < 2:
        raise UnjudgedError("I see no two products of tokens with tokens, as attention has them")
    softs = [i for i, op in enumerate(flow.ops) if op.name in ("softmax", "exp") and not flow.is_constant(i)]
    if not softs:
        raise UnjudgedError("there is no softmax between its products: it is not softmax attention")
    found: list[Core] = []
    for combine in products:
        between = [s for s in softs if flow.reaches(s, combine)]
        before = [p for p in products if p < combine and any(flow.reaches(p, s) for s in between)]
        direct = [p for p in before if not any(flow.reaches(p, later) for later in before)]
        if not direct:
            continue
        if any(flow.reaches(core.combine, p) for core in found for p in direct):
            break  # the attention of the next layer
        soft = next(s for s in between if any(flow.reaches(p, s) for p in direct))
        found.append(Core(tuple(direct), soft, combine, flow.reaches(soft, combine, -2)))
    if not found:
        raise UnjudgedError("its products are not joined by a softmax: it is not softmax attention")
    return found


def rows_alike(flow: Flow) -> tuple[str, str, str, int] | None:
    """Say where a softmax gives every query the same weights, whatever the tokens are; None for none.

    Returns:
        The fault, its step, what was seen, and the operation.
    """
    shape = flow.plan.sizes.n_q, flow.plan.sizes.n_k
    for op, recorded in enumerate(flow.ops):
        values = [trace.ops[op].value for trace in (flow.base, flow.other)]
        if recorded.name != "softmax" or shape[0] < 2 or any(v is None or v.shape[-2:] != shape for v in values):
            continue
        is_alike = all(not apart(v, np.broadcast_to(v[..., :1, :], v.shape)).any() for v in values if v is not None)
        if is_alike and not flow.is_constant(op) and any(flow.reaches(op, p) for p in flow.products):
            return "query_ignored", "scores", "every query has the same weights", op
    return None


def weights_of_one(flow: Flow) -> tuple[str, str, str, int] | None:
    """Say where a softmax runs over an axis of one, so that every weight is 1; None for none."""
    for op, recorded in enumerate(flow.ops):
        axis, value = recorded.options.get("dim"), recorded.value
        if recorded.name != "softmax" or value is None or not isinstance(axis, int) or flow.is_constant(op, 0):
            continue
        fault = {2: "softmax_over_queries", 3: "softmax_over_heads"}.get(-axis if axis < 0 else value.ndim - axis)
        if fault is not None and value.shape[axis] == 1 and value.shape[-1] > 1:
            return fault, "weights", "the softmax runs over an axis of one, so that every weight is 1", op
    return None


def same_core(core: Core, source: Flow, echo: Flow) -> Core:
    """Return the core of an echo that stands where this one stands in its source.

    Raises:
        UnjudgedError: there is none.
    """
    twins = {echo.twin(k): k for k, op in enumerate(echo.ops) if op.inputs}
    places = [twins.get(k) for k in (*core.scores, core.combine)]
    if any(place is None for place in places):
        raise UnjudgedError("with this argument it does other operations")
    *scores, combine = (place for place in places if place is not None)
    if core.is_fused:
        return Core((), combine, combine)
    name = source.ops[core.softmax].name
    between = [k for k in range(scores[-1], combine) if echo.ops[k].name == name and echo.ops[k].value is not None]
    if not between:
        raise UnjudgedError("with this argument it has no softmax")
    return Core(tuple(scores), between[-1], combine, core.weights_first)


@dataclass
class Canon:
    """One attention, or several heads of one, in the layout `(batch, heads, query, key)`.

    Attributes:
        q: `(batch, heads, n_q, d)`, as they entered the product.
        k: `(batch, heads, n_k, d)`; shared heads are repeated, as the target used them.
        v: `(batch, heads, n_k, d_v)`.
        scores: What the product gave.
        masked: What entered the softmax; the same up to a number per row where it was written out.
        weights: What the softmax gave.
        used: What was multiplied with the values.
        output: What that gave, `(batch, heads, n_q, d_v)`.
        key_rows: `(batch, key heads, n_k, d)`, each key row once.
        batches: Which sequences these are.
        key_heads: Which of the key rows of a token each query head uses, by rank.
        query_argument: Which argument the queries come from.
        key_argument: Which the keys come from.
        value_argument: Which the values come from.
        extra: What else entered the softmax beside the keys: a sink, or the scores of keys that are parameters.
        null_key: `(columns, d)`, the keys that are parameters and no tokens; None where there are none.
        null_value: `(columns, d_v)`, the values that are.
    """

    q: Array
    k: Array
    v: Array
    key_rows: Array
    batches: Array
    scores: Array
    masked: Array
    weights: Array
    used: Array
    output: Array
    key_heads: Array
    query_argument: str = ""
    key_argument: str = ""
    value_argument: str = ""
    extra: Array | None = None
    null_key: Array | None = None
    null_value: Array | None = None


class Structure(Exception):
    """Rows that belong together in no way that attention has: what was found, by a short name and in a sentence."""

    def __init__(self, name: str, sentence: str, core: Core) -> None:
        """Say what was found, and in which attention."""
        super().__init__(sentence)
        self.name, self.sentence, self.core = name, sentence, core


def canonical(flow: Flow, core: Core, trace: Trace | None = None) -> Canon:
    """Return a core in one layout, with the numbers of a run (the plain one).

    Raises:
        Structure: rows mix tokens, sequences or heads.
        UnjudgedError: something stands between the steps that this does not read.
    """
    return _reader(flow, core, trace).canon()


def rows_of(flow: Flow, core: Core, name: Part, trace: Trace) -> Array:
    """Return one part of what `canonical` returns, and work out no other.

    Raises:
        UnjudgedError: something stands between the steps that this does not read.
    """
    return _reader(flow, core, trace).rows_of(name)


def _reader(flow: Flow, core: Core, trace: Trace | None) -> "_Fused | _Written":
    return (_Fused if core.is_fused else _Written)(flow, core, trace or flow.base)


def _of_rows(elements: Array) -> Array:
    """Return the label of each row: that of its elements, constants aside."""
    largest, smallest = elements.max(-1), np.where(elements == NONE, 10**9, elements).min(-1)
    return np.where(
        (elements == SEVERAL).any(-1),
        SEVERAL,
        np.where(smallest >= 10**9, NONE, np.where(largest == smallest, largest, SEVERAL)),
    )


@dataclass
class _Rows:
    """The rows of an operand: letters, numbers `(*letters, d)`, and of each its token and its rank among that one's."""

    letters: str
    numbers: Array
    tokens: Array
    ranks: Array

    def spread(self, values: Array, out: str, sizes: dict[str, int]) -> Array:
        """Return one value per row as an array over the letters `out`."""
        order = sorted(range(len(self.letters)), key=lambda i: out.index(self.letters[i]))
        moved = values.transpose(order)
        shape = [sizes[c] if c in self.letters else 1 for c in out]
        return np.broadcast_to(moved.reshape(shape), [sizes[c] for c in out])


def _rows(flow: Flow, product: Product, marks: Product, side: str, without: str) -> _Rows:
    letters, numbers = product.rows(side, without)
    tokens = _of_rows(marks.rows(side, without)[1])
    ranks = np.zeros(tokens.shape, dtype=int)
    seen: dict[int, int] = {}
    flat, where = tokens.reshape(-1), ranks.reshape(-1)
    for n, token in enumerate(flat):
        where[n] = seen.get(int(token), 0)
        seen[int(token)] = where[n] + 1
    return _Rows(letters, numbers, tokens, where.reshape(tokens.shape))


@dataclass(frozen=True)
class _Null:
    """Where in an operand rows stand that are parameters and no tokens: along a letter, which places are tokens."""

    letter: str
    kept: Array
    rows: Array

    def without(self, product: Product) -> Product:
        """Return a product without them, on whichever sides have the letter."""
        a, b = (
            np.compress(self.kept, array, letters.index(self.letter)) if self.letter in letters else array
            for array, letters in ((product.a, product.left), (product.b, product.right))
        )
        return replace(product, a=a, b=b)


def _null_rows(product: Product, marks: Product, without: str) -> _Null | None:
    """Return the rows of the right operand that depend on no token, where they fill places along one axis."""
    letters, numbers = product.rows("b", without)
    is_null = _of_rows(marks.rows("b", without)[1]) == NONE
    if not is_null.any() or is_null.all():
        return None
    for axis, letter in enumerate(letters):
        along = np.moveaxis(is_null, axis, -1).reshape(-1, is_null.shape[axis])
        if (along == along[:1]).all():
            rows = np.moveaxis(numbers, axis, 0)[along[0]]
            return _Null(letter, ~along[0], rows.reshape(len(rows), -1, rows.shape[-1])[:, 0])
    return None


@dataclass(frozen=True)
class _Layout:
    """Where the numbers of a product belong: the same in every run of a flow, so it is worked out once.

    Attributes:
        is_turned: Whether the operands stand in the other order.
        rows: Those of both operands (of the values alone, for the product with these).
        place: The batch, head, query and key of every element of the scores.
        batches: Which sequences these are.
        null: The keys (or values) that are no tokens, if there are any.
    """

    is_turned: bool
    rows: tuple[_Rows, ...]
    place: tuple[Array, ...] = ()
    batches: Array = field(default_factory=lambda: np.zeros(0))
    null: _Null | None = None


class _Written:
    """A core of single operations."""

    def __init__(self, flow: Flow, core: Core, trace: Trace) -> None:
        self.flow, self.core, self.ops = flow, core, trace.ops
        self._null: _Null | None = None
        self._null_value: _Null | None = None

    def rows_of(self, name: Part) -> Array:
        """Return the rows of the queries, each row of the keys once, or the values as each head met them."""
        _, rows, place = self._scored(self.core.scores[0])
        size = tuple(int(axis.max()) + 1 for axis in place)
        if name == "q":
            batch, head, position = self._token_places(rows[0])
            return _by_row(rows[0], (batch, head, _one_or_all(position)), size[:3])
        if name == "key_rows":
            return _by_row(rows[1], self._token_places(rows[1]), (size[0], int(rows[1].ranks.max()) + 1, size[3]))
        return self._values(place, size)[0]

    def canon(self) -> Canon:
        flow, core = self.flow, self.core
        parts = [self._scored(op) for op in core.scores]
        place = parts[0][2]
        for _, _, other in parts[1:]:
            if [a.tolist() for a in other] != [a.tolist() for a in place]:
                raise UnjudgedError("its scores are a sum of products of different layouts")
        size = tuple(int(axis.max()) + 1 for axis in place)
        flat = tuple(axis.reshape(-1) for axis in place)

        def laid(values: Array) -> Array:
            out = np.full(size, np.nan)
            out[flat] = values.reshape(-1)
            return out

        product, rows = parts[0][0], parts[0][1]
        whole = tuple(self._whole_sizes(product)[c] for c in product.out)
        masked_raw, extra = self._entering(whole)
        if self._null is not None:
            axis = product.out.index(self._null.letter)
            columns = [np.take(masked_raw, [c], axis) for c in np.flatnonzero(~self._null.kept)]
            masked_raw = np.compress(self._null.kept, masked_raw, axis)
            extra = np.concatenate([laid(np.broadcast_to(c, masked_raw.shape))[..., :1] for c in columns], -1)
        weights_raw, used_raw = self._leaving(whole, product)
        scores = sum(laid(part[0].value()) for part in parts)
        q, k = self.rows_of("q"), self.rows_of("key_rows")
        key_heads = self._key_heads(rows, product, size)
        v, weights_used = self._values(place, size)
        tokens = flow.tokens
        return Canon(
            q=q,
            k=k[:, key_heads],
            v=v,
            key_rows=k,
            batches=self._batches,
            scores=np.asarray(scores),
            masked=laid(masked_raw),
            weights=laid(weights_raw),
            used=laid(used_raw),
            output=self._output(v, weights_used, place),
            key_heads=key_heads,
            extra=extra,
            null_key=None if self._null is None else self._null.rows,
            null_value=None if self._null_value is None else self._null_value.rows,
            query_argument=tokens[int(rows[0].tokens.flat[0])].argument,
            key_argument=tokens[int(rows[1].tokens.flat[0])].argument,
            value_argument=self._value_argument,
        )

    def _whole_sizes(self, product: Product) -> dict[str, int]:
        """Return how long each axis of the scores is, with the keys that are no tokens."""
        sizes = product.sizes
        return sizes if self._null is None else sizes | {self._null.letter: len(self._null.kept)}

    def _scored(self, op: int) -> tuple[Product, tuple[_Rows, _Rows], tuple[Array, ...]]:
        """Return a product with queries on its left, its rows, and where each of its elements belongs."""
        flow, recorded = self.flow, self.ops[op]
        product = as_product(recorded.name, recorded.inputs, recorded.options)
        if product is None:
            raise UnjudgedError(f"I cannot read its product `{recorded.name}`")
        if product.alone:
            words = "an axis of the queries or keys is summed before they meet: heads are mixed"
            raise Structure("heads_averaged", words, self.core)
        layout = flow.layouts.get(("scores", op))
        if layout is None:
            layout = flow.layouts["scores", op] = self._laid_out(op, product)
        self._batches, self._null = layout.batches, layout.null
        product = product.turned() if layout.is_turned else product
        product = product if layout.null is None else layout.null.without(product)
        queries, keys = (
            replace(rows, numbers=product.rows(side, product.summed)[1])
            for side, rows in zip("ab", layout.rows, strict=True)
        )
        return product, (queries, keys), layout.place

    def _laid_out(self, op: int, product: Product) -> _Layout:
        """Return where the numbers of a product of queries and keys belong."""
        flow, core, recorded = self.flow, self.core, self.ops[op]
        marks = as_product(recorded.name, (flow.labels(op, -2), flow.labels(op, -1)), recorded.options)
        assert marks is not None
        is_turned = self._keys_are_left(product, marks)
        if is_turned:
            product, marks = product.turned(), marks.turned()
        null = _null_rows(product, marks, product.summed)
        if null is not None:
            product, marks = null.without(product), null.without(marks)
        rows = _rows(flow, product, marks, "a", product.summed), _rows(flow, product, marks, "b", product.summed)
        for side, name in zip(rows, ("queries", "keys"), strict=True):
            if (side.tokens < 0).any():
                raise _mixed(marks.rows("a" if side is rows[0] else "b", product.summed)[1], name, core, flow)
        sizes = product.sizes
        token_a, token_b = (side.spread(side.tokens, product.out, sizes) for side in rows)
        head = rows[0].spread(rows[0].ranks, product.out, sizes)
        tokens = flow.tokens
        batch_a, batch_b = (np.array([tokens[t].batch for t in part.flat]) for part in (token_a, token_b))
        if (batch_a != batch_b).any():
            raise Structure("attends_over_batch", "queries of one sequence meet keys of another", core)
        i, j = (np.array([tokens[t].position for t in part.flat]) for part in (token_a, token_b))
        i = _one_or_all(i)
        batches = np.unique(batch_a)
        place = np.searchsorted(batches, batch_a), head.reshape(-1), i, j
        whole = np.zeros(tuple(int(axis.max()) + 1 for axis in place), dtype=int)
        np.add.at(whole, place, 1)
        if (whole != 1).any():
            raise self._not_whole(product, rows, whole)
        return _Layout(is_turned, rows, place, batches, null)

    def _not_whole(self, product: Product, rows: tuple[_Rows, _Rows], whole: Array) -> Structure:
        """Say why not every query meets every key of its head once."""
        only_own = (whole.sum((1, 3)) > 0).sum() and all(
            whole[b, :, i, j].sum() == 0
            for b in range(whole.shape[0])
            for i in range(whole.shape[2])
            for j in range(whole.shape[3])
            if i != j
        )
        if only_own:
            return Structure(
                "attends_over_heads", "the heads of one position meet each other, not the positions", self.core
            )
        found = [self._cut_by_view(each.numbers) for each in rows]
        return next((one for one in found if one.name == "heads_split_by_view"), found[0])

    def _cut_by_view(self, numbers: Array) -> Structure:
        """Heads that were cut by one view lie in memory as the projection left them."""
        flow, flat = self.flow, numbers.reshape(-1)
        for op in flow.projections:
            value = flow.ops[op].value
            if op < self.core.scores[0] and value is not None and value.size % flat.size == 0:
                count = value.size // flat.size
                if value.shape[-1] % count:
                    continue
                for part in np.split(value, count, axis=-1):
                    if np.allclose(part.reshape(-1), flat) or np.allclose(
                        np.abs(part.reshape(-1)[:1] / flat[:1]), np.abs(part.reshape(-1) / flat)
                    ):
                        words = "rows of one head belong to several positions and heads"
                        return Structure("heads_split_by_view", words, self.core)
        return Structure("rows_unknown", "not every query meets every key of its head once", self.core)

    def _keys_are_left(self, product: Product, marks: Product) -> bool:
        """Whether the left operand holds the keys: by their argument, else by what the combining product sums over."""
        flow = self.flow
        left = _of_rows(marks.rows("a", product.summed)[1])
        right = _of_rows(marks.rows("b", product.summed)[1])
        roles = {a.name: a.role for a in flow.plan.arguments}
        names = [roles.get(flow.tokens[t].argument, "") if t >= 0 else "" for t in (left.flat[0], right.flat[0])]
        asks, answers = ("x", "query"), ("key", "value", "context")
        if names[0] in answers and names[1] in asks:
            return True
        if names[0] in asks and names[1] in answers:
            return False
        return self._sums_over_left(product)

    def _sums_over_left(self, product: Product) -> bool:
        """Whether the product with the values runs over what stands on the left of the scores (rows, as they lie)."""
        combine = self._combine()
        if combine is None or len(combine.summed) != 1:
            return False
        axis = combine.left.index(combine.summed)
        value = product.value()
        if combine.a.shape != value.shape:
            return False
        return product.out[axis] in product.left and product.out[axis] not in product.right

    def _combine(self) -> Product | None:
        op = self.ops[self.core.combine]
        product = as_product(op.name, op.inputs, op.options)
        if product is None:
            return None
        return self._as_scores_lie(product if self.core.weights_first else product.turned())

    def _as_scores_lie(self, combine: Product) -> Product:
        """Return the product with the values, its weights in the order of axes in which the softmax gave them."""
        given = self.ops[self.core.softmax].value
        if self.ops[self.core.softmax].name != "softmax" or given is None or given.size != combine.a.size:
            return combine
        for order in itertools.permutations(range(given.ndim)):
            moved = given.transpose(order)
            if moved.shape == combine.a.shape and not apart(moved, combine.a).any():
                back = np.argsort(order)
                left = "".join(combine.left[axis] for axis in back)
                return replace(combine, a=combine.a.transpose(back), left=left)
        return combine

    def _entering(self, shape: tuple[int, ...]) -> tuple[Array, Array | None]:
        """Return what entered the softmax, in the shape of the scores, and what was appended to it (a sink)."""
        op = self.ops[self.core.softmax]
        entered = op.inputs[0] if op.name == "softmax" else self._before_exp(op)
        if entered.shape == shape:
            return entered, None
        if entered.ndim == len(shape) and entered.shape[:-1] == shape[:-1] and entered.shape[-1] == shape[-1] + 1:
            return (
                (entered[..., :-1], entered[..., -1:]) if self._sink_is_last() else (entered[..., 1:], entered[..., :1])
            )
        if entered.size == int(np.prod(shape)):
            return entered.reshape(shape), None
        raise UnjudgedError("what enters its softmax has another shape than its scores")

    def _sink_is_last(self) -> bool:
        """Where the column that is no key stands: behind the keys, unless only the one before them is constant."""
        return self._is_constant_column(-1) or not self._is_constant_column(0)

    def _is_constant_column(self, column: int) -> bool:
        one, two = (trace.ops[self.core.softmax].inputs[0][..., column] for trace in (self.flow.base, self.flow.other))
        return not apart(one, two).any()

    def _before_exp(self, op: Op) -> Array:
        assert op.value is not None
        with np.errstate(divide="ignore"):
            entered = np.log(op.value)
        for earlier in reversed(self.ops[: self.core.softmax]):  # before the maximum was taken off
            if earlier.name in ("max", "amax"):
                top = earlier.value
                assert top is not None
                try:
                    return entered + top if (entered + top).shape == entered.shape else entered
                except ValueError:
                    return entered
            if earlier.name in ("matmul", "einsum", "bmm"):
                break
        return entered

    def _leaving(self, shape: tuple[int, ...], product: Product) -> tuple[Array, Array]:
        """Return what the softmax gave, and what of it met the values, both in the shape of the scores of tokens."""
        if self._null is None:
            return self._weights_in(shape)
        axis = product.out.index(self._null.letter)
        weights, used = self._weights_in(shape)
        return np.compress(self._null.kept, weights, axis), np.compress(self._null.kept, used, axis)

    def _weights_in(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        combine = self._combine()
        if combine is None:
            raise UnjudgedError(f"I cannot read its product `{self.ops[self.core.combine].name}` of weights and values")
        op = self.ops[self.core.softmax]
        if self._null is None and combine.a.size != int(np.prod(shape)):  # a sink that has a value as well
            _, marks = self._combine_marks(combine)
            null = _null_rows(combine, marks, "".join(c for c in combine.right if c not in combine.left))
            combine = combine if null is None else null.without(combine)
        used = _in_shape(combine.a, shape)
        if op.name == "softmax":
            assert op.value is not None
            weights = op.value
            if weights.ndim == len(shape) and weights.shape[-1] == shape[-1] + 1:
                weights = weights[..., :-1] if self._sink_is_last() else weights[..., 1:]
            return _in_shape(weights, shape), used
        return used, used

    def _key_heads(self, rows: tuple[_Rows, _Rows], product: Product, size: tuple[int, ...]) -> Array:
        """Return, for each query head, the rank of the key rows that it meets."""
        sizes = product.sizes
        asks = rows[0].spread(rows[0].ranks, product.out, sizes).reshape(-1)
        answers = rows[1].spread(rows[1].ranks, product.out, sizes).reshape(-1)
        found = np.full(size[1], -1)
        found[asks] = answers
        if (found[asks] != answers).any():
            raise Structure("attends_over_heads", "one query head meets keys of several heads", self.core)
        return found

    def _combine_marks(self, combine: Product) -> tuple[str, Product]:
        """Return the letters of a value's size, and the product of weights and values with labels for numbers."""
        flow, core = self.flow, self.core
        op = self.ops[core.combine]
        marks = as_product(op.name, (flow.labels(core.combine, -2), flow.labels(core.combine, -1)), op.options)
        assert marks is not None
        return "".join(c for c in combine.right if c not in combine.left), (
            marks if core.weights_first else marks.turned()
        )

    def _values(self, place: tuple[Array, ...], size: tuple[int, ...]) -> tuple[Array, Array]:
        """Return the values as each head met them, and the weights that it met them with, in one layout."""
        flow, core = self.flow, self.core
        combine = self._combine()
        assert combine is not None
        own = "".join(c for c in combine.right if c not in combine.left)
        layout = flow.layouts.get(("values", core.combine))
        if layout is None:
            layout = flow.layouts["values", core.combine] = self._values_laid_out(combine)
        self._null_value = layout.null
        combine = combine if layout.null is None else layout.null.without(combine)
        rows = replace(layout.rows[0], numbers=combine.rows("b", own)[1])
        if (rows.tokens < 0).any():
            raise Structure("rows_mix_tokens", "a row of the values is made of several tokens", core)
        self._value_argument = flow.tokens[int(rows.tokens.flat[0])].argument
        sizes, shape = combine.sizes, tuple(combine.sizes[c] for c in combine.left)
        token = rows.spread(rows.tokens, combine.left, sizes).reshape(-1)
        if token.size != place[0].size or shape != combine.a.shape:
            raise UnjudgedError("its weights and its scores have different sizes")
        batch = np.searchsorted(self._batches, [flow.tokens[t].batch for t in token])
        position = np.array([flow.tokens[t].position for t in token])
        if (batch != place[0]).any():
            raise Structure("attends_over_batch", "weights of one sequence meet values of another", core)
        if (position != place[3]).any():
            turned = (position == place[2]).all()
            name = "weights_transposed" if turned else "values_out_of_order"
            raise Structure(name, "the weight of one key meets the value of another", core)
        row = rows.spread(np.arange(rows.tokens.size).reshape(rows.tokens.shape), combine.left, sizes).reshape(-1)
        numbers = rows.numbers.reshape(rows.tokens.size, -1)
        values = np.zeros((size[0], size[1], size[3], numbers.shape[-1]))
        values[place[0], place[1], place[3]] = numbers[row]
        return values, _laid(combine.a, place, size)

    def _values_laid_out(self, combine: Product) -> _Layout:
        own, marks = self._combine_marks(combine)
        null = _null_rows(combine, marks, own)
        if null is not None:
            combine, marks = null.without(combine), null.without(marks)
        return _Layout(False, (_rows(self.flow, combine, marks, "b", own),), null=null)

    def _output(self, values: Array, weights: Array, place: tuple[Array, ...]) -> Array:
        """Return what came out, in the layout of the values; values that are no tokens are in it."""
        out = np.einsum("bhij,bhjd->bhid", weights, values)
        whole = self._combine()
        if self._null_value is None or whole is None:
            return out
        combine = self._null_value.without(whole)
        shape = tuple(combine.sizes[c] for c in combine.left)
        kept = [c for c in combine.left if c in combine.out]
        own = [c for c in combine.right if c not in combine.left]
        axis = tuple(n for n, c in enumerate(combine.left) if c not in combine.out)
        where = tuple(np.moveaxis(p.reshape(shape), axis, range(len(axis)))[(0,) * len(axis)] for p in place[:3])
        moved = whole.value().transpose([whole.out.index(c) for c in (*kept, *own)])
        out[where] = moved.reshape(*(combine.sizes[c] for c in kept), -1)
        return out

    def _token_places(self, rows: _Rows) -> tuple[Array, Array, Array]:
        tokens = [self.flow.tokens[t] for t in rows.tokens.flat]
        batch = np.searchsorted(self._batches, [t.batch for t in tokens])
        return batch, rows.ranks.reshape(-1), np.array([t.position for t in tokens])


def _one_or_all(positions: Array) -> Array:
    """Return the places of queries among those that ask: where only one token of a sequence does, it is the first."""
    return np.zeros_like(positions) if (positions == positions.flat[0]).all() else positions


def _mixed(labels: Array, name: str, core: Core, flow: Flow) -> Structure:
    """Say why rows `(..., features)` belong to no token: features of several lie in one, or each is made of several."""
    flat = np.sort(labels.reshape(-1, labels.shape[-1]), -1)
    is_apart = (labels >= 0).all() and labels.shape[-1] > 1 and bool((np.diff(flat, axis=-1) > 0).all())
    if is_apart:
        of = flow.tokens[int(flat.flat[0])]
        count = sum(t.argument == of.argument and t.batch == of.batch for t in flow.tokens)
        is_apart = labels.shape[-1] >= count
    if is_apart:
        return Structure("rows_unknown", "its rows are one feature of all tokens: it attends over the channels", core)
    if (labels >= 0).all():
        return Structure("heads_split_by_view", f"a row of the {name} holds features of several tokens", core)
    return Structure("rows_mix_tokens", f"a row of the {name} is made of several tokens", core)


def _laid(values: Array, place: tuple[Array, ...], size: tuple[int, ...]) -> Array:
    out = np.zeros(size)
    out[tuple(place)] = values.reshape(-1)
    return out


def _by_row(rows: _Rows, place: tuple[Array, Array, Array], size: tuple[int, ...]) -> Array:
    out = np.full((*size, rows.numbers.shape[-1]), np.nan)
    out[place] = rows.numbers.reshape(-1, rows.numbers.shape[-1])
    return out


def _in_shape(values: Array, shape: tuple[int, ...]) -> Array:
    if values.size != int(np.prod(shape)):
        raise UnjudgedError("its weights have another shape than its scores")
    return values.reshape(shape)


class _Fused:
    """A core that is one call of `scaled_dot_product_attention`."""

    def __init__(self, flow: Flow, core: Core, trace: Trace) -> None:
        self.flow, self.core, self.op = flow, core, trace.ops[core.combine]

    def rows_of(self, name: Part) -> Array:
        """Return the rows of the queries, each row of the keys once, or the values as each head met them."""
        if name == "v":
            heads, (values, _) = self._rows(0)[0].shape[1], self._rows(2)
            return values[:, np.arange(heads) * values.shape[1] // heads]
        return self._rows(0 if name == "q" else 1)[0]

    def canon(self) -> Canon:
        q, k, v = (self._rows(n) for n in range(3))
        heads, shared = q[0].shape[1], k[0].shape[1]
        key_heads = np.arange(heads) * shared // heads
        asked = np.moveaxis(q[0], 0, 0)
        keys, values = k[0][:, key_heads], v[0][:, key_heads]
        scores = np.einsum("bhid,bhjd->bhij", asked, keys)
        masked = self._masked(scores, asked.shape[-1])
        weights = softmax(masked)
        output = np.einsum("bhij,bhjd->bhid", weights, values)
        return Canon(
            q=asked,
            k=keys,
            v=values,
            key_rows=k[0],
            batches=np.arange(len(asked)),
            scores=scores,
            masked=masked,
            weights=weights,
            used=weights,
            output=output,
            key_heads=key_heads,
            query_argument=q[1],
            key_argument=k[1],
            value_argument=v[1],
        )

    def _rows(self, operand: int) -> tuple[Array, str]:
        array, marks = self.op.inputs[operand], self.flow.labels(self.core.combine, operand)
        rows = _of_rows(marks)
        name = ("queries", "keys", "values")[operand]
        if (marks == NONE).all():
            raise UnjudgedError(f"the {name} depend on no token: they are parameters")
        if (rows < 0).any():
            raise _mixed(marks, name, self.core, self.flow)
        tokens = [self.flow.tokens[t] for t in rows.flat]
        batch = np.array([t.batch for t in tokens]).reshape(rows.shape)
        position = np.array([t.position for t in tokens]).reshape(rows.shape)
        n = rows.shape[-1]
        position = _one_or_all(position) if operand == 0 and n == 1 else position
        if (position != np.broadcast_to(np.arange(n), rows.shape)).any():
            over_heads = rows.ndim > 2 and (position == position[..., :1]).all()
            if over_heads:
                raise Structure(
                    "attends_over_heads", "the heads of one position meet each other, not the positions", self.core
                )
            raise Structure("rows_unknown", "rows of one head belong to several positions and heads", self.core)
        if (batch != batch[..., :1]).any():
            raise Structure("attends_over_batch", "a row of sequences stands where positions belong", self.core)
        firsts = batch[..., 0].reshape(-1)
        num = int(firsts.max()) + 1
        order = np.argsort(firsts, kind="stable")
        moved = array.reshape(-1, n, array.shape[-1])[order].reshape(num, -1, n, array.shape[-1])
        return moved, tokens[0].argument

    def _masked(self, scores: Array, size: int) -> Array:
        options = self.op.options
        scale = options.get("scale")
        scaled = scores * (size**-0.5 if scale is None else float(scale))
        mask = options.get("attn_mask")
        if mask is not None:
            heads = scaled.shape[1]
            mask = np.asarray(mask)
            if mask.ndim == 3 and mask.shape[0] not in (1, heads):
                mask = (
                    mask.reshape(-1, heads, *mask.shape[-2:])
                    if mask.shape[0] == scaled.shape[0] * heads
                    else mask[:, None]
                )
            scaled = np.where(mask, scaled, -np.inf) if mask.dtype.kind == "b" else scaled + mask
        if options.get("is_causal"):
            n_q, n_k = scaled.shape[-2:]
            scaled = np.where(np.tri(n_q, n_k, dtype=bool), scaled, -np.inf)
        return scaled


def softmax(masked: Array) -> Array:
    """Return the weights of scores; zeros for a row of nothing but `-inf`."""
    with np.errstate(invalid="ignore"):
        top = masked.max(-1, keepdims=True)
        raised = np.exp(masked - np.where(np.isfinite(top), top, 0.0))
        total = raised.sum(-1, keepdims=True)
        return np.where(total > 0, raised / np.where(total > 0, total, 1.0), 0.0)
