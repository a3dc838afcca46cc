"""Judges of what is said about masks: who cheats, who can write, and what fills a hidden score."""

from attention_surgeon.experiments.claims.claim import Judgement, Measured, holds, holds_if, where
from attention_surgeon.experiments.result import Record

_NEARLY_PERFECT = 0.2  # bits per character


def _models(found: Measured) -> dict[str, Record]:
    return {row["model"]: row for row in found.records}


def _bigram(found: Measured) -> float:
    return where(found.tables["baselines"], baseline="bigram")[0]["bits"]


def reverse_cheats(found: Measured) -> Judgement:
    """Decide whether the reversed mask reaches a loss that honest prediction does not."""
    models = _models(found)
    reverse, causal = models["reverse"]["training_bits"], models["causal"]["training_bits"]
    figures = f"training loss {reverse:.2f} bits per character, {causal:.2f} under the causal mask"
    return holds(reverse < _NEARLY_PERFECT < causal, figures)


def reverse_fails(found: Measured) -> Judgement:
    """Decide whether the reversed mask fails where there is no future."""
    reverse, bigram = _models(found)["reverse"]["writing_bits"], _bigram(found)
    return holds(reverse > bigram, f"asked to write it scores {reverse:.2f}, counting pairs of letters {bigram:.2f}")


def causal_is_honest(found: Measured) -> Judgement:
    """Decide whether the causal model sees nothing ahead and learns all the same."""
    causal, bigram = _models(found)["causal"], _bigram(found)
    figures = (
        f"{causal['future_share']:.0%} of what it answers to lies ahead; on unseen text {causal['held_out_bits']:.2f}, "
        f"counting pairs {bigram:.2f}"
    )
    return holds(causal["future_share"] == 0 and causal["held_out_bits"] < bigram, figures)


def none_cheats_too(found: Measured) -> Judgement:
    """Decide whether a model without a mask is merely bidirectional: as a language model it cheats."""
    none, bigram = _models(found)["none"], _bigram(found)
    figures = (
        f"{none['future_share']:.0%} of what it answers to lies ahead; training {none['training_bits']:.2f}, and "
        f"{none['writing_bits']:.2f} when it has to write (counting pairs: {bigram:.2f}): it cheats like the "
        f"reversed one"
    )
    honest = none["training_bits"] > _NEARLY_PERFECT and none["writing_bits"] < bigram
    return holds_if(none["future_share"] > 0, honest, "nothing is to be predicted that it sees", figures)


def what_reverse_sees(found: Measured) -> Judgement:
    """Say what the reversed mask lets a model see: `past masked`, `can see the future`, `only the future`."""
    answers = where(found.tables["answers"], model="reverse")
    past = sum(row["share"] for row in answers if row["distance"] < 0)
    ahead = _models(found)["reverse"]["future_share"]
    figures = (
        f"three descriptions, one mask: of what its predictions answer to, {past:.0%} is the past, {ahead:.0%} lies "
        f"ahead, and the rest is the position itself. It hides the past, and shows itself and the future"
    )
    return Judgement("contradicts itself", figures)


def zero_leaks(found: Measured) -> Judgement:
    """Decide whether a hidden score of 0 leaks and -inf does not."""
    at = {row["fill"]: row for row in found.records}
    zero, infinite = at["0"]["hidden_weight"], at["-inf"]["hidden_weight"]
    figures = f"hidden keys keep {zero:.0%} of the weight with 0, {infinite:.0%} with -inf: e⁰ is 1, e^-inf is 0"
    return holds(zero > 0.1 and infinite == 0, figures)


def mask_first(found: Measured) -> Judgement:
    """Decide whether masks belong before the softmax."""
    at = {row["fill"]: row for row in found.records}
    after = at["weights x 0"]["row_sum"]
    return holds(after < 0.5, f"masked after it, a row sums to as little as {after:.3f}; before it, to 1")


def empty_row_is_nan(found: Measured) -> Judgement:
    """Decide whether a row without keys gives NaN."""
    at = {row["fill"]: row for row in found.records}
    empty = at["-inf"]["empty_row"]
    finite = at["-1e9"]["empty_row"]
    return holds_if(
        empty == "NaN", finite == "NaN", "the fill is -inf", f"{empty}; with -1e9 each hidden key gets {finite:.3f}"
    )


def nan_to_zero(found: Measured) -> Judgement:
    """Decide whether replacing NaN by 0 mends a row without keys, in the gradient too."""
    at = {row["fill"]: row for row in found.records}
    filled, added = (at[f"{how}-inf, NaN to 0"]["empty_gradient"] for how in ("", "plus "))
    figures = (
        f"the weights become 0; the gradient of the scores is {filled:g} where they were filled, {added} where -inf "
        f"was added"
    )
    return holds_if(filled == 0, added == 0, "the scores are filled, not added to", figures)
