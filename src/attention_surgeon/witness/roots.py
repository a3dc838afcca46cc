"""Where the rows of a product come from: which projection, which of its features, and what happens on the way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from attention_surgeon.witness.flow import Flow
from attention_surgeon.witness.forms import BrokenRotation, Factor, Form, Norm, find_form
from attention_surgeon.witness.record import Array, Trace


@dataclass(frozen=True)
class Root:
    """The projection (or the argument) that the rows of an operand were made from.

    Attributes:
        op: The number of the operation; None: the argument itself.
        argument: Its name, where there is no projection.
        features: `(heads, d)`, which features of the projection each head takes.
        before: `(batch, position, heads, d)`, those features.
        steps: How the rows come from them: each form, and the operation that it ends with.
        is_known: Whether `steps` explains the rows.
    """

    op: int | None
    argument: str
    features: Array
    before: Array
    steps: tuple[tuple[Form, int], ...] = ()
    is_known: bool = True


@dataclass(frozen=True)
class Rows:
    """What is asked about: rows in a canonical layout, and how to get them from another run."""

    numbers: Array = field(repr=False)
    """`(batch, heads, position, d)`."""
    product: int
    operand: int
    of: Callable[[Trace], Array] = field(repr=False)


def find_root(flow: Flow, rows: Rows, batches: Array) -> Root | None:
    """Return where rows come from; None where they are made of several projections, or of part of one."""
    firsts, which = _different_heads(rows.numbers)
    if len(firsts) == rows.numbers.shape[1]:
        return _find_root(flow, rows, batches)
    once = replace(rows, numbers=rows.numbers[:, firsts], of=lambda trace: rows.of(trace)[:, firsts])
    root = _find_root(flow, once, batches)
    return root and replace(root, features=root.features[which], before=root.before[:, :, which])


def _different_heads(numbers: Array) -> tuple[Array, Array]:
    """Return the first head of each that hold the same numbers (shared heads, repeated), and which is whose."""
    flat = numbers.swapaxes(0, 1).reshape(numbers.shape[1], -1)
    same = (flat[:, None] == flat[None]).all(-1)
    firsts, which = np.unique(same.argmax(1), return_inverse=True)
    return firsts, which


def _find_root(flow: Flow, rows: Rows, batches: Array) -> Root | None:
    direct = _direct_projections(flow, rows)
    if not direct:
        return _of_argument(flow, rows, batches)
    if len(direct) > 1:
        return _of_several(flow, rows, direct, batches)
    return _of_projection(flow, rows, direct[0], batches)


def _of_several(flow: Flow, rows: Rows, direct: Sequence[int], batches: Array) -> Root | None:
    """Return where rows come from whose features come from several projections, one span each (latent attention)."""
    spans: list[tuple[int, Array]] = []
    for op in direct:
        later = [p for p in direct if p > op and flow.reaches(op, p)]
        others = set().union(*(_moved_by(flow, rows, p) for p in later))
        spans.append((op, np.array([f for f in _moved_by(flow, rows, op) if f not in others])))
    everything = np.concatenate([span for _, span in spans])
    if len(everything) != rows.numbers.shape[3] or len(set(everything.tolist())) != len(everything):
        return _of_sum(flow, rows, direct, batches)
    roots = []
    for op, span in sorted(spans, key=lambda pair: -len(pair[1])):
        part = replace(rows, numbers=rows.numbers[..., span], of=lambda trace, span=span: rows.of(trace)[..., span])
        root = _of_projection(flow, part, op, batches)
        if root is None:
            return None
        roots.append(root)
    steps = tuple(step for root in roots for step in root.steps if not _is_plain(step[0]))
    return replace(roots[0], steps=steps, is_known=all(root.is_known for root in roots))


def _of_sum(flow: Flow, rows: Rows, direct: Sequence[int], batches: Array) -> Root | None:
    """Return where rows come from that are a sum of projections, feature by feature: a matrix and a change of it."""
    total, first = None, None
    for op in direct:
        part = _of_projection(flow, rows, op, batches)
        if part is None or (first is not None and not np.array_equal(part.features, first.features)):
            return None
        first, total = first or part, part.before if total is None else total + part.before
    if first is None or total is None:
        return None
    after = rows.numbers.transpose(0, 2, 1, 3)
    steps = _steps(flow, rows, direct[-1], total, after, batches) if total.shape == after.shape else None
    return replace(first, before=total, steps=steps or (), is_known=steps is not None)


def _is_plain(form: Form) -> bool:
    return isinstance(form, Factor) and abs(form.by - 1) < 1e-6


def _of_projection(flow: Flow, rows: Rows, op: int, batches: Array) -> Root | None:
    heads = rows.numbers.shape[1]
    by_token = _by_token(flow, op)
    if by_token is None:
        return None
    numbers, places = by_token
    features = _features(flow, rows, op, places)
    if features is None:
        return None
    if features.shape[1] == places.shape[-1] == heads * rows.numbers.shape[3]:  # a norm of all heads together
        features = features[0].reshape(heads, -1)
    before = numbers[batches][:, :, features.reshape(-1)].reshape(len(batches), -1, heads, features.shape[1])
    after = rows.numbers.transpose(0, 2, 1, 3)
    if before.shape != after.shape:
        return Root(op, "", features, before, (), is_known=False)
    steps = _steps(flow, rows, op, before, after, batches)
    return Root(op, "", features, before, steps or (), steps is not None)


def _direct_projections(flow: Flow, rows: Rows) -> list[int]:
    """Return the projections that the rows are made from without another one between."""
    before = [p for p in flow.projections if p < rows.product and flow.reaches(p, rows.product, rows.operand)]
    found: list[int] = []
    for op in reversed(before):  # the latest first; an earlier one counts for features that no later one makes
        later = [p for p in found if flow.reaches(op, p)]
        if not later or set(_moved_by(flow, rows, op)) - set().union(*(_moved_by(flow, rows, p) for p in later)):
            found.append(op)
    return sorted(found)


def _moved_by(flow: Flow, rows: Rows, op: int) -> list[int]:
    """Return which features of the rows change with a projection."""
    moved = np.abs(rows.of(flow.disturbed(op)) - rows.numbers) > 1e-7 * np.abs(rows.numbers).max()
    return np.flatnonzero(moved.any((0, 1, 2))).tolist()


def _by_token(flow: Flow, op: int) -> tuple[Array, Array] | None:
    """Return a result as `(batch, position, features)`, and where in it each number stood; None if tokens are mixed."""
    value, labels = flow.ops[op].value, flow.labels(op)
    assert value is not None
    return gather(flow, value, labels)


def gather(flow: Flow, value: Array, labels: Array) -> tuple[Array, Array] | None:
    """Return the numbers of each token, `(batch, position, features)`, and where they stood."""
    if (labels < 0).any():
        return None
    present = np.unique(labels)
    tokens = [flow.tokens[t] for t in present]
    if len({t.argument for t in tokens}) > 1:
        return None
    counts = {int((labels == t).sum()) for t in present}
    if len(counts) > 1:
        return None
    is_one = len({t.position for t in tokens}) == 1  # of a sequence, wherever it stands: the last token alone may ask
    batch, position = max(t.batch for t in tokens) + 1, 1 if is_one else max(t.position for t in tokens) + 1
    if batch * position != len(tokens):
        return None
    places = np.zeros((batch, position, counts.pop()), dtype=int)
    flat = labels.reshape(-1)
    for number, token in zip(present, tokens, strict=True):
        places[token.batch, 0 if is_one else token.position] = np.flatnonzero(flat == number)
    return value.reshape(-1)[places], places


def _features(flow: Flow, rows: Rows, op: int, places: Array) -> Array | None:
    """Return which features of a projection each head takes, `(heads, d)`: whole blocks first, else one by one."""
    size, count = rows.numbers.shape[3], places.shape[-1]
    for width in dict.fromkeys(w for w in (size, 1) if count % w == 0):
        depends = []
        for first in range(0, count, width):
            trace = flow.disturbed_at(op, places[..., first : first + width])
            moved = np.abs(rows.of(trace) - rows.numbers) > 1e-7 * np.abs(rows.numbers).max()
            depends.append(moved.any((0, 2, 3)))
        table = np.stack(depends)  # (blocks, heads)
        if width == size and (table.sum(0) == 1).all():
            return table.argmax(0)[:, None] * size + np.arange(size)
        if width == 1 and len({int(n) for n in table.sum(0)}) == 1 and table.any():
            return np.stack([np.flatnonzero(table[:, head]) for head in range(table.shape[1])])
    return None


def _of_argument(flow: Flow, rows: Rows, batches: Array) -> Root | None:
    heads, size = rows.numbers.shape[1], rows.numbers.shape[3]
    labels = flow.labels(rows.product, rows.operand)
    argument = flow.tokens[int(labels.max())].argument
    axes = flow.arguments[argument]
    value = np.asarray(flow.inputs[argument], dtype=np.float64)
    first = [c for c in "bsnmyx" if c in axes]
    moved = value.transpose([axes.index(c) for c in first] + [i for i, c in enumerate(axes) if c not in first])
    batch = int(np.prod([value.shape[axes.index(c)] for c in "bs" if c in axes]))
    flat = moved.reshape(batch, -1, int(np.prod(moved.shape[len(first) :])))
    if flat.shape[-1] == heads * size:
        features = np.arange(heads * size).reshape(heads, size)
    elif flat.shape[-1] == size:
        features = np.tile(np.arange(size), (heads, 1))
    else:
        shared = _shared_blocks(flat[batches], rows.numbers)
        if shared is None:
            return None
        features = shared
    root = _made_of(flow, rows, flat[batches], features, batches, argument)
    if root.is_known or flat.shape[-1] != heads * size:
        return root
    moved = _shared_blocks(flat[batches], rows.numbers)  # heads that were grouped may lie in another order
    return root if moved is None else _made_of(flow, rows, flat[batches], moved, batches, argument)


def _made_of(flow: Flow, rows: Rows, given: Array, features: Array, batches: Array, argument: str) -> Root:
    """Return the root of rows in these features `(heads, d)` of an argument `(batch, position, features)`."""
    before = given[:, :, features.reshape(-1)].reshape(len(batches), -1, *features.shape)
    steps = _steps(flow, rows, -1, before, rows.numbers.transpose(0, 2, 1, 3), batches, argument)
    return Root(None, argument, features, before, steps or (), steps is not None)


def _shared_blocks(given: Array, rows: Array) -> Array | None:
    """Return which block of features each head takes, where several heads take one: told by their numbers."""
    heads, size = rows.shape[1], rows.shape[3]
    if given.shape[-1] % size:
        return None
    blocks = given.reshape(*given.shape[:2], -1, size)
    found = []
    for head in range(heads):
        one = rows[:, head, :, None]
        same = [g for g in range(blocks.shape[2]) if find_form(blocks[:, :, g : g + 1], one) is not None]
        if len(same) != 1:
            return None
        found.append(same[0] * size + np.arange(size))
    return np.stack(found)


def _steps(
    flow: Flow, rows: Rows, op: int, before: Array, after: Array, batches: Array, argument: str = ""
) -> tuple[tuple[Form, int], ...] | None:
    """Explain how the rows come from a projection, over the results on the way where one form does not do."""
    ways = list(_waypoints(flow, rows, op, before.shape, batches, argument))
    last_op = next(
        (number for number, value in ways if value.shape == after.shape and np.allclose(value, after)), rows.product
    )
    direct = find_form(before, after)
    if isinstance(direct, Norm):  # a scale after it hides in its gains, unless the norm itself was seen
        for number, value in ways:
            first, last = find_form(before, value), find_form(value, after)
            if isinstance(first, Norm) and isinstance(last, Factor) and abs(last.by - 1) > 1e-6:
                return (first, number), (last, last_op)
    if direct is not None:
        return ((direct, last_op),)
    chains = (
        (*first, (last, last_op))
        for number, value in reversed(ways)
        if (last := find_form(value, after)) is not None
        for first in _up_to(before, value, number, ways)
    )
    broken = None
    for chain in chains:
        if not any(isinstance(form, BrokenRotation) for form, _ in chain):
            return chain
        broken = broken or chain  # what mixes features may be a norm's gains and a rotation, seen in one
    return broken


def _up_to(
    before: Array, value: Array, number: int, ways: Sequence[tuple[int, Array]]
) -> Iterator[tuple[tuple[Form, int], ...]]:
    """Explain a result on the way in one form, or in two over an earlier one."""
    only = find_form(before, value)
    if only is not None:
        yield ((only, number),)
        return
    for earlier, between in ways:
        if earlier >= number:
            return
        one, two = find_form(before, between), find_form(between, value)
        if one is not None and two is not None:
            yield (one, earlier), (two, number)


_NEARLY_ALL = 0.8


def _as_most_of_a_row(labels: Array) -> Array:
    """Return the tokens of elements; of a few, that of nearly all others of their row: a change can be too small."""
    middle = np.sort(labels, -1)[..., labels.shape[-1] // 2, None]
    return np.where((labels == middle).mean(-1, keepdims=True) > _NEARLY_ALL, middle, labels)


def _waypoints(
    flow: Flow, rows: Rows, op: int, shape: Sequence[int], batches: Array, argument: str
) -> list[tuple[int, Array]]:
    """Return the results on the way from a projection to the rows that hold one vector a token, in one layout."""
    found = []
    for number in range(op + 1, rows.product):
        value = flow.ops[number].value
        if value is None or value.dtype.kind != "f" or not value.ndim or value.size < int(np.prod(shape)):
            continue
        if op >= 0 and not flow.reaches(op, number):
            continue
        labels = _as_most_of_a_row(flow.labels(number))
        gathered = gather(flow, value, labels)
        if gathered is None or gathered[0].shape[1:] != (shape[1], shape[2] * shape[3]):
            continue
        if op < 0 and flow.tokens[int(labels.flat[0])].argument != argument:
            continue
        found.append((number, gathered[0][batches].reshape(tuple(shape))))
    return found
