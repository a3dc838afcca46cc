"""What each number means, as data: name, formula, unit, range and source. Docs, viewer and terminal show these.

In the formulas w_qk is the weight that query q gives to key k, p_q the position of query q among the keys (the last
query stands at the last key), m_q the number of keys it may see, and "mean" the mean over the rows that count. A row
counts if it has any weight; an empty row, of a query that may attend to nobody, is left out. Where no row counts, or
none of those that a definition names, the number is NaN.
"""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Definition:
    """One number and how it is made.

    Attributes:
        name: As in code: the field of the record.
        title: In words, for a heading.
        formula: How it is computed.
        unit: "nats", "keys", "positions", "share" (of 1) or "ratio".
        low: The least it can be.
        high: The most it can be, in words.
        meaning: What a high and a low number say, in one sentence.
        source: Where the definition is from.
    """

    name: str
    title: str
    formula: str
    unit: str
    low: str
    high: str
    meaning: str
    source: str


_CLARK = "Clark et al. 2019, arXiv:1906.04341"
_KOVALEVA = "Kovaleva et al. 2019, arXiv:1908.08593"

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "entropy",
        "Entropy",
        "mean of H_q = -Σ_k w_qk log w_qk, with 0 log 0 = 0",
        "nats",
        "0",
        "log n_k",
        "0: one key gets everything; log m: m keys get the same.",
        "Shannon 1948, section 6",
    ),
    Definition(
        "entropy_share",
        "Entropy, share of its maximum",
        "mean of H_q / log m_q, over rows with m_q > 1",
        "share",
        "0",
        "1",
        "1: as even as the mask allows, whatever the length.",
        "Shannon 1948, section 7 (relative entropy)",
    ),
    Definition(
        "effective_keys",
        "Effective number of keys",
        "mean of exp H_q",
        "keys",
        "1",
        "n_k",
        "Among how many keys, equally weighted, a row of this entropy chooses.",
        "Hill 1973, doi:10.2307/1934352 (order 1)",
    ),
    Definition(
        "max_attention",
        "Largest weight",
        "max w_qk",
        "share",
        "1 / n_k",
        "1",
        "1: some query looks at one key alone.",
        "the course, project 4, task 2c",
    ),
    Definition(
        "mean_max_attention",
        "Largest weight of a row",
        "mean of max_k w_qk",
        "share",
        "1 / n_k",
        "1",
        "1: every query looks at one key alone, as after a saturated softmax.",
        "Voita et al. 2019, arXiv:1905.09418 (confidence)",
    ),
    Definition(
        "diagonal_mass",
        "Own position",
        "mean of w_qk with k = p_q",
        "share",
        "0",
        "1",
        "1: every token looks at itself.",
        _KOVALEVA,
    ),
    Definition(
        "previous_mass",
        "Previous position",
        "mean of w_qk with k = p_q - 1, over rows with p_q > 0",
        "share",
        "0",
        "1",
        "1: every token looks at the one before it.",
        "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits",
    ),
    Definition(
        "next_mass",
        "Next position",
        "mean of w_qk with k = p_q + 1, over rows with p_q + 1 < n_k",
        "share",
        "0",
        "1",
        "1: every token looks at the one after it.",
        _CLARK + ", section 3.1",
    ),
    Definition(
        "first_mass",
        "First position",
        "mean of w_q0",
        "share",
        "0",
        "1",
        "1: the first key is a sink, where attention goes that has nowhere to go.",
        "Xiao et al. 2023, arXiv:2309.17453",
    ),
    Definition(
        "local_mass",
        "Near positions",
        "mean of Σ_k w_qk with |p_q - k| <= window",
        "share",
        "0",
        "1",
        "1: no query looks further than the window.",
        "the course, project 4, task 2c",
    ),
    Definition(
        "global_mass",
        "Far positions",
        "mean of Σ_k w_qk with |p_q - k| > window",
        "share",
        "0",
        "1",
        "1: every query looks further than the window.",
        "the course, project 4, task 2c",
    ),
    Definition(
        "local_vs_global",
        "Near against far",
        "Σ w_qk with |p_q - k| <= window, divided by the rest of Σ w_qk",
        "ratio",
        "0",
        "infinity",
        "1: as much near as far; infinite where nothing is far.",
        "the course, project 4, task 2c",
    ),
    Definition(
        "mean_distance",
        "Distance",
        "mean of Σ_k w_qk |p_q - k|",
        "positions",
        "0",
        "the longest distance",
        "How far away the keys are, weighted by what they get.",
        "Vig and Belinkov 2019, arXiv:1906.04284",
    ),
    Definition(
        "sparsity",
        "Sparsity",
        "share of the visible cells of counted rows with w_qk < threshold",
        "share",
        "0",
        "1",
        "0.9: nine of ten visible keys get less than the threshold.",
        "after Correia, Niculae and Martins 2019, arXiv:1909.00015 (density)",
    ),
    Definition(
        "evenness",
        "Overlap with even weights",
        "mean of Σ_k min(w_qk, 1 / m_q)",
        "share",
        "1 / n_k",
        "1",
        "1: every visible key gets the same; one minus the total variation from it.",
        "Levin, Peres and Wilmer 2009, Markov Chains and Mixing Times, section 4.1",
    ),
    Definition(
        "induction",
        "Induction",
        "mean of Σ_k w_qk, k < p_q and the token before k is that of q, over rows that see such a key",
        "share",
        "0",
        "1",
        "1: every repeated token looks at what came after it the last times. Needs the tokens, or a repeat offset.",
        "Olsson et al. 2022, arXiv:2209.11895",
    ),
    Definition(
        "received",
        "Received, for each key",
        "mean of w_qk, for each k",
        "share",
        "0",
        "1",
        "The share of all attention that goes to the key; over the keys it adds up to 1.",
        "Zhang et al. 2023, arXiv:2306.14048",
    ),
    Definition(
        "similarity",
        "Similarity of heads",
        "Σ_qk a_qk b_qk / √(Σ a² Σ b²), for each two heads a and b",
        "share",
        "0",
        "1",
        "1: the two heads have the same weights; 0: no key in common.",
        "Salton, Wong and Yang 1975, doi:10.1145/361219.361220 (the cosine)",
    ),
)
"""Every statistic of a head, in the order in which they are shown."""

