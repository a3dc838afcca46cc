"""A core of single operations in one layout, found from what depends on which token."""

import itertools
from dataclasses import dataclass, field, replace

import numpy as np

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.witness.canon import Canon, Part, Structure, labels_of_rows, mixed_rows, one_or_all
from attention_surgeon.witness.core import SEVERAL, Core
from attention_surgeon.witness.flow import Flow, apart
from attention_surgeon.witness.operand_rows import NullRows, Rows, null_rows_in, rows_in
from attention_surgeon.witness.products import Product, as_product
from attention_surgeon.witness.record import Array, Op, Trace

_OF_ONE = 1e-3  # how far the weights of one softmax may be from a sum of one


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
    rows: tuple[Rows, ...]
    place: tuple[Array, ...] = ()
    batches: Array = field(default_factory=lambda: np.zeros(0))
    null: NullRows | None = None


def is_turned(flow: Flow, product: int) -> bool:
    """Whether the keys stand on the left of a product of scores that was read: `einsum("bjd,bid->bij", k, q)`."""
    layout = flow.layouts.get(("scores", product))
    return layout is not None and layout.is_turned


class Written:
    """A core of single operations."""

    def __init__(self, flow: Flow, core: Core, trace: Trace) -> None:
        """Read a core with the numbers of a run."""
        self.flow, self.core, self.ops = flow, core, trace.ops
        self._null: NullRows | None = None
        self._null_value: NullRows | None = None

    def rows_of(self, name: Part) -> Array:
        """Return the rows of the queries, each row of the keys once, or the values as each head met them."""
        _, rows, place = self._scored(self.core.scores[0])
        size = tuple(int(axis.max()) + 1 for axis in place)
        if name == "q":
            batch, head, position = self._token_places(rows[0])
            return _by_row(rows[0], (batch, head, one_or_all(position)), size[:3])
        if name == "key_rows":
            return _by_row(rows[1], self._token_places(rows[1]), (size[0], int(rows[1].ranks.max()) + 1, size[3]))
        return self._values(place, size)[0]

    def canon(self) -> Canon:
        """Return all of it; `canonical` says what it raises."""
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

    def _scored(self, op: int) -> tuple[Product, tuple[Rows, Rows], tuple[Array, ...]]:
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
        null = null_rows_in(product, marks, product.summed)
        if null is not None:
            product, marks = null.without(product), null.without(marks)
        rows = rows_in(flow, product, marks, "a", product.summed), rows_in(flow, product, marks, "b", product.summed)
        for side, name in zip(rows, ("queries", "keys"), strict=True):
            if (side.tokens < 0).any():
                raise mixed_rows(marks.rows("a" if side is rows[0] else "b", product.summed)[1], name, core, flow)
        sizes = product.sizes
        token_a, token_b = (side.spread(side.tokens, product.out, sizes) for side in rows)
        head = rows[0].spread(rows[0].ranks, product.out, sizes)
        tokens = flow.tokens
        batch_a, batch_b = (np.array([tokens[t].batch for t in part.flat]) for part in (token_a, token_b))
        if (batch_a != batch_b).any():
            raise Structure("attends_over_batch", "queries of one sequence meet keys of another", core)
        i, j = (np.array([tokens[t].position for t in part.flat]) for part in (token_a, token_b))
        i = one_or_all(i)
        batches = np.unique(batch_a)
        place = np.searchsorted(batches, batch_a), head.reshape(-1), i, j
        whole = np.zeros(tuple(int(axis.max()) + 1 for axis in place), dtype=int)
        np.add.at(whole, place, 1)
        if (whole != 1).any():
            raise self._not_whole(product, rows, whole)
        return _Layout(is_turned, rows, place, batches, null)

    def _not_whole(self, product: Product, rows: tuple[Rows, Rows], whole: Array) -> Structure:
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
        left = labels_of_rows(marks.rows("a", product.summed)[1])
        right = labels_of_rows(marks.rows("b", product.summed)[1])
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
            null = null_rows_in(combine, marks, "".join(c for c in combine.right if c not in combine.left))
            combine = combine if null is None else null.without(combine)
        if combine.a.size < int(np.prod(shape)) and np.abs(combine.a.sum(-1) - 1).max() > _OF_ONE:
            raise UnjudgedError(SEVERAL)
        used = _in_shape(combine.a, shape)
        if op.name == "softmax":
            assert op.value is not None
            weights = op.value
            if weights.ndim == len(shape) and weights.shape[-1] == shape[-1] + 1:
                weights = weights[..., :-1] if self._sink_is_last() else weights[..., 1:]
            return _in_shape(weights, shape), used
        return used, used

    def _key_heads(self, rows: tuple[Rows, Rows], product: Product, size: tuple[int, ...]) -> Array:
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
        null = null_rows_in(combine, marks, own)
        if null is not None:
            combine, marks = null.without(combine), null.without(marks)
        return _Layout(False, (rows_in(self.flow, combine, marks, "b", own),), null=null)

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

    def _token_places(self, rows: Rows) -> tuple[Array, Array, Array]:
        tokens = [self.flow.tokens[t] for t in rows.tokens.flat]
        batch = np.searchsorted(self._batches, [t.batch for t in tokens])
        return batch, rows.ranks.reshape(-1), np.array([t.position for t in tokens])


def _laid(values: Array, place: tuple[Array, ...], size: tuple[int, ...]) -> Array:
    out = np.zeros(size)
    out[tuple(place)] = values.reshape(-1)
    return out


def _by_row(rows: Rows, place: tuple[Array, Array, Array], size: tuple[int, ...]) -> Array:
    out = np.full((*size, rows.numbers.shape[-1]), np.nan)
    out[place] = rows.numbers.reshape(-1, rows.numbers.shape[-1])
    return out


def _in_shape(values: Array, shape: tuple[int, ...]) -> Array:
    if values.size != int(np.prod(shape)):
        raise UnjudgedError("its weights have another shape than its scores")
    return values.reshape(shape)
