"""From the outputs of the heads to what is returned: merging, the output projection, and what stands around it."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attention_surgeon.witness.canon import Canon
from attention_surgeon.witness.core import Core
from attention_surgeon.witness.findings import UNNAMED
from attention_surgeon.witness.flow import Flow, apart
from attention_surgeon.witness.forms import find_norm
from attention_surgeon.witness.products import as_product
from attention_surgeon.witness.record import Array, Trace, to_numbers


@dataclass(frozen=True)
class Ending:
    """How the heads' outputs became what is returned.

    Attributes:
        fault: The catalogue's name of what is wrong, None for nothing.
        is_known: Whether it could be read.
        projection: The number of the output projection, None for none.
        has_residual: Whether the input is added.
        tail: The names of what is done after the projection.
        op: The operation at which the fault shows.
        beyond: What was done to the merged heads before the projection, in words; empty for nothing.
        added: The operation whose result is added in the place of the input, None for none.
        is_of_normed: Whether that is a norm of the input.
        is_before_others: Whether other layers come after it, which take each token for itself: a feed-forward part.
    """

    fault: str | None = None
    is_known: bool = True
    projection: int | None = None
    has_residual: bool = False
    tail: tuple[str, ...] = ()
    op: int | None = None
    beyond: str = ""
    added: int | None = None
    is_of_normed: bool = False
    is_before_others: bool = False


_QUIET = frozenset(
    "view reshape transpose permute contiguous getitem squeeze unsqueeze flatten unflatten swapaxes T mT to float "
    "double clone dropout detach stack cat concatenate copy type split chunk mean".split()
)


def find_ending(flow: Flow, cores: Sequence[Core], canons: Sequence[Canon]) -> Ending:
    """Return how the outputs of all heads were put together and returned."""
    last = max(core.combine for core in cores)
    heads = _stacked(canons)  # (batch, heads, n, d)
    after = [p for p in flow.projections if p > last and any(flow.reaches(core.combine, p) for core in cores)]
    returned = flow.plan.arrays(flow.base.returned)
    output = to_numbers(returned[max(flow.plan.output, 0)])
    if not after:
        return _unprojected(flow, heads, output, last)
    op = after[0]
    of_heads = projected_in_heads(flow, op, heads)
    if of_heads is not None and len(after) > 1 and flow.reaches(op, after[1]):
        op, heads = after[1], of_heads
    elif of_heads is not None and _is_sum_of_heads(flow, of_heads, output):
        return Ending(projection=op)
    merged = _tokens_in(flow, op)
    if merged is None:
        return Ending(is_known=False, projection=op, op=op)
    is_beside, merged = _without_beside(flow, op, cores, merged, heads)
    fault = merge_fault(heads, merged, _beside(flow))
    if fault is not None and _is_put_back(flow, op, heads, merged, output):
        fault = None
    beyond = _beyond_merging(flow, op, cores[0], canons[0]) if fault == "unknown" and len(cores) == 1 else None
    if beyond is not None:
        name, fault = beyond
        tail = _tail(flow, op, output)
        return replace(tail, beyond=name, fault=fault or tail.fault, op=op)
    if fault is not None:
        known = fault != "unknown"
        return Ending(fault if known else None, known, op, op=op)
    tail = _tail(flow, op, output)
    return replace(tail, beyond="beside") if is_beside else tail


def _is_sum_of_heads(flow: Flow, projected: Array, output: Array) -> bool:
    """Whether what each head projected for itself, `(b, h, n, d)`, is added over the heads, beside the input or not."""
    total = projected.sum(1).reshape(-1, projected.shape[-1])
    rows = (part.reshape(total.shape) for part in (output, *_without_residual(flow, output)) if part.size == total.size)
    return any(_same(total, part) or _is_shifted(total, part) for part in rows)


def _without_beside(flow: Flow, op: int, cores: Sequence[Core], merged: Array, heads: Array) -> tuple[bool, Array]:
    """Return whether other features stand beside the merged heads in what enters a projection, and the heads alone."""
    b, h, n, d = heads.shape
    if len(cores) > 1 or merged.shape[0] != b * n or merged.shape[1] <= h * d:
        return False, merged
    disturbed = _tokens_in(flow, op, flow.disturbed(cores[0].combine))
    if disturbed is None or disturbed.shape != merged.shape:
        return False, merged
    moved = apart(merged, disturbed).any(0)
    return (True, merged[:, moved]) if moved.sum() == h * d else (False, merged)


def _is_put_back(flow: Flow, op: int, heads: Array, merged: Array, output: Array) -> bool:
    """Whether tokens that were moved, as a window's shift does, enter the projection whole and come out in order."""
    b, h, n, d = heads.shape
    right, value = heads.transpose(0, 2, 1, 3).reshape(b * n, h * d), flow.ops[op].value
    if merged.shape != right.shape or value is None or value.size != output.size or output.size % (b * n):
        return False
    order = _order_of(right, merged)
    return order is not None and _same(value.reshape(b * n, -1)[order], output.reshape(b * n, -1))


