"""What the scaling records say, in sentences."""

from collections.abc import Sequence

from attention_surgeon.experiments.result import Record


def tell_scaling(records: Sequence[Record]) -> str:
    """Return the verdict: what happens over d_k with the fewest keys, and what the number of keys does."""
    counts = list(dict.fromkeys(record["num_keys"] for record in records))
    fewest = [record for record in records if record["num_keys"] == counts[0]]
    sentences = [_over_widths(fewest, counts[0])]
    if len(counts) > 1:
        sentences.append(_over_keys(records, counts))
    return " ".join(sentences)


def _over_widths(records: Sequence[Record], num_keys: int) -> str:
    at = {(row["d_k"], row["scaled"]): row for row in records}
    first, last = min(d_k for d_k, _ in at), max(d_k for d_k, _ in at)
    keys = f"with {num_keys} keys"
    if first == last:
        plain, scaled = at[first, False], at[first, True]
        return (
            f"At d_k = {first}, {keys}: the largest weight is {plain['mean_max_weight']:.3f} without the scale and "
            f"{scaled['mean_max_weight']:.3f} with 1/√d_k."
        )

    def change(scaled: bool) -> str:
        return f"{at[first, scaled]['mean_max_weight']:.3f} to {at[last, scaled]['mean_max_weight']:.3f}"

    weaker = at[first, False]["score_gradient"] / max(at[last, False]["score_gradient"], 1e-300)
    return (
        f"From d_k = {first} to {last}, {keys}: without the scale the largest weight goes from {change(False)} and the "
        f"softmax answers to its scores {weaker:.1f} times more weakly; with 1/√d_k the largest weight goes from "
        f"{change(True)}. {_at_the_query(at[first, False], at[last, False])}"
    )


def _at_the_query(first: Record, last: Record) -> str:
    """Say what reaches the query without the scale: where a typical draw and the mean part, a few draws get it all."""
    typical, mean = (f"{first[name]:.2g} to {last[name]:.2g}" for name in ("query_gradient_median", "query_gradient"))
    return (
        f"Without the scale the gradient that reaches the query goes from {typical} in the median draw, and from "
        f"{mean} in the mean."
    )


def _over_keys(records: Sequence[Record], counts: Sequence[int]) -> str:
    scaled = [row for row in records if row["scaled"]]
    means = {count: [row["mean_max_weight"] for row in scaled if row["num_keys"] == count] for count in counts}
    told = ", ".join(f"{sum(values) / len(values):.3f} with {count}" for count, values in means.items())
    return f"Where the scaled softmax settles depends on the number of keys: {told}."
