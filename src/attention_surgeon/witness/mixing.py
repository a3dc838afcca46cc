"""Scores and weights that are more than scaled: mixed over the heads, or with a part that each query makes for itself.

Sources: Shazeer et al. 2020, "Talking-Heads Attention"; Shaw et al. 2018, "Self-Attention with Relative Position
Representations"; Dai et al. 2019, "Transformer-XL".
"""

from dataclasses import dataclass, replace

import numpy as np

from attention_surgeon.witness.canon import Canon
from attention_surgeon.witness.canonical import canonical
from attention_surgeon.witness.core import Core
from attention_surgeon.witness.flow import Flow, apart, disturb
from attention_surgeon.witness.record import Array
from attention_surgeon.witness.scores import Scaling, find_scaling


def find_head_mix(before: Array, after: Array) -> Array | None:
    """Return the matrix `(heads, heads)` that mixes the heads of scores or weights, None where none does.

    Args:
        before: `(batch, heads, n_q, n_k)`.
        after: The same shape; a bias per head may have been added.
    """
    heads = before.shape[1]
    if heads < 2 or before.shape != after.shape or not (np.isfinite(before).all() and np.isfinite(after).all()):
        return None
    x, y = (np.moveaxis(part, 1, -1).reshape(-1, heads) for part in (before, after))
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    if len(x) <= 2 * x.shape[1]:
        return None
    mix = np.linalg.lstsq(x, y, rcond=None)[0]
    if np.abs(x @ mix - y).max() > 1e-6 * max(1e-9, float(np.abs(y).max())):
        return None
    square = mix[:heads]
    return square if np.abs(square - np.diag(np.diag(square))).max() > 1e-6 * np.abs(square).max() else None


def mixed_over_heads(flow: Flow, core: Core, canon: Canon) -> Scaling | None:
    """Return the scaling of scores whose heads are mixed on the way to the softmax; None where they are not."""
    if core.is_fused or find_head_mix(canon.scores, canon.masked) is None:
        return None
    return Scaling(
        factor=np.full(canon.scores.shape[1], _factor_on_the_way(flow, core, canon)),
        bias=np.zeros(canon.scores.shape[1:]),
        hidden=np.zeros(canon.scores.shape, dtype=bool),
        fill=-np.inf,
    )


def _factor_on_the_way(flow: Flow, core: Core, canon: Canon) -> float:
    """Return what the scores are multiplied with before the heads are mixed."""
    raw, factor = np.sort(canon.scores, None), 1.0
    for op in flow.ops[core.scores[0] + 1 : core.softmax]:
        if op.value is None or op.value.size != raw.size:
            continue
        value = np.sort(op.value, None)
        by = float((value * raw).sum() / (raw * raw).sum())
        if not apart(value, by * raw).any():
            factor = by
    return factor


@dataclass(frozen=True)
class QueryBias:
    """What each query adds to its scores, whatever the keys are.

    Attributes:
        scaling: Of the product of queries and keys.
        is_by_distance: Whether it depends on the distance alone where all tokens are alike.
        factor: What it is multiplied with, None where that cannot be told.
    """

    scaling: Scaling
    is_by_distance: bool
    factor: float | None


def with_query_bias(flow: Flow, core: Core, canon: Canon) -> QueryBias | None:
    """Return the scaling of scores to which each query adds a part that no key changes, None where that is not so."""
    keys = None if core.is_fused else _key_operation(flow, core)
    if keys is None:
        return None
    changed = canonical(flow, core, flow.run({keys: disturb}))
    if apart(changed.q, canon.q).any():
        return None
    plain = find_scaling(canon, replace(canon, scores=changed.scores, masked=changed.masked), [])
    if not (plain.factor != 0).all() or not _fits(canon, changed, plain):
        return None
    alike = canonical(flow, core, flow.run_with_one_token())
    rest = alike.masked - plain.factor[None, :, None, None] * alike.scores
    rest = np.where(plain.hidden, np.nan, rest)
    found = replace(plain, bias=np.zeros(canon.scores.shape[1:]), is_known=True)
    return QueryBias(found, _is_by_distance(rest), _factor_of_bias(flow, core, canon, plain))


def _factor_of_bias(flow: Flow, core: Core, canon: Canon, scaling: Scaling) -> float | None:
    """Return what the product of queries and positions is multiplied with: 1 more in it, and so much more comes out."""
    for op in flow.projections:
        beside = op < core.softmax and flow.reaches(op, core.softmax) and not flow.reaches(op, core.scores[0])
        if beside:
            more = canonical(flow, core, flow.run({op: lambda value: value + 1.0}))
            rise = (more.masked - canon.masked)[~scaling.hidden & np.isfinite(canon.masked)]
            rise = rise[np.abs(rise) > 1e-9]
            is_one = rise.size and np.ptp(rise) < 1e-3 * np.abs(rise).max()  # else it is a factor of the product
            return float(np.median(rise)) if is_one else None
    return None


def _key_operation(flow: Flow, core: Core) -> int | None:
    """Return the last operation whose result is the keys as they enter the product."""
    product = flow.ops[core.scores[0]]
    keys = np.sort(product.inputs[-1], None)
    for k in range(core.scores[0] - 1, -1, -1):
        value = flow.ops[k].value
        if value is not None and value.size == keys.size and not apart(np.sort(value, None), keys).any():
            return k
    return None


def _fits(one: Canon, two: Canon, scaling: Scaling) -> bool:
    """Whether every score that is not hidden moves with the product, by the factor of its head."""
    with np.errstate(invalid="ignore"):
        rise = one.masked - two.masked - scaling.factor[None, :, None, None] * (one.scores - two.scores)
    size = float(np.abs(one.scores).max())
    return bool((scaling.hidden | (np.abs(rise) < 1e-6 * size)).all())


def _is_by_distance(rest: Array) -> bool:
    """Whether `(batch, heads, n_q, n_k)` is one number for each head and distance."""
    n_q, n_k = rest.shape[2:]
    gap = np.arange(n_k)[None, :] - np.arange(n_q)[:, None]
    size = max(1e-9, float(np.nanmax(np.abs(rest))))
    for each in np.unique(gap):
        cells = rest[:, :, gap == each]
        with np.errstate(invalid="ignore"):
            spread = np.nanmax(cells, axis=-1, initial=-np.inf) - np.nanmin(cells, axis=-1, initial=np.inf)
        if (spread[np.isfinite(spread)] > 1e-6 * size).any():
            return False
    return True
