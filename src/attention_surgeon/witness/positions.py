"""Positions in an attention: queries and keys that are turned by theirs, and biases that scores get by their distance.

Sources: Su et al. 2021, "RoFormer"; Press et al. 2021, "Train Short, Test Long" (ALiBi); Raffel et al. 2020 (T5).
"""

from dataclasses import dataclass

import numpy as np

from attention_surgeon.witness.forms import Rotation
from attention_surgeon.witness.record import Array
from attention_surgeon.witness.scores import Scaling


@dataclass(frozen=True)
class Positions:
    """What was read of them.

    Attributes:
        words: What they are, or what is wrong; empty where there are none.
        fault: Its name in the catalogue, None for none.
        is_mirrored: Whether queries and keys are turned alike, by minus their position: a fault where a helper promises
            otherwise, and no more than another order of features where nothing does.
    """

    words: str = ""
    fault: str | None = None
    is_mirrored: bool = False


def read_rotations(asks: Rotation | None, answers: Rotation | None, size: int, base: float | None) -> Positions:
    """Read how queries and keys are turned.

    Args:
        asks: The rotation of the queries, None where they are not turned.
        answers: That of the keys.
        size: How many features a head has.
        base: Of the frequencies, as the layer was made; None where it is not known.
    """
    if asks is None or answers is None:
        which = "keys" if asks is None else "queries"
        return Positions(f"only the {which} are rotated by their positions", "rotary_on_one_side")
    wrong = _not_by_position(asks, answers) or _not_alike(asks, answers) or _frequencies(asks, size, base)
    if wrong:
        return wrong
    part = "" if asks.size == size else f", {asks.size} of {size} features"
    found = asks.base
    words = "" if found is None else f", base {found:.0f}" if found < 1e7 else f", base {found:.2g}"
    return Positions(f"rotary positions ({asks.layout}{words}{part})")


def _not_by_position(asks: Rotation, answers: Rotation) -> Positions | None:
    if not asks.is_by_position or not answers.is_by_position:
        words = "the angle does not grow by the same step from position to position"
        return Positions(words, "rotary_positions_wrong")
    if asks.layout != answers.layout or asks.size != answers.size:
        words = f"queries are turned in {asks.layout} and keys in {answers.layout}"
        return Positions(words, "rotary_layouts_mixed")
    if len(asks.steps) > 1 and np.ptp(np.abs(asks.steps)) < 1e-6 and abs(asks.steps[0]) > 1e-6:
        words = "all pairs of features turn by one angle; the frequencies must fall"
        return Positions(words, "rotary_positions_wrong")
    return None


def _not_alike(asks: Rotation, answers: Rotation) -> Positions | None:
    n = min(len(asks.angles), len(answers.angles))
    gap = np.abs((asks.angles[:n] - answers.angles[:n] + np.pi) % (2 * np.pi) - np.pi).max()
    if gap > 1e-3:
        is_opposite = np.abs(asks.steps + answers.steps).max() < 1e-3
        words = (
            "queries and keys are turned in opposite directions"
            if is_opposite
            else "queries and keys of one position are turned by different angles"
        )
        return Positions(words, "rotary_direction")
    if (asks.steps < -1e-6).any() and asks.steps[0] < 0:
        words = "vectors are turned by minus their position; the sign of the sine is the wrong way round"
        return Positions(words, "rotary_direction", is_mirrored=True)
    return None


def _frequencies(turn: Rotation, size: int, base: float | None) -> Positions | None:
    """The frequencies fall from pair to pair, by the base that the layer was made with.

    A part of a head may be turned by the first frequencies of a whole one.
    """
    steps = np.abs(turn.steps)
    if len(steps) > 1 and (np.diff(steps) > 1e-6).any():
        return Positions("the angles grow from pair to pair; the frequencies must fall", "rotary_positions_wrong")
    if turn.base is not None and base is not None and base > 1 and turn.base < 1e9:
        ratio = np.log(turn.base) / np.log(base)
        is_of_whole = turn.size < size and abs(ratio - turn.size / size) < 0.02
        if any(abs(ratio - wrong) < 0.02 for wrong in (2.0, 0.5)) and not is_of_whole:
            words = f"the base of its frequencies is {turn.base:.3g}; it was made with {base:g}"
            return Positions(words, "rotary_positions_wrong")
    return None