def _order_of(rows: Array, moved: Array) -> list[int] | None:
    """Return where each row stands among the same rows in another order; None where they are not the same."""
    found = [np.flatnonzero(~apart(np.broadcast_to(row, moved.shape), moved).any(-1)) for row in rows]
    return [int(places[0]) for places in found] if all(len(places) == 1 for places in found) else None


def joins_softmaxes(flow: Flow, ending: Ending, cores: Sequence[Core]) -> bool:
    """Whether several softmaxes, none of them made from another, enter an output projection as wide as one of them."""
    if ending.op is None or len(cores) < 2 or ending.op not in flow.projections:
        return False
    entering, one = _tokens_in(flow, ending.op), flow.ops[cores[0].combine].value
    is_wide = entering is not None and one is not None and entering.size == one.size
    return is_wide and all(
        flow.reaches(core.combine, ending.op) and not flow.reaches(cores[0].combine, core.softmax) for core in cores[1:]
    )


def projected_in_heads(flow: Flow, op: int, heads: Array) -> Array | None:
    """Return heads `(b, h, n, d)` behind a projection that each of them has for itself, as latents have; else None."""
    recorded = flow.ops[op]
    product = as_product(recorded.name, recorded.inputs, recorded.options)
    if product is None:
        return None
    product = product if flow.is_constant(op, -1) else product.turned()
    kept, rows = product.rows("a", product.summed)
    own = [c for c in product.out if c not in kept]
    if len(kept) != 3 or len(own) != 1 or not {kept[1], kept[2]} & set(product.right):
        return None
    value = product.value().transpose([product.out.index(c) for c in (*kept, *own)])
    if _same(rows, heads.transpose(0, 2, 1, 3)):
        return value.transpose(0, 2, 1, 3)
    return value if _same(rows, heads) else None


_LAYOUTS: Mapping[str | None, Callable[[Array], Array]] = {
    None: lambda heads: heads.transpose(0, 2, 1, 3),
    "heads_merged_without_transpose": lambda heads: heads,
    "heads_reversed": lambda heads: heads.transpose(0, 2, 1, 3)[:, :, ::-1],
    "heads_merged_by_feature": lambda heads: heads.transpose(0, 2, 3, 1),
    "heads_unfolded_wrongly": lambda heads: _refolded(heads).transpose(0, 2, 1, 3),
}
"""How heads `(b, h, n, d)` are put side by side, token by token: rightly, and by what else."""


def _refolded(heads: Array) -> Array:
    """Fold heads `(b, h, n, d)` into one axis, heads first, and take them apart as if sequences came first."""
    b, h, n, d = heads.shape
    return heads.transpose(1, 0, 2, 3).reshape(b, h, n, d)


def _beyond_merging(flow: Flow, op: int, core: Core, canon: Canon) -> tuple[str, str | None] | None:
    """Say what was done to the merged heads before the output projection, None for what has no name here.

    Returns:
        `gated`: they are multiplied with what does not depend on them; `normed`: by a norm; `positions added`: a part
        is added that the weights make; `queries added`. And the fault of the merging, None for none.
    """
    for fault, laid in _LAYOUTS.items():
        done = _done_to(flow, op, core, canon, laid)
        if done is not None:
            return done, fault
    return None


def _done_to(flow: Flow, op: int, core: Core, canon: Canon, laid: Callable[[Array], Array]) -> str | None:
    heads = canon.output
    one, two, three = (
        _merged_and_not(flow, op, core, heads, trace, laid)
        for trace in (flow.base, flow.disturbed(core.combine), flow.disturbed(core.softmax))
    )
    if one is None or two is None:
        return None
    gates = [changed / np.where(np.abs(rows) < 1e-9, np.nan, rows) for rows, changed in (one, two)]
    if _is_one(gates[0], gates[1]):
        return "gated"
    added = one[1] - one[0]
    if not _is_one(added, two[1] - two[0]):
        return "normed" if _is_normed_rows(one[0], one[1], heads.shape[-1]) else None
    asked = laid(canon.q)
    if asked.size == heads.size and _is_one(added, asked.reshape(added.shape)):
        return "queries added"
    if not core.is_fused and three is not None and not _is_one(added, three[1] - three[0]):
        return "positions added"
    return None


