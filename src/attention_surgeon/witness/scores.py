"""From the product of queries and keys to the weights: scale, cap, bias, what is hidden, and the softmax.

Two runs with different numbers tell them apart: what moves with the scores is scaled, what stays is a bias or a fill.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np

from attention_surgeon.witness.canon import Canon, softmax
from attention_surgeon.witness.forms import close
from attention_surgeon.witness.record import Array

_HIDES = -1e3  # a score that low gets no weight beside any other
_FILL = -5.0  # what a filled score must be below to be meant as hiding


@dataclass(frozen=True)
class Scaling:
    """What was done to the scores before the softmax.

    Attributes:
        factor: The number that they were multiplied with, per head.
        bias: `(heads, n_q, n_k)`, what was added where nothing is hidden; zeros for nothing.
        hidden: `(batch, heads, n_q, n_k)`, the scores that were replaced or lowered to hide them.
        fill: What stands there.
        cap: The soft cap, None for none.
        cap_is_last: Whether the cap came after the mask.
        is_known: Whether these explain what entered the softmax.
    """

    factor: Array
    bias: Array = field(repr=False)
    hidden: Array = field(repr=False)
    fill: float
    cap: float | None = None
    cap_is_last: bool = False
    is_known: bool = True


def find_scaling(one: Canon, two: Canon, tanhs: "list[tuple[Array, Array]]", *, up_to_rows: bool = False) -> Scaling:
    """Return what was done to the scores, from two runs of the same sizes.

    Args:
        one: The plain run.
        two: The run with other numbers.
        tanhs: For every hyperbolic tangent between them, what went in and what came out, laid out alike (of run one).
        up_to_rows: Whether what entered the softmax is known up to a number per row only.
    """
    plain = _linear(one, two, up_to_rows)
    if plain.is_known:
        return plain
    if not up_to_rows:  # the maximum may have been taken off by hand
        shifted = _linear(one, two, up_to_rows=True)
        if shifted.is_known:
            return shifted
    for before, after in tanhs:
        capped = _capped(one, before, after)
        if capped is not None:
            return capped
    return plain


def _linear(one: Canon, two: Canon, up_to_rows: bool) -> Scaling:
    with np.errstate(invalid="ignore"):
        rise, run = one.masked - two.masked, one.scores - two.scores
    open_cells = np.isfinite(rise) & (np.abs(one.masked) < 1e3) & (np.abs(two.masked) < 1e3)
    if up_to_rows:
        rise, run = (_centred(x, open_cells) for x in (rise, run))
    moving = open_cells & (np.abs(rise) > 1e-9)
    heads = one.scores.shape[1]
    factor = np.zeros(heads)
    for h in range(heads):
        cells = moving[:, h]
        if cells.any():
            factor[h] = float(np.median(rise[:, h][cells] / _nonzero(run[:, h][cells])))
    spread = factor[None, :, None, None]
    size = float(np.abs(rise[moving]).mean()) if moving.any() else 1.0
    fits = open_cells & (np.abs(rise - spread * run) <= 1e-5 * size)
    rest = np.where(fits, one.masked - spread * one.scores, 0.0)
    if up_to_rows:
        rest = np.where(fits, _centred(rest, fits), 0.0)
    lowered = fits & (rest < 20 * _FILL)
    stays = np.isfinite(one.masked) & (np.abs(rise) <= 1e-12) & (one.masked == two.masked)
    hidden = ~np.isfinite(one.masked) | (one.masked < _HIDES) | lowered | (stays & ~fits)
    visible = ~hidden
    known = bool((fits | hidden).all() and (factor != 0).all())
    counts = visible.sum(0)
    total = np.where(visible, rest, 0.0).sum(0)
    bias = np.where(counts > 0, total / np.maximum(counts, 1), 0.0)
    if (
        known
        and not close(np.where(visible, rest, 0.0), np.where(visible, bias, 0.0), 1e-4)
        and np.abs(rest).max() > 1e-6
    ):
        known = bool(
            np.abs(np.where(visible, rest - bias, 0.0)).max()
            < 1e-6 * max(1.0, float(np.abs(one.masked[visible]).max()))
        )
    bias = np.where(np.abs(bias) < 1e-5 * max(1.0, size), 0.0, bias)
    fills = one.masked[hidden & np.isfinite(one.masked)]
    fill = float(fills.max()) if fills.size else -np.inf
    return Scaling(factor, bias, hidden, fill, is_known=known)


def _centred(x: Array, cells: Array) -> Array:
    """Take the mean of each row off, over some of its cells."""
    count = np.maximum(cells.sum(-1, keepdims=True), 1)
    return x - np.where(cells, x, 0.0).sum(-1, keepdims=True) / count


def _nonzero(x: Array) -> Array:
    return np.where(np.abs(x) < 1e-12, np.nan, x)


def _capped(one: Canon, before: Array, after: Array) -> Scaling | None:
    """Return the scaling with a cap: `cap * tanh(factor * scores / cap)`, and then the mask."""
    open_in = np.isfinite(before) & (np.abs(before) < 50)
    total = float((one.scores[open_in] ** 2).sum())
    inner = float((one.scores[open_in] * before[open_in]).sum()) / max(total, 1e-30)
    if not close(np.where(open_in, inner * one.scores, 0), np.where(open_in, before, 0), 1e-5):
        return None
    open_out = np.isfinite(one.masked) & (np.abs(one.masked) < 1e3) & open_in
    outer = float(np.median(one.masked[open_out] / _nonzero(after[open_out]))) if open_out.any() else 0.0
    fits = open_out & (np.abs(one.masked - outer * after) <= 1e-5 * max(abs(outer), 1e-9))
    capped_hidden = ~open_in  # hidden before the cap: what comes out is -cap, not -inf
    hidden = (~fits & ((one.masked < _HIDES) | ~np.isfinite(one.masked))) | capped_hidden
    factor = np.full(one.scores.shape[1], inner * outer)
    return Scaling(
        factor,
        np.zeros(one.scores.shape[1:]),
        hidden,
        float(-abs(outer)) if capped_hidden.any() else -np.inf,
        cap=abs(outer),
        cap_is_last=bool(capped_hidden.any()),
        is_known=bool((fits | hidden).all()),
    )


@dataclass(frozen=True)
class Normaliser:
    """How weights came from scores: the catalogue's name of what is wrong, or None for a softmax over the keys."""

    fault: str | None
    is_known: bool = True


