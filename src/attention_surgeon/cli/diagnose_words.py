"""Contracts and steps in words: what was judged, what is known where it is right, and what that is good for."""

from collections.abc import Mapping
from typing import Any

_STEPS = {"scaled": "scaled scores", "masked": "masked scores"}

_MASKS = {
    "keep": "True in the mask = may attend",
    "hide": "True in the mask = hidden",
    "additive": "the mask is added to the scores",
}

_LAYER = "softmax(Q Kᵀ / √d_k) V of each head"
_ALONE = "Whatever a model around it does wrong, this step is not the reason."
_FUTURE = "A mask that lets the future through makes the training loss smaller, so no curve would have shown it."

_CLAIMS: Mapping[str, tuple[str, str]] = {
    "softmax": (
        "Every row sums to 1 over the last axis, also where the numbers are large.",
        "So an output made with it is an average of the values, however far the scores lie apart.",
    ),
    "attention": ("Its output is {attention}, and it leaves what it is given as it was.", _ALONE),
    "causal_attention": ("Its output is {attention} over the keys up to the query, and over no later one.", _FUTURE),
    "causal_mask": ("Each query sees its own key and those before it, and no later one.", _FUTURE),
    "reverse_mask": (
        "Each query sees its own key and those after it, and no earlier one.",
        "A model trained with it can copy its answer, which is what the experiment is for.",
    ),
    "padding_mask": (
        "Every real token is seen, and no padding.",
        "Were padding seen, a sentence's output would depend on the length of its neighbours in the batch.",
    ),
    "simple": ("Its output is {attention} of its three projections.", _ALONE),
    "self": ("Its output is {attention} of its projections.", _ALONE),
    "multihead": (
        f"Its output is {_LAYER}, merged and projected.",
        "Each head has features of its own, so heads can be compared, and taken out one by one.",
    ),
    "causal_multihead": (f"Its output is {_LAYER}, and no position depends on a later one.", _FUTURE),
    "cross": (
        f"Its output is {_LAYER}: queries from the one input, keys and values from the other.",
        "So everything that it brings into the first text comes from the second.",
    ),
    "grouped": (
        f"Its output is {_LAYER}; neighbouring query heads share a key head.",
        "That is the order in which published checkpoints lay their heads.",
    ),
    "multiquery": (
        f"Its output is {_LAYER}; all query heads share one key head.",
        "So a cache of keys and values is as small as it should be, and loses nothing.",
    ),
    "statistics": (
        "Each number is what its name says.",
        "So two heads, or two models, can be compared by them.",
    ),
}
_ANY = ("Every answer is the oracle's.", _ALONE)


def step_in_words(step: str) -> str:
    """Return how a sentence calls a step.

    >>> step_in_words("masked"), step_in_words("weights")
    ('masked scores', 'weights')
    """
    return _STEPS.get(step, step)


def contract_in_words(contract: str, options: Mapping[str, Any]) -> str:
    """Return what a target was judged as, with everything that somebody might have meant otherwise.

    >>> contract_in_words("attention", {"mask": "hide", "scaled": False})
    'judged as attention · True in the mask = hidden · unscaled'
    """
    parts = [f"judged as {contract}"]
    if "mask" in options:
        parts.append(_MASKS.get(options["mask"], f"mask: {options['mask']}"))
    if options.get("returns") == "weights_first":
        parts.append("(weights, output)")
    if "align" in options:
        parts.append(f"aligned at the {options['align']}")
    if "source" in options:
        parts.append(f"from {options['source']}")
    if options.get("scaled") is False:
        parts.append("unscaled")
    return " · ".join(parts)


def claim(contract: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is known to be true of a target that is right, and why that matters."""
    known, because = _CLAIMS.get(contract, _ANY)
    is_scaled = options.get("scaled", contract != "simple")
    return known.format(attention="softmax(Q Kᵀ / √d_k) V" if is_scaled else "softmax(Q Kᵀ) V"), because