COMPARISONS: tuple[Definition, ...] = (
    Definition(
        "cosine",
        "Cosine",
        "Σ_qk a_qk b_qk / √(Σ a² Σ b²)",
        "share",
        "0",
        "1",
        "1: the same weights; 0: no key in common.",
        "Salton, Wong and Yang 1975, doi:10.1145/361219.361220",
    ),
    Definition(
        "mse",
        "Mean squared difference",
        "mean over the cells of (a_qk - b_qk)²",
        "share²",
        "0",
        "2 / n_k",
        "0: the same weights. Small for long contexts, because most cells are.",
        "Gauss 1821, Theoria combinationis",
    ),
    Definition(
        "largest_difference",
        "Largest difference",
        "max |a_qk - b_qk|",
        "share",
        "0",
        "1",
        "1: some query has turned from one key to another altogether.",
        "the maximum norm",
    ),
    Definition(
        "total_variation",
        "Total variation",
        "mean of Σ_k |a_qk - b_qk| / 2",
        "share",
        "0",
        "1",
        "What part of its attention a row would have to move to other keys.",
        "Levin, Peres and Wilmer 2009, Markov Chains and Mixing Times, section 4.1",
    ),
    Definition(
        "jensen_shannon",
        "Jensen-Shannon divergence",
        "mean of Σ_k (a log (a / m) + b log (b / m)) / 2 with m = (a + b) / 2",
        "nats",
        "0",
        "log 2",
        "0: the same weights; log 2: no key in common.",
        "Lin 1991, doi:10.1109/18.61115",
    ),
)
"""Every number that two patterns are compared by; rows count that have weight in both."""

PER_HEAD = tuple(each.name for each in DEFINITIONS if each.name not in ("received", "similarity"))
"""The names of those that are one number for each head."""


def definition_of(name: str) -> Definition:
    """Return the definition of a statistic or a comparison.

    >>> definition_of("effective_keys").formula
    'mean of exp H_q'
    """
    return next(each for each in (*DEFINITIONS, *COMPARISONS) if each.name == name)
