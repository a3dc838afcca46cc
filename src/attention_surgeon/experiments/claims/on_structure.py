"""Judges of what is said about shapes, ranks, order, heads, and the reading of heat maps."""

from attention_surgeon.experiments.claims.claim import Judge, Judgement, Measured, Status, holds, holds_if, where


def promise(name: str, *, status: Status = "holds") -> Judge:
    """Return the judge of a plain statement: the one of that name among the promises."""

    def judge(found: Measured) -> Judgement:
        row = where(found.records, promise=name)[0]
        numbers = f" ({row['measured']:.2g}; at most {row['allowed']:.2g})" if row["allowed"] or not row["kept"] else ""
        return Judgement(status if row["kept"] else "does not hold", row["statement"] + numbers)

    return judge


def similarity(found: Measured) -> Judgement:
    """Decide whether the dot product measures similarity."""
    same, unlike = (where(found.records, promise=name)[0] for name in ("similarity", "unlike lengths"))
    figures = "with equal lengths the largest product is the smallest angle; with unequal ones a longer key wins"
    return holds_if(same["kept"], not unlike["kept"], "vectors have the same length", figures)


def as_wide_as_values(found: Measured) -> Judgement:
    """Decide whether the values determine the width of the output."""
    as_wide = sum(row["output_width"] == row["d_v"] for row in found.records)
    return holds(as_wide == len(found.records), f"in {as_wide} of {len(found.records)} pairs of d_k and d_v")


def rank_is_kept(found: Measured) -> Judgement:
    """Decide whether the output never has a higher rank than the inputs."""
    one, many = ([row for row in found.records if (row["heads"] > 1) is several] for several in (False, True))
    kept, raised = (sum(row["output_rank"] > row["input_rank"] for row in rows) for rows in (one, many))
    figures = f"higher in {kept} of {len(one)} cases with at most one head, in {raised} of {len(many)} with several"
    return holds_if(kept == 0, raised == 0, "there is one head", figures)


def heads_do_more(found: Measured) -> Judgement:
    """Decide whether several heads make something of their inputs that one cannot."""
    one, several = ([row for row in found.records if (row["heads"] > 1) is so] for so in (False, True))
    row = max(several, key=lambda row: row["output_rank"] / row["input_rank"])
    figures = (
        f"{row['heads']} heads make an output of rank {row['output_rank']} from inputs of rank {row['input_rank']}; "
        f"one head never raised the rank"
    )
    above = [row for row in one if row["output_rank"] > row["input_rank"]]
    return holds(row["output_rank"] > row["input_rank"] and not above, figures)


def is_an_average(found: Measured) -> Judgement:
    """Decide whether the output of a head lies among its values."""
    outside = max(row["outside"] for row in found.records)
    return holds(outside < 1e-9, f"no entry leaves the range of its values by more than {outside:.0e}")


def order_is_lost(found: Measured) -> Judgement:
    """Decide whether order does not matter without positions."""
    nothing, masked = (where(found.records, given=given)[0] for given in ("nothing", "causal mask"))
    figures = (
        f"shuffled inputs give outputs shuffled alike, to {nothing['moved_along']:.0e}, so equivariance; as they stood "
        f"they differ by {nothing['unmoved']:.2f}; a causal mask alone tells the order ({masked['moved_along']:.2f})"
    )
    return holds_if(
        nothing["moved_along"] < 1e-9, masked["moved_along"] < 1e-9, "outputs may move along, and no mask", figures
    )


def vertical_lines(found: Measured) -> Judgement:
    """Decide whether a vertical line is a token that others attend to strongly."""
    row = where(found.records, line="vertical")[0]
    return holds(row["in_column"] > 0.5, f"the others give it {row['in_column']:.2f} of their weight")


def horizontal_lines(found: Measured) -> Judgement:
    """Decide whether a horizontal line is a token that sends information out."""
    column, row = (where(found.records, line=line)[0] for line in ("vertical", "horizontal"))
    figures = (
        f"turning its token's value around moves the others' outputs by {row['moved']:.2f}, for a vertical line by "
        f"{column['moved']:.2f}: rows gather, columns send"
    )
    return holds(row["moved"] > column["moved"], figures)


def rows_are_queries(found: Measured) -> Judgement:
    """Decide whether rows are queries and columns are keys."""
    row = where(found.records, line="horizontal")[0]
    return holds(row["reads"] > 1, f"a query of zeros fills its row evenly: {row['reads']} keys")


def a_diagonal(found: Measured) -> Judgement:
    """Decide whether there are heads that attend to their own position."""
    row = max(found.records, key=lambda row: row["itself"])
    figures = f"head {row['head']} of layer {row['layer']} gives its own position {row['itself']:.2f}, the most of all"
    return holds(row["itself"] > 0.3, f"{figures}, in a model of {row['heads']}")


def heads_differ(found: Measured) -> Judgement:
    """Decide whether heads learn different patterns."""
    several = [row for row in found.records if row["apart"] is not None]
    after, before = (sum(row[name] for row in several) / len(several) for name in ("apart", "apart_before"))
    distances = [row["distance"] for row in several]
    figures = (
        f"maps of one layer are {after:.2f} apart (before training {before:.2f}; 1: nothing in common); they look "
        f"{min(distances):.1f} to {max(distances):.1f} positions back"
    )
    return holds(after > before + 0.1, figures)


def heads_help(found: Measured) -> Judgement:
    """Decide whether several heads do better than one of the same width."""
    models = {row["heads"]: row["held_out_bits"] for row in found.tables["models"]}
    fewest, most = min(models), max(models)
    figures = (
        f"on unseen text {models[most]:.2f} bits per character with {most} heads, {models[fewest]:.2f} with {fewest}"
    )
    return holds(models[most] < models[fewest], figures)


def top_k_is_enough(found: Measured) -> Judgement:
    """Decide whether attending to the nearest keys only costs little."""
    random, peaked = (where(found.records, scores=kind, k=8)[0] for kind in ("random", "unscaled"))
    figures = (
        f"with 8 of the keys the output is off by {peaked['lost']:.2f} of its length where they hold "
        f"{peaked['kept']:.0%} of the weight, by {random['lost']:.1f} where they hold {random['kept']:.0%}"
    )
    return holds_if(peaked["lost"] < 0.1, random["lost"] < 0.1, "few keys hold the weight", figures)


def dropout_keeps_the_mean(found: Measured) -> Judgement:
    """Decide whether dropout on the weights leaves the output as it is in the mean."""
    row = max(found.records, key=lambda row: row["probability"])
    figures = (
        f"with probability {row['probability']:g} a single output is off by {row['noise']:.0%}, the mean of many by "
        f"{row['bias']:.1%}; rows sum to 1 give or take {row['row_sum_std']:.2f}"
    )
    return holds(row["bias"] < 0.1 * row["noise"], figures)