def read_bias(scaling: Scaling, *, is_causal: bool, is_relative: bool) -> Positions:
    """Read what is added to the scores where nothing is hidden.

    Args:
        scaling: Of the scores.
        is_causal: Whether the future is hidden.
        is_relative: Whether a parameter is called a relative bias.
    """
    bias, seen = scaling.bias, ~scaling.hidden[0]
    if np.abs(bias).max() < 1e-9:
        return Positions()
    _, n_q, n_k = bias.shape
    gap = np.arange(n_k)[None, :] - np.arange(n_q)[:, None]
    slopes = [_slope(one, gap, open_cells, is_causal) for one, open_cells in zip(bias, seen, strict=True)]
    if None not in slopes:
        return _alibi(np.array(slopes, dtype=float))
    size = max(1.0, float(np.abs(bias).max()))
    cells = [(one, (gap == g) & open_cells) for one, open_cells in zip(bias, seen, strict=True) for g in np.unique(gap)]
    if all(np.ptp(one[some]) < 1e-6 * size for one, some in cells if some.any()):
        return Positions("a bias for each distance")
    if _is_relative_in_a_picture(bias):
        return Positions("a bias for each distance in a picture")
    if is_relative:
        words = "the relative bias is no function of the distance: the table's axes were not permuted"
        return Positions(words, "relative_bias_misplaced")
    return Positions("a bias for each pair of positions")


def _slope(bias: Array, gap: Array, seen: Array, is_causal: bool) -> float | None:
    """Return how a bias grows with the distance, None where it does not by one number."""
    own, others = seen & (gap == 0), seen & (gap != 0)
    rest = bias - bias[own].mean() if own.any() else bias
    slope = float((rest[others] / np.abs(gap[others])).mean()) if others.any() else 0.0
    if np.abs(np.where(seen, rest - slope * np.abs(gap), 0.0)).max() < 1e-5 * max(1.0, abs(slope)):
        return slope
    signed = _signed_slope(bias, gap, seen)
    return -signed if signed is not None and is_causal else None


def _signed_slope(bias: Array, gap: Array, seen: Array) -> float | None:
    """Return the slope of a bias that grows with `j - i` up to a number per row, None if it does not."""
    slopes = []
    for row, apart, cells in zip(bias, gap, seen, strict=True):
        open_cells = np.flatnonzero(cells)
        if len(open_cells) > 1:
            slopes += list(np.diff(row[open_cells]) / np.diff(apart[open_cells]))
    if not slopes or np.ptp(slopes) > 1e-5 * max(1.0, float(np.abs(slopes).max())):
        return None
    return float(np.mean(slopes))


def _alibi(slopes: Array) -> Positions:
    said, heads = ", ".join(f"{slope:.3g}" for slope in slopes), len(slopes)
    if (slopes > 0).any():
        return Positions(f"the bias grows with the distance (slopes {said}); it must fall", "alibi_sign")
    falling, usual = np.abs(slopes), 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)
    is_power = heads & (heads - 1) == 0
    if heads > 1 and (np.ptp(falling) < 1e-9 or (is_power and np.abs(falling - usual).max() > 1e-4 * usual.max())):
        said = ", ".join(f"{slope:.3g}" for slope in falling)
        return Positions(f"the slopes are {said}; they are 2 ** (-8 h / heads), h = 1, 2, ...", "alibi_slopes")
    if heads > 1 and (np.diff(falling) > 0).all():
        words = "the slopes grow from head to head; the first head's must be the steepest"
        return Positions(words, "alibi_slopes")
    return Positions("ALiBi")


def _is_relative_in_a_picture(bias: Array) -> bool:
    """Whether positions are places in rows and columns, and the bias depends on the distance along both."""
    n, size = bias.shape[1], max(1.0, float(np.abs(bias).max()))
    if bias.shape[2] != n:
        return False
    for width in (w for w in range(2, n) if n % w == 0):
        y, x = np.divmod(np.arange(n), width)
        apart = (y[:, None] - y[None, :]) * 2 * n + (x[:, None] - x[None, :])
        if all(np.ptp(one[apart == g]) < 1e-6 * size for one in bias for g in np.unique(apart)):
            values = [float(bias[0][apart == g][0]) for g in np.unique(apart)]
            return len(np.unique(np.round(values, 9))) == len(values)  # each distance has an entry of its own
    return False