def find_normaliser(canon: Canon) -> Normaliser:
    """Return how the weights came from what entered the softmax."""
    masked, weights = canon.masked, canon.weights
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if _same(weights, _over_keys(canon)):
            return Normaliser(None)
        raised = np.nan_to_num(np.exp(masked - masked.max(-1, keepdims=True)))  # as it is written out by hand
        options = {
            "softmax_over_queries": softmax(masked.swapaxes(-1, -2)).swapaxes(-1, -2),
            "softmax_over_heads": np.moveaxis(softmax(np.moveaxis(masked, 1, -1)), -1, 1),
            "softmax_over_batch": np.moveaxis(softmax(np.moveaxis(masked, 0, -1)), -1, 0),
            "softmax_over_everything": _over_matrix(masked),
            "softmax_twice": softmax(softmax(masked)),
            "log_softmax_used": np.log(softmax(masked)),
            "softmax_plus_one": np.exp(masked) / (1 + np.exp(masked).sum(-1, keepdims=True)),
            "exp_not_normalised": np.exp(masked),
            "exp_divided_by_mean": raised / raised.mean(-1, keepdims=True),
        }
        by_hand = {
            "softmax_over_everything": raised / raised.sum((-1, -2), keepdims=True),
            "softmax_over_queries": raised / raised.sum(-2, keepdims=True),
        }
        if masked.shape[-1] == masked.shape[-2]:
            by_hand["sum_without_keepdim"] = raised / raised.sum(-1)[..., None, :]
        for name, value in (*options.items(), *by_hand.items()):
            if _same(weights, value):
                return Normaliser(name)
    return Normaliser(None, is_known=False)