def _is_normed_rows(rows: Array, changed: Array, size: int) -> bool:
    """Whether merged heads `(tokens, features)` are normed, all features of a token together or those of each head."""
    ways = [x.reshape(1, -1, 1, width) for width in (rows.shape[-1], size) for x in (rows, changed)]
    return any(find_norm(*ways[first : first + 2]) is not None for first in (0, 2))


def _is_one(one: Array, two: Array) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.nanmax(np.abs(one - two)) < 1e-5 * max(1e-9, float(np.nanmax(np.abs(one)))))


def _merged_and_not(
    flow: Flow, op: int, core: Core, heads: Array, trace: Trace, layout: Callable[[Array], Array]
) -> tuple[Array, Array] | None:
    """Return the merged heads of a run in one layout, `(tokens, features)`, and what enters the projection."""
    b, h, n, d = heads.shape
    if len(trace.ops) != len(flow.ops):
        return None
    plain, value, entering = flow.ops[core.combine].value, trace.ops[core.combine].value, _tokens_in(flow, op, trace)
    if plain is None or value is None or value.size != heads.size or entering is None:
        return None
    if entering.shape != (b * n, h * d):
        return None
    laid = np.empty(heads.size)  # where each number of the product stands among the heads is told by the plain run
    laid[np.argsort(heads, axis=None, kind="stable")] = value.reshape(-1)[np.argsort(plain, axis=None, kind="stable")]
    return layout(laid.reshape(heads.shape)).reshape(b * n, h * d), entering


def _stacked(canons: Sequence[Canon]) -> Array:
    """Put the heads of several cores into one: beside each other, or sequence after sequence."""
    batches = [tuple(canon.batches) for canon in canons]
    if len(set(batches)) == 1:
        return np.concatenate([canon.output for canon in canons], 1)
    if any(len(b) > 1 for b in batches):
        return np.concatenate([canon.output for canon in canons], 0)
    by_batch: dict[int, list[Array]] = {}
    for canon in canons:
        by_batch.setdefault(int(canon.batches[0]), []).append(canon.output)
    return np.concatenate([np.concatenate(outputs, 1) for _, outputs in sorted(by_batch.items())], 0)


def _tokens_in(flow: Flow, op: int, trace: Trace | None = None) -> Array | None:
    """Return what goes into a projection as rows `(tokens, features)`, in a run (the plain one)."""
    recorded = (trace or flow.base).ops[op]
    if recorded.name in ("linear", "addmm"):
        value = recorded.inputs[0] if recorded.name == "linear" else recorded.inputs[-2]
        return value.reshape(-1, value.shape[-1])
    if recorded.name.startswith("conv"):
        value = recorded.inputs[0]
        return np.moveaxis(value, 1, -1).reshape(-1, value.shape[1])
    product = as_product(recorded.name, recorded.inputs, recorded.options)
    if product is None:
        return None
    product = product if flow.is_constant(op, -1) else product.turned()
    rows = product.rows("a", product.summed)[1]
    return rows.reshape(-1, rows.shape[-1])


