"""The page of an operation: before and after, the sentence, the receipt, the predictions."""

from typing import Any

import torch

from attention_surgeon.cli.receipt_words import nothing_changed, place_of, receipt_parts
from attention_surgeon.cli.sentence import entry_of, who
from attention_surgeon.errors import SurgeonError
from attention_surgeon.surgery import Capture, Effect, LoadedModel, predict
from attention_surgeon.surgery.predictions import cosine, kind_of_prediction
from attention_surgeon.trace import AttentionTrace
from attention_surgeon.viewer import Page, compare, view

_MOST, _MOST_AFTER = 5, 3
_TITLES = {
    "next token": "The next token",
    "masked token": "The token behind the mask",
    "class": "The class",
    "nothing": "Where the text stands",
}


def page_of(loaded: LoadedModel, effect: Effect, stack: str, text: str, left_out: str | None = None) -> Page:
    """Return the page of an operation: before and after, what was done in a sentence, the receipt, the predictions.

    Args:
        loaded: The model.
        effect: What the operation did.
        stack: Which stack of layers is shown, as all maps of a page have one size.
        text: What was read.
        left_out: A sentence on what of it was not; None: all was read.
    """
    heads = who([layer for layer in effect.receipt.layers if layer.calls])
    title = f"{loaded.name}: {effect.receipt.operation}, {heads[:1].lower()}{heads[1:]}"
    before, after = maps_of(effect.before, stack), maps_of(effect.after, stack)
    receipt = (*receipt_of(effect), *filter(None, [left_out]))
    predictions = predictions_of(loaded, effect.before, effect.after)
    if effect.receipt.changed and all(torch.equal(before[name].weights, after[name].weights) for name in before):
        receipt = (*receipt, "every map is as it was: this operation acts on what the weights gather")
    try:
        page = compare(before, after, title=title)
    except SurgeonError as error:  # a fault may leave numbers that no map can show; the rest is true all the same
        reason = str(error).removeprefix("compare: ").partition(". ")[0].rstrip(".")
        receipt = (*receipt, f"no map of what came out: {reason}; the maps show the model as it was")
        page = view(before, title=title)
    page.document["operation"] = entry_of(effect, stack, predictions, receipt, text)
    return page


def maps_of(captured: Capture, stack: str) -> dict[str, AttentionTrace]:
    """Return what a page shows: one stack, as all maps of a page have one size."""
    return {str(layer.index): layer.trace for layer in captured.layers if layer.stack == stack}


def receipt_of(effect: Effect | None) -> tuple[str, ...]:
    """Return the receipt in sentences; without an operation, that there was none."""
    if effect is None:
        return ("Nothing is done to the model. Choose a mask, a scale, a temperature or a fault.",)
    called = [layer for layer in effect.receipt.layers if layer.calls]
    lines = [f"operated: {effect.receipt.operation} · {place_of(called)}"]
    for _, text in receipt_parts(effect, called):
        lines += text.split(" · ")
    if not effect.receipt.changed:
        lines.append(nothing_changed(effect))
    return tuple(lines)


def predictions_of(loaded: LoadedModel, before: Capture, after: Capture | None = None) -> dict[str, Any]:
    """Return what the model says, before and after, as the page takes it."""
    kind = kind_of_prediction(loaded.model, before, loaded.tokenizer)
    facts = []
    if before.loss is not None:
        facts.append(_fact("loss, nats per token", before.loss, None if after is None else after.loss, after))
    if after is not None and (angle := cosine(before, after)) is not None:
        facts.append(_fact("cosine with the mean state before", 1.0, angle, after))
    return {"title": _TITLES[kind], "rows": _rows(loaded, before, after), "facts": facts}


def _rows(loaded: LoadedModel, before: Capture, after: Capture | None) -> list[dict[str, Any]]:
    """Return the likeliest outcomes of either side, each with its probability on both."""
    first, second = _probabilities(loaded, before), {} if after is None else _probabilities(loaded, after)
    shown = dict.fromkeys([*list(first)[:_MOST], *list(second)[:_MOST_AFTER]])
    return [{"label": name, "before": first.get(name), "after": second.get(name)} for name in shown]


def _probabilities(loaded: LoadedModel, captured: Capture) -> dict[str, float]:
    """Return the probability of every outcome, the likeliest first; of two of one name that of the likelier."""
    if captured.logits is None:
        return {}
    found: dict[str, float] = {}
    for one in predict(loaded.model, captured, loaded.tokenizer, most=captured.logits.shape[-1]):
        found.setdefault(one.outcome, one.probability)
    return found


def _fact(label: str, before: float, after: float | None, is_there: object) -> dict[str, str | None]:
    words = None if is_there is None else "no number any more" if after is None or after != after else f"{after:.4f}"
    return {"label": label, "before": f"{before:.4f}", "after": words}
