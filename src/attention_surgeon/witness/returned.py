"""The weights that come back beside the output, compared with those that were used."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from attention_surgeon.witness.canonical import canonical
from attention_surgeon.witness.core import find_cores
from attention_surgeon.witness.findings import Finding
from attention_surgeon.witness.flow import Flow
from attention_surgeon.witness.observation import Account
from attention_surgeon.witness.record import Array, to_numbers


def compare_returned(plan: Any, flow: Flow, account: Account, *, says: str, are_asked_for: bool = False) -> None:
    """Note where weights that are returned are not those that were used.

    Args:
        plan: How the target is called.
        flow: A call of it.
        account: What has been said of it, which is added to.
        says: The text around it.
        are_asked_for: An argument asked for the weights.
    """
    if any(finding.step == "weights" for finding in account.findings):
        return  # those that are returned may be right
    arrays = plan.arrays(flow.base.returned)
    try:
        cores = find_cores(flow)
        canons = [canonical(flow, core) for core in cores]
    except Exception:  # noqa: BLE001  read elsewhere
        return
    if len(canons) > 1:
        return
    canon, op = canons[0], flow.ops[cores[0].softmax]
    beside = [to_numbers(array) for place, array in enumerate(arrays) if place != max(plan.output, 0)]
    has_weights = any(numbers.shape == canon.weights.shape and _same(numbers, canon.weights) for numbers in beside)
    for numbers in beside:
        fault = _returned_fault(numbers, canon.weights, canon.masked, canon.scores)
        if fault == "scores_returned" and (
            has_weights or not (are_asked_for or re.search(r"return [^\n,]+,\s*\w*(weight|attn|prob)", says))
        ):
            account.remarks.append("the scores come back beside the output")
        elif fault is not None:
            sentence = {
                "weights_returned_transposed": "the weights come back with queries and keys exchanged",
                "scores_returned": "the scores come back in the place of the weights",
                "weights_returned_differ": "the weights that come back are not those that were used",
            }[fault]
            account.findings.append(Finding(fault, "weights", sentence, op.place))


def _returned_fault(given: Array, weights: Array, masked: Array, scores: Array) -> str | None:
    """Return what is wrong with weights that came back: of each head, of heads folded into the batch, or the mean."""
    b, h, n, m = weights.shape
    ways: Sequence[tuple[tuple[int, ...], Callable[[Array], Array]]] = (
        ((b, h, n, m), lambda x: x),
        ((h, b, n, m), lambda x: x.swapaxes(0, 1)),
        ((b * h, n, m), lambda x: x.reshape(b * h, n, m)),
        ((b * h, n, m), lambda x: x.swapaxes(0, 1).reshape(b * h, n, m)),
        ((b, n, m), lambda x: x.mean(1)),
        ((n, m), lambda x: x[0].mean(0)),
    )
    if any(given.shape == shape and _same(given, laid(weights)) for shape, laid in ways):
        return None
    for shape, laid in ways:
        turned = laid(weights).swapaxes(-1, -2)
        if given.shape == turned.shape and _same(given, turned):
            return "weights_returned_transposed"
        sums = given.sum(-1) if given.shape == shape else np.zeros(1)
        if (
            given.shape == shape
            and (given >= 0).all()
            and (np.abs(sums - 1) < 1e-5).all() | _same(given, h * laid(weights))
        ):
            return "weights_returned_differ"
        if given.shape == shape and (_same(given, laid(masked)) or _same(given, laid(scores))):
            return "scores_returned"
    return None


def _same(one: Array, two: Array) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(((np.abs(one - two) < 1e-5) | (one == two) | np.isnan(two)).all())
