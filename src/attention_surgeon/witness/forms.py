"""The forms that a step may have, told from numbers: a factor, a bias, a norm, a rotation by position.

Each function takes what went in and what came out, in one layout, and returns the form, or None. Nothing is assumed of
the parameters: a rotation's angles and a norm's gains are read off.
"""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from attention_surgeon.witness.record import Array

_CLOSE = 2e-4  # of the typical size; an epsilon of 1e-5 under a root is a tenth of that


_EPSILONS = (0.0, 1e-6, 1e-5)
"""What is added under the root of a norm: it is felt where a vector is short."""


@dataclass(frozen=True)
class Factor:
    """Everything times one number, plus a bias per feature."""

    by: float
    has_bias: bool = False


@dataclass(frozen=True)
class Norm:
    """Divided by its size, times gains: `rms`, `layer` (the mean taken off first) or `l2`; over one head or all."""

    kind: str
    over_heads: bool
    by: float
    """The factor where all gains are equal, else their mean."""
    by_head: tuple[float, ...] = ()
    """The factor of each head, where all its gains are equal, as those of a learned scale are."""


@dataclass(frozen=True)
class Rotation:
    """Pairs of features turned by an angle that grows with the position.

    Attributes:
        layout: `halves` (i with i + r/2) or `pairs` (2i with 2i + 1).
        first: The first feature that is turned.
        size: How many are.
        angles: `(positions, size / 2)`.
        by: The factor beside it.
    """

    layout: str
    first: int
    size: int
    angles: Array = field(repr=False)
    by: float = 1.0

    @property
    def steps(self) -> Array:
        """The angle from one position to the next, for each pair, between -π and π."""
        return _wrapped(self.angles[1] - self.angles[0]) if len(self.angles) > 1 else np.zeros(self.angles.shape[1])

    @property
    def is_by_position(self) -> bool:
        """Whether the angle grows by the same step from each position to the next."""
        n = np.arange(len(self.angles))[:, None]
        return bool((np.abs(_wrapped(self.angles - self.angles[0] - n * self.steps)) < 1e-3).all())

    @property
    def base(self) -> float | None:
        """The base of the frequencies `base ** (-2 i / size)`; None where they are no such sequence."""
        steps = np.abs(self.steps)
        if len(steps) < 2 or (steps < 1e-9).any():
            return None
        slope = np.diff(np.log(steps))
        if np.abs(slope - slope.mean()).max() > 1e-2 * max(1.0, abs(slope.mean())):
            return None
        return float(np.exp(-slope.mean() * self.size / 2))


@dataclass(frozen=True)
class BrokenRotation:
    """Features mixed by pairs as a rotation does, but lengths are not kept: the cosines and sines do not belong."""

    layout: str


@dataclass(frozen=True)
class HeadRotation:
    """A rotation whose angle depends on the head and not on the position."""

    layout: str


Form = Factor | Norm | Rotation | BrokenRotation | HeadRotation


def close(one: Array, two: Array, within: float = _CLOSE) -> bool:
    """Whether two arrays agree up to noise."""
    if one.shape != two.shape:
        return False
    size = float(np.sqrt(np.nanmean(np.square(two)))) if two.size else 1.0
    return bool((np.abs(one - two) <= within * max(size, 1e-12)).all())


def find_form(before: Array, after: Array) -> Form | None:
    """Return how `after` comes from `before`, both `(batch, position, heads, size)`."""
    return (
        find_factor(before, after) or find_norm(before, after) or find_rotation(before, after)
        if before.shape == after.shape
        else None
    )


def find_factor(before: Array, after: Array) -> Factor | None:
    """Return the one number that everything was multiplied with."""
    total = float((before * before).sum())
    if total == 0:
        return None
    by = float((before * after).sum()) / total
    if close(by * before, after, 1e-5) and by != 0:
        return Factor(by)
    x, y = before - before.mean((0, 1)), after - after.mean((0, 1))
    by = float((x * y).sum() / max(float((x * x).sum()), 1e-30))
    if by != 0 and x.shape[0] * x.shape[1] > 2 and close(by * x, y, 1e-5):
        return Factor(by, has_bias=True)
    return None