def merge_fault(heads: Array, merged: Array, beside: int = 1) -> str | None:
    """Return what is wrong with how heads were merged, None for nothing, `unknown` for what has no name.

    Args:
        heads: `(batch, heads, n, d)`.
        merged: `(rows, features)`, one row a token, in any order of sequences and positions.
        beside: How many of the sequences lie in an axis of their own.
    """
    b, h, n, d = heads.shape
    right = heads.transpose(0, 2, 1, 3)  # (b, n, h, d)
    if merged.shape == (b * n, h * d):
        options = {fault: laid(heads).reshape(b * n, h * d) for fault, laid in _LAYOUTS.items()}
        tokens = options[None].reshape(b // beside, beside, n, h * d)
        orders = (tokens.transpose(*order, 3).reshape(b * n, h * d) for order in itertools.permutations(range(3)))
        for fault, value in (*options.items(), *((None, value) for value in orders)):
            if _same(merged, value):
                return fault
        if _are_whole_heads(right, merged.reshape(b, n, h, d)):
            return "heads_out_of_order"
        if _same(np.sort(merged, None), np.sort(heads, None)):
            is_moved = _order_of(right.reshape(merged.shape), merged) is not None
            return UNNAMED if is_moved else "heads_merged_without_transpose"
    if merged.shape == (b * n, d) and h > 1:
        for fault, value in (("head_outputs_averaged", heads.mean(1)), ("first_head_only", heads[:, 0])):
            if _same(merged, value.reshape(b * n, d)):
                return fault
    return "unknown"


def _beside(flow: Flow) -> int:
    """Return how many sequences of the output lie in a second axis."""
    sizes = (flow.inputs[name].shape[axes.index("s")] for name, axes in flow.arguments.items() if "s" in axes)
    return next(sizes, 1)


def _are_whole_heads(right: Array, given: Array) -> bool:
    """Whether heads `(b, n, h, d)` are all there, at their tokens, in another order."""
    heads = range(right.shape[2])
    found = [next((g for g in heads if _same(right[:, :, h], given[:, :, g])), -1) for h in heads]
    return sorted(found) == list(heads)


def _same(one: Array, two: Array) -> bool:
    return one.shape == two.shape and not apart(np.nan_to_num(one), np.nan_to_num(two)).any()


def _unprojected(flow: Flow, heads: Array, output: Array, last: int) -> Ending:
    b, h, n, d = heads.shape
    axes = flow.plan.output_axes
    without = _without_residual(flow, output)
    if output.ndim == len(axes) and "h" not in axes and "d" in axes:  # features first, as in pictures
        output, *without = (np.moveaxis(part, axes.index("d"), -1) for part in (output, *without))
    rows = [
        heads,
        heads.transpose(0, 2, 1, 3),
        heads.transpose(2, 0, 1, 3),
        heads.transpose(0, 1, 3, 2),
        heads.transpose(0, 1, 3, 2),
        heads.transpose(1, 0, 2, 3),
        heads.transpose(0, 3, 2, 1),
    ]
    flat = output.reshape(-1)
    if h > 1 and sorted(axes) == sorted("bhnd") and output.ndim == 4 and h != n:
        placed = output.transpose([axes.index(letter) for letter in "bnhd"])
        fault = None if placed.shape != rows[1].shape else merge_fault(heads, placed.reshape(b * n, h * d))
        return Ending(None if fault == "unknown" else fault, fault != "unknown", op=last)
    if h == 1 or "h" in axes:
        if any(_same(flat, x.reshape(-1)) for x in rows):
            return Ending()
    elif any(_same(flat, x.reshape(-1)) for x in (rows[1], rows[2])):
        return Ending()
    fault = merge_fault(heads, output.reshape(-1, output.shape[-1]), _beside(flow)) if output.size else "unknown"
    if fault is None:
        return Ending()
    for value in without:
        if merge_fault(heads, value.reshape(-1, value.shape[-1]), _beside(flow)) is None:
            return Ending(has_residual=True, tail=("add",))
    if flow.plan.library and output.ndim > 2 and h == 1 and output.shape == (b, n, d):
        return Ending(is_known=False, op=last)
    return Ending(None if fault == "unknown" else fault, fault != "unknown", op=last)


def _without_residual(flow: Flow, output: Array) -> list[Array]:
    found = []
    for name in flow.arguments:
        value = to_numbers(flow.inputs[name])
        if value.shape == output.shape:
            found.append(output - value)
    return found


def _tail(flow: Flow, op: int, output: Array) -> Ending:
    """Return what was done after the output projection."""
    value = flow.ops[op].value
    assert value is not None
    names = tuple(dict.fromkeys(flow.ops[k].name for k in range(op + 1, len(flow.ops)) if flow.reaches(op, k)))
    others = tuple(name for name in names if name not in _QUIET)
    is_same = value.size == output.size and (
        _same(np.sort(value, None), np.sort(output, None)) or _is_shifted(value, output)
    )
    if is_same:
        return Ending(projection=op, tail=())
    residual = any(
        part.size == value.size and (_same(np.sort(part, None), np.sort(value, None)) or _is_shifted(value, part))
        for part in _without_residual(flow, output)
    )
    if residual:
        return Ending(projection=op, has_residual=True, tail=("add",))
    points = [v for k in range(op + 1, len(flow.ops)) if (v := flow.ops[k].value) is not None and flow.reaches(op, k)]
    for name, changed in (("residual_added_to_layer", _twice), ("residual_multiplied", _times)):
        if any(_same(np.sort(given, None), np.sort(value, None)) for given in changed(flow, [*points, output], value)):
            return Ending(name, projection=op, has_residual=True, tail=("add",), op=op)
    after = [k for k in (*flow.projections, *flow.products) if k > op and flow.reaches(op, k)]
    if after and _same_matrix(flow, op, after[0]):
        return Ending("output_projected_twice", projection=op, tail=others, op=after[0])
    if value.shape == output.shape and (found := _normed(flow, op, value, output)) is not None:
        return replace(found, tail=others)
    has_product = bool(after)
    is_sum = any(p > op and not flow.reaches(op, p) for p in flow.projections)  # of projections, as LoRA's
    is_before_others = has_product and _is_token_by_token(flow, op, output)
    return Ending(
        projection=op,
        has_residual="add" in others and not is_sum,
        tail=others,
        is_known=not has_product or is_before_others,
        is_before_others=is_before_others,
    )


def _is_token_by_token(flow: Flow, op: int, output: Array) -> bool:
    """Whether a token of a result makes the same token of the output, and no other one."""
    value = flow.ops[op].value
    if value is None or value.ndim < 2 or value.size // value.shape[-1] != output.size // output.shape[-1]:
        return False
    tokens = np.arange(value.size).reshape(-1, value.shape[-1])
    for token in (0, len(tokens) // 2, len(tokens) - 1):
        returned = flow.plan.arrays(flow.disturbed_at(op, tokens[token]).returned)
        other = to_numbers(returned[max(flow.plan.output, 0)])
        moved = apart(output, other).reshape(len(tokens), -1).any(-1)
        if np.flatnonzero(moved).tolist() != [token]:
            return False
    return True


def _same_matrix(flow: Flow, one: int, two: int) -> bool:
    """Whether two projections have one matrix."""
    pairs = ([x for x in flow.ops[op].inputs[:2] if x.ndim == 2] for op in (one, two))
    first, second = ((x[-1] if x else None) for x in pairs)
    return first is not None and second is not None and first.shape == second.shape and bool((first == second).all())


def _normed(flow: Flow, op: int, value: Array, output: Array) -> Ending | None:
    """Say what was added at the end, before a norm or without one: the input, or a projection; None for nothing."""
    inputs = [to_numbers(flow.inputs[name]) for name in flow.arguments]
    others = [(k, flow.ops[k].value) for k in flow.projections if k < op]
    for k, part in [*((None, part) for part in inputs), *others]:
        if part is not None and part.shape == value.shape and _is_normed(value + part, output):
            return Ending(projection=op, has_residual=True, added=k)
    rest = output - value
    for k in range(op):
        part = flow.ops[k].value
        if part is not None and _same(part, rest) and any(_is_norm_of(x, part) for x in inputs):
            return Ending(projection=op, has_residual=True, added=k, is_of_normed=True)
    return None


def _is_norm_of(value: Array, output: Array) -> bool:
    return (
        value.shape == output.shape
        and find_norm(*(x.reshape(1, -1, 1, x.shape[-1]) for x in (value, output))) is not None
    )


def _is_normed(value: Array, output: Array) -> bool:
    """Whether one is the other, or a norm of it over its features."""
    rows = [x.reshape(1, -1, 1, x.shape[-1]) for x in (value, output)]
    return _same(value, output) or find_norm(*rows) is not None


def _twice(flow: Flow, points: Sequence[Array], value: Array) -> Iterator[Array]:
    """Yield what a result on the way is without twice the input."""
    for point in points:
        yield from (part - point + part for part in _without_residual(flow, point) if part.size == value.size)


def _times(flow: Flow, points: Sequence[Array], value: Array) -> Iterator[Array]:
    """Yield what a result on the way is where the input was multiplied on it."""
    for name, point in itertools.product(flow.arguments, points):
        given = to_numbers(flow.inputs[name])
        if point.shape == given.shape and point.size == value.size:
            yield point / np.where(np.abs(given) < 1e-12, np.nan, given)


def _is_shifted(value: Array, output: Array) -> bool:
    """Whether one is the other plus a bias per feature (a product and its bias are two operations in NumPy)."""
    if value.shape != output.shape:
        if value.size != output.size or value.shape[-1] != output.shape[-1]:
            return False
        value = value.reshape(output.shape)
    gap = (output - value).reshape(-1, output.shape[-1])
    return not apart(gap, np.broadcast_to(gap[:1], gap.shape)).any() and bool(np.abs(gap).max() < 1e3)