def _over_matrix(masked: Array) -> Array:
    """One sum over all queries and keys of a head."""
    flat = softmax(masked.reshape(*masked.shape[:2], -1))
    return flat.reshape(masked.shape)


def _over_keys(canon: Canon) -> Array:
    if canon.extra is None:
        return softmax(canon.masked)
    extra = canon.extra
    if extra.ndim == canon.masked.ndim - 1:  # one for all heads
        extra = extra[:, None]
    extra = np.broadcast_to(extra, (*canon.masked.shape[:-1], extra.shape[-1]))
    return softmax(np.concatenate([canon.masked, extra], -1))[..., : canon.masked.shape[-1]]


def _same(one: Array, two: Array) -> bool:
    """Equal up to noise, rows of NaN and of zeros aside (a query without keys)."""
    empty = np.isnan(one).all(-1, keepdims=True) | (two == 0).all(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return bool((empty | (np.abs(one - two) < 1e-5) | (one == two)).all())


@dataclass(frozen=True)
class Pattern:
    """Who is hidden by construction.

    Attributes:
        name: `nothing`, `causal`, `causal_start`, `window`, `band`, `dilated`, `reversed`, or `other`.
        size: Of a window: how many keys a query sees, itself included, back from its own.
        ahead: Of a band: how many keys it sees ahead, its own included.
        step: Of a dilated window: every how many keys it sees one.
    """

    name: str
    size: int = 0
    ahead: int = 1
    step: int = 1

    @property
    def is_causal(self) -> bool:
        """Whether the future is hidden, and nothing but it and a far past."""
        return self.name in ("causal", "causal_start", "window")


def find_pattern(hidden: Array) -> Pattern:
    """Return the pattern of what is hidden, `(batch, heads, n_q, n_k)`; `other` where it depends on the sequence."""
    seen = ~hidden[0, 0]
    if (hidden != hidden[0, 0]).any():
        return Pattern("other")
    n_q, n_k = seen.shape
    if seen.all():
        return Pattern("nothing")
    end = np.arange(n_k)[None, :] - np.arange(n_q)[:, None] - (n_k - n_q)  # 0: the query's own key
    start = end + n_k - n_q
    named = {
        "causal": (end <= 0, start <= 0),
        "reversed": (end >= 0, start >= 0),
        "diagonal_hidden": (end < 0, start < 0),
        "reversed_without_diagonal": (end > 0, start > 0),
        "one_ahead": (end <= 1, start <= 1),
    }
    for name, (at_end, at_start) in named.items():
        if (seen == at_end).all():
            return Pattern(name)
        if (seen == at_start).all():
            return Pattern("causal_start" if name == "causal" else name)
    for size, ahead in itertools.product(range(1, n_k + 1), repeat=2):
        if (seen == ((end > -size) & (end < ahead))).all():
            name = "window" if ahead == 1 else "window_ahead" if size == 1 else "band"
            return Pattern(name, size, ahead)
    return _with_gaps(seen, end)


def _with_gaps(seen: Array, end: Array) -> Pattern:
    """Return a window that takes every so many keys, on one side or on both; `other` for anything else."""
    n = seen.shape[1]
    for step, reach, is_causal in itertools.product(range(2, n), range(1, n), (True, False)):
        within = (end % step == 0) & (np.abs(end) <= reach * step) & ((end <= 0) | (not is_causal))
        if (seen == within).all():
            return Pattern("dilated", reach + 1, 1 if is_causal else reach + 1, step)
    return Pattern("other")
