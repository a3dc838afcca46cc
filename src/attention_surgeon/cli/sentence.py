"""What an operation did, in one plain sentence, and as the entry of a page that is kept."""

from collections.abc import Sequence
from typing import Any

from attention_surgeon.cli.cells import visible
from attention_surgeon.surgery import Effect, LayerReceipt, Prediction

_DONE = {
    "knock_out": ("is silenced", "are silenced"),
    "uniform": ("looks at everything evenly", "look at everything evenly"),
    "one_hot": ("looks at one token only", "look at one token only"),
    "drop_mask": ("sees the future", "see the future"),
    "scale_missing": ("does not divide by √d_k", "do not divide by √d_k"),
    "no_scale": ("does not divide by √d_k", "do not divide by √d_k"),
}
_NAMED = {"next token": "Next word", "masked token": "Behind the mask", "class": "Class"}


def sentence_of(effect: Effect) -> str:
    """Return what was done, what the loss did, and what the model says now.

    Such as: Head 0.2 is silenced. Loss 1.94 -> 2.61. Next word: ' mat' (41 %) before, ' the' (8 %) now.
    """
    called = [layer for layer in effect.receipt.layers if layer.calls]
    parts = [f"{who(called)} {_done(effect.receipt.operation, _count(called) == 1)}."]
    if not effect.receipt.changed:
        parts.append("On this text that changes nothing.")
    if effect.before.loss is not None:
        parts.append(f"Loss {effect.before.loss:.2f} → {_loss(effect.after.loss)}.")
    before, after = effect.predictions
    if before and effect.kind in _NAMED:
        parts.append(f"{_NAMED[effect.kind]}: {_in_both(before, after)}.")
    elif effect.kind == "nothing" and effect.cosine is not None:
        parts.append(f"Cosine between the text's vector before and now: {effect.cosine:.3f} (1: unchanged).")
    return " ".join(parts)


def who(called: Sequence[LayerReceipt]) -> str:
    """Return which heads were operated on: `Head 0.2`, `Heads 0.1 and 0.2`, `All heads of layer 0`."""
    all_of_them = all(layer.others_identical is None for layer in called)
    names = [layer.name for layer in called]
    if all_of_them:
        layers = f"layer {names[0]}" if len(names) == 1 else f"layers {_listed(names)}"
        return f"All heads of {layers}"
    heads = [f"{layer.name}.{head}" for layer in called for head in layer.heads or ()]
    return f"Head {heads[0]}" if len(heads) == 1 else f"Heads {_listed(heads)}"


def entry_of(effect: Effect, stack: str, predictions: dict[str, Any], receipt: Sequence[str], text: str) -> dict:
    """Return what a page keeps of an operation: the sentence, what was chosen, the receipt, and which maps it is about.

    Args:
        effect: What the operation did.
        stack: Which stack of layers the page shows.
        predictions: As `serve_screen.predictions_of` makes them.
        receipt: In sentences.
        text: What was read.
    """
    called = [layer for layer in effect.receipt.layers if layer.calls]
    shown = [layer for layer in effect.before.layers if layer.stack == stack]
    heads = {layer.name: layer.heads or () for layer in called}
    operated, start = [], 0
    for layer in shown:
        operated += [start + head for head in heads.get(layer.name, ())]
        start += layer.trace.weights.shape[-3]
    return {
        "sentence": sentence_of(effect),
        "settings": [["text", text], ["operation", effect.receipt.operation], ["where", who(called)]],
        "receipt": list(receipt),
        "predictions": predictions,
        "maps": operated,
        "mark": "silenced" if "knock_out" in effect.receipt.operation.split(", ") else "operated",
    }


def _done(operation: str, is_one: bool) -> str:
    """Return what was done as a verb; of several things one after the other."""
    names = operation.split(", ")
    told = [_DONE.get(name, (f"has {name.replace(':', ' ')}", f"have {name.replace(':', ' ')}")) for name in names]
    return " and ".join(one if is_one else many for one, many in told)


def _count(called: Sequence[LayerReceipt]) -> int:
    return sum(len(layer.heads or ()) for layer in called)


def _listed(names: Sequence[str]) -> str:
    if len(names) > 6:
        return f"{', '.join(names[:5])} and {len(names) - 5} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _in_both(before: Sequence[Prediction], after: Sequence[Prediction]) -> str:
    """Return what is likeliest before and now; where it is the same, only its share twice."""
    if before and after and before[0].outcome == after[0].outcome:
        now = _percent(after[0].probability)
        return f"'{visible(before[0].outcome)}' before ({_percent(before[0].probability)}) and now ({now})"
    return f"{_likeliest(before)} before, {_likeliest(after)} now"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _likeliest(side: Sequence[Prediction]) -> str:
    return f"'{visible(side[0].outcome)}' ({_percent(side[0].probability)})" if side else "no number"


def _loss(loss: float | None) -> str:
    return "no number any more" if loss is None or loss != loss else f"{loss:.2f}"
