"""From the outputs of the heads to what is returned: merging, the output projection, and what stands around it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attention_surgeon.witness.core import Canon, Core
from attention_surgeon.witness.flow import Flow, apart
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
    """

    fault: str | None = None
    is_known: bool = True
    projection: int | None = None
    has_residual: bool = False
    tail: tuple[str, ...] = ()
    op: int | None = None


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
    merged = _tokens_in(flow, op)
    if merged is None:
        return Ending(is_known=False, projection=op, op=op)
    fault = merge_fault(heads, merged)
    if fault == "unknown" and _is_gated(flow, op, cores, heads):
        fault = None
    if fault is not None:
        known = fault != "unknown"
        return Ending(fault if known else None, known, op, op=op)
    value = flow.ops[op].value
    assert value is not None
    return _tail(flow, op, value, output)


def _is_gated(flow: Flow, op: int, cores: Sequence[Core], heads: Array) -> bool:
    """Whether what goes into the output projection is the merged heads times what does not depend on them: a gate."""
    if len(cores) != 1:
        return False
    combine, b, h, n, d = cores[0].combine, *heads.shape
    plain, changed = flow.base, flow.disturbed(combine)
    if len(plain.ops) != len(changed.ops):
        return False
    gates = []
    for trace in (plain, changed):
        value, gated = trace.ops[combine].value, _tokens_in(flow, op, trace)
        if value is None or value.size != heads.size or gated is None or gated.shape != (b * n, h * d):
            return False
        whose = np.empty(heads.size)
        first = plain.ops[combine].value
        assert first is not None
        whose[np.argsort(heads, axis=None, kind="stable")] = value.reshape(-1)[np.argsort(first, axis=None, kind="stable")]
        rows = whose.reshape(heads.shape).transpose(0, 2, 1, 3).reshape(b * n, h * d)
        gates.append(gated / np.where(np.abs(rows) < 1e-9, np.nan, rows))
    with np.errstate(invalid="ignore"):
        return bool(np.nanmax(np.abs(gates[0] - gates[1])) < 1e-5 * max(1e-9, float(np.nanmax(np.abs(gates[0])))))


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


def merge_fault(heads: Array, merged: Array) -> str | None:
    """Return what is wrong with how heads were merged, None for nothing, `unknown` for what has no name.

    Args:
        heads: `(batch, heads, n, d)`.
        merged: `(rows, features)`, one row a token, in any order of sequences and positions.
    """
    b, h, n, d = heads.shape
    right = heads.transpose(0, 2, 1, 3)  # (b, n, h, d)
    if merged.shape == (b * n, h * d):
        options = {
            None: right.reshape(b * n, h * d),
            "heads_merged_without_transpose": heads.reshape(b * n, h * d),
            "heads_reversed": right[:, :, ::-1].reshape(b * n, h * d),
            "heads_merged_by_feature": right.transpose(0, 1, 3, 2).reshape(b * n, h * d),
        }
        orders = {None: options[None].reshape(b, n, -1).transpose(1, 0, 2).reshape(b * n, h * d)}
        for fault, value in (*options.items(), *orders.items()):
            if _same(merged, value):
                return fault
        first = np.zeros_like(right)
        first[:, :, 0] = right[:, :, 0]
        if _same(np.sort(merged, None), np.sort(heads, None)):
            return "heads_merged_without_transpose"
    if merged.shape == (b * n, d) and h > 1:
        for fault, value in (("head_outputs_averaged", heads.mean(1)), ("first_head_only", heads[:, 0])):
            if _same(merged, value.reshape(b * n, d)):
                return fault
    return "unknown"


def _same(one: Array, two: Array) -> bool:
    return one.shape == two.shape and not apart(np.nan_to_num(one), np.nan_to_num(two)).any()


def _unprojected(flow: Flow, heads: Array, output: Array, last: int) -> Ending:
    b, h, n, d = heads.shape
    axes = flow.plan.output_axes
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
    if h == 1 or "h" in axes:
        if any(_same(flat, x.reshape(-1)) for x in rows):
            return Ending()
    elif any(_same(flat, x.reshape(-1)) for x in (rows[1], rows[2])):
        return Ending()
    fault = merge_fault(heads, output.reshape(-1, output.shape[-1])) if output.size else "unknown"
    if fault is None:
        return Ending()
    residual = _without_residual(flow, output)
    for value in residual:
        if merge_fault(heads, value.reshape(-1, value.shape[-1])) is None:
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


def _tail(flow: Flow, op: int, value: Array, output: Array) -> Ending:
    """Return what was done after the output projection."""
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
    if any(_same(np.sort(part - output + part, None), np.sort(value, None)) for part in _without_residual(flow, output)):
        return Ending("residual_added_to_layer", projection=op, has_residual=True, tail=("add",), op=op)
    has_product = any(k > op and flow.reaches(op, k) for k in (*flow.projections, *flow.products))
    return Ending(projection=op, has_residual="add" in others, tail=others, is_known=not has_product)


def _is_shifted(value: Array, output: Array) -> bool:
    """Whether one is the other plus a bias per feature (a product and its bias are two operations in NumPy)."""
    if value.shape != output.shape:
        if value.size != output.size or value.shape[-1] != output.shape[-1]:
            return False
        value = value.reshape(output.shape)
    gap = (output - value).reshape(-1, output.shape[-1])
    return not apart(gap, np.broadcast_to(gap[:1], gap.shape)).any() and bool(np.abs(gap).max() < 1e3)