def find_norm(before: Array, after: Array) -> Norm | None:
    """Return the norm that was taken, of each head's vector or of all heads' together."""
    b, n, h, d = before.shape
    if b * n < 3 or d < 2:
        return None
    whole = before.reshape(b, n, 1, h * d)
    for over_heads, x in ((False, before), (True, whole)):
        if over_heads and h == 1:
            continue
        mean = x.mean(-1, keepdims=True)
        candidates = (
            (kind, part / np.sqrt(np.square(part).mean(-1, keepdims=True) + epsilon))
            for epsilon in _EPSILONS
            for kind, part in (("rms", x), ("layer", x - mean))
        )
        for kind, normed in candidates:
            normed = normed.reshape(before.shape)
            gains = _gains(normed, after, with_bias=kind == "layer")
            if gains is None:
                continue
            even = bool(np.abs(gains - gains.mean()).max() < 1e-4 * abs(gains.mean()))
            size = h * d if over_heads else d
            if kind == "rms" and even and abs(gains.mean() ** 2 * size - 1) < 1e-3:
                return Norm("l2", over_heads, float(gains.mean()))  # a length of 1 is an rms of 1 but for a factor
            return Norm(kind, over_heads, float(gains.mean()), _by_head(gains) if kind == "rms" else ())
    return None


def _by_head(gains: Array) -> tuple[float, ...]:
    """Return the gain of each head, of gains `(heads, d)`; nothing where the features of a head have several."""
    means = gains.mean(-1)
    return tuple(means.tolist()) if np.abs(gains - means[:, None]).max() < 1e-4 * np.abs(means).max() else ()


def _gains(normed: Array, after: Array, *, with_bias: bool) -> Array | None:
    """Return the gain of each feature, where `after = gain * normed + bias` holds for all tokens; else None."""
    x, y = normed, after
    if with_bias:
        x, y = x - x.mean((0, 1)), y - y.mean((0, 1))
    gains = (x * y).sum((0, 1)) / np.maximum((x * x).sum((0, 1)), 1e-30)
    return gains if close(gains * x, y) and np.abs(gains).max() > 0 else None


def find_rotation(before: Array, after: Array) -> Rotation | BrokenRotation | HeadRotation | None:
    """Return the rotation by position that was applied, or what tried to be one."""
    _, n, h, d = before.shape
    by = _kept_factor(before, after)
    moved = [f for f in range(d) if not close(by * before[..., f], after[..., f], 1e-5)]
    if n < 2 or not moved:
        return None
    spans = {(moved[0], moved[-1] + 1), (0, d)}
    for (first, last), layout in itertools.product(sorted(spans, key=lambda s: s[1] - s[0]), ("halves", "pairs")):
        size = last - first
        if size % 2 or (len(moved) < size - 2 and (first, last) != (0, d)):
            continue
        x, y = (_paired(part[..., first:last], layout) for part in (before, after))
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = y / x
        if _is_same(turn, (0, 2)):
            length = np.abs(turn)
            if np.abs(length - length.mean()).max() < 1e-3 * length.mean():
                return Rotation(layout, first, size, np.angle(turn).mean((0, 2)), float(length.mean()))
        elif h > 1 and _is_same(turn, (0, 1)) and not _is_same(turn, (0, 1, 2)):
            return HeadRotation(layout)
    for layout in ("halves", "pairs"):
        if not d % 2 and _is_mixed_by_pairs(before, after, layout):
            return BrokenRotation(layout)
    return None


def _kept_factor(before: Array, after: Array) -> float:
    """The factor of the features that are not turned: how much longer the vectors are."""
    return math.sqrt(float(np.square(after).sum() / max(float(np.square(before).sum()), 1e-30)))


def _paired(x: Array, layout: str) -> Array:
    half = x.shape[-1] // 2
    return x[..., :half] + 1j * x[..., half:] if layout == "halves" else x[..., ::2] + 1j * x[..., 1::2]


def _is_same(turn: Array, axes: tuple[int, ...]) -> bool:
    """Whether a turn is the same along some axes."""
    mean = turn.mean(axes, keepdims=True)
    return bool(np.isfinite(turn).all() and np.abs(turn - mean).max() < 2e-3 * max(float(np.abs(mean).mean()), 1e-9))


def _is_mixed_by_pairs(before: Array, after: Array, layout: str) -> bool:
    """Whether each feature is made of itself and its partner, with numbers that depend on the position."""
    b, n, h, d = before.shape
    if b * h < 3:
        return False
    half = d // 2
    partner = np.r_[half:d, :half] if layout == "halves" else np.arange(d) ^ 1
    for i, f in itertools.product(range(n), range(d)):
        x = np.stack([before[:, i, :, f].ravel(), before[:, i, :, partner[f]].ravel()], -1)
        y = after[:, i, :, f].ravel()
        solution = np.linalg.lstsq(x, y, rcond=None)[0]
        if not close(x @ solution, y, 1e-3):
            return False
    return True


def _wrapped(angle: Array) -> Array:
    return (angle + np.pi) % (2 * np.pi) - np.pi
