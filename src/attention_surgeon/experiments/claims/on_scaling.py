"""Judges of what is said about the scale: growth of scores, saturation, gradients."""

from attention_surgeon.experiments.claims.claim import Judge, Judgement, Measured, holds, holds_if, where
from attention_surgeon.experiments.result import Record

_CLOSE = 0.025


def _at(found: Measured, d_k: int, is_scaled: bool, num_keys: int = 4) -> Record:
    return where(found.records, d_k=d_k, scaled=is_scaled, num_keys=num_keys)[0]


def table_row(d_k: int, plain: float, scaled: float) -> Judge:
    """Return the judge of one row of the table of largest weights."""

    def judge(found: Measured) -> Judgement:
        measured = [_at(found, d_k, is_scaled)["mean_max_weight"] for is_scaled in (False, True)]
        with_64 = [_at(found, d_k, is_scaled, 64)["mean_max_weight"] for is_scaled in (False, True)]
        figures = f"{measured[0]:.3f} and {measured[1]:.3f} with 4 keys; {with_64[0]:.3f} and {with_64[1]:.3f} with 64"
        close = all(abs(value - said) <= _CLOSE for value, said in zip(measured, (plain, scaled), strict=True))
        closer = "there are about 4 keys" if close else "there are about 4 keys, and then only to within 0.05"
        near = all(abs(value - said) <= 2 * _CLOSE for value, said in zip(measured, (plain, scaled), strict=True))
        return holds_if(near, False, closer, figures)

    return judge


def gradients_vanish(found: Measured) -> Judgement:
    """Decide whether gradients vanish without the scale: at the scores, and at the query."""
    first, last = (_at(found, d_k, False) for d_k in (16, 1024))
    scores, median, mean = (
        first[name] / max(last[name], 1e-30) for name in ("score_gradient", "query_gradient_median", "query_gradient")
    )
    figures = (
        f"from d_k 16 to 1024 the softmax answers {scores:.1f} times more weakly; at the query the median gradient "
        f"falls {median:.1e} times, the mean {mean:.2f} times: a few undecided rows get it all"
    )
    return holds_if(median > 10 and scores > 2, mean > 2, "one looks at the typical row", figures)


def keeps_from_saturating(found: Measured) -> Judgement:
    """Decide whether the scaled softmax does not saturate, at any width and number of keys."""
    widest = where(found.records, d_k=1024)
    plain, scaled = ([row["entropy_share"] for row in widest if row["scaled"] is so] for so in (False, True))
    figures = (
        f"at d_k 1024 the entropy is at least {min(scaled):.2f} of its largest with the scale, at most "
        f"{max(plain):.2f} without"
    )
    return holds(min(scaled) > 0.7 > 0.3 > max(plain), figures)


def one_hot(found: Measured) -> Judgement:
    """Decide whether attention without the scale becomes a one-hot selector."""
    row = _at(found, 1024, False)
    figures = f"at d_k 1024, 4 keys: largest weight {row['mean_max_weight']:.3f}, entropy {row['entropy_share']:.3f}"
    return holds(row["mean_max_weight"] > 0.95, figures)


def not_alike(found: Measured) -> Judgement:
    """Decide whether the weights differ from an even share."""
    row = _at(found, 64, True)
    return holds(
        row["mean_max_weight"] > 0.3, f"the largest of 4 weights is {row['mean_max_weight']:.3f}, an even share 0.25"
    )


def stable(found: Measured) -> Judgement:
    """Decide whether the scaled weights are the same at every width."""
    values = [_at(found, d_k, True)["mean_max_weight"] for d_k in (16, 64, 256, 1024)]
    return holds(max(values) - min(values) < 0.02, f"largest weight {min(values):.3f} to {max(values):.3f}, 4 keys")


def output_changes(found: Measured) -> Judgement:
    """Decide whether output and gradients differ visibly with and without the scale."""
    plain, scaled = (_at(found, 1024, so)["output_variance"] for so in (False, True))
    figures = (
        f"mean square of the output at d_k 1024: {plain:.2f} without, {scaled:.2f} with the scale (a value's is 1)"
    )
    return holds(abs(plain - scaled) > 0.2, figures)


def grows_like_root(found: Measured) -> Judgement:
    """Decide whether q·k grows like √d_k."""
    normal, shifted = ([row["over_root"] for row in where(found.records, drawn=how)] for how in ("normal", "shifted"))
    figures = (
        f"size / √d_k is {min(normal):.2f} to {max(normal):.2f}; where all entries lean by 0.5 it rises to "
        f"{max(shifted):.1f}, which is growth like d_k"
    )
    return holds_if(
        max(normal) < 1.1 * min(normal), max(shifted) < 1.5, "entries are independent and of mean 0", figures
    )


def stops_learning(found: Measured) -> Judgement:
    """Decide whether the scale makes learning possible that does not happen without."""
    lookup = found.tables["lookup"]
    widest, last = max(row["d_k"] for row in lookup), max(row["step"] for row in lookup)
    plain, scaled = (where(lookup, d_k=widest, step=last, scaled=so)[0] for so in (False, True))
    figures = (
        f"a lookup at d_k {widest} finds {scaled['found']:.0%} of its keys with the scale and {plain['found']:.0%} "
        f"without, each at its best learning rate"
    )
    return holds(scaled["found"] > plain["found"] + 0.2, figures)


def sharper_is_weaker(found: Measured) -> Judgement:
    """Decide whether a sharper softmax answers more weakly to its scores."""
    spreads = {row["spread"]: row["answer_median"] for row in found.records}
    best = max(spreads, key=lambda spread: spreads[spread])
    figures = (
        f"the median answer is strongest, {spreads[best]:.2f}, at scores of spread {best:g}, and "
        f"{spreads[max(spreads)]:.0e} at {max(spreads):g}"
    )
    return holds(spreads[max(spreads)] < 0.01 * spreads[best], figures)
