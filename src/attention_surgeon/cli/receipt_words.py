"""The receipt of an operation in words: where, what was measured, and that nothing changed."""

import math
from collections.abc import Iterator, Sequence

from attention_surgeon.cli.cells import count, shortened
from attention_surgeon.surgery import Effect, LayerReceipt

_SAME = 1e-3


def nothing_changed(effect: Effect) -> str:
    """Say that the operation did nothing on this text, and what may be the reason."""
    hidden = sum(layer.hidden for layer in effect.receipt.layers)
    about_mask = " The model hides nothing in this text that a mask could." if not hidden else ""
    return f"✗ {effect.receipt.operation} changed nothing on this text.{about_mask}"


def place_of(layers: Sequence[LayerReceipt]) -> str:
    """Say which layers and heads were operated on."""
    names = ", ".join(layer.name for layer in layers)
    heads = layers[0].heads or ()
    same = all(layer.heads == heads for layer in layers)
    told = _numbers(heads)
    if same and layers[0].others_identical is None:
        told = f"all {len(heads)} heads"
    elif not same:
        told = "all heads"
    groups = layers[0].kv_heads or ()
    shared = f" (key/value {_numbers(groups)})" if same and len(groups) < len(heads) else ""
    return f"{'layer' if len(layers) == 1 else 'layers'} {shortened(names, 40)} · {told}{shared}"


def _numbers(numbers: Sequence[int]) -> str:
    return f"head {numbers[0]}" if len(numbers) == 1 else f"heads {', '.join(str(number) for number in numbers)}"


def receipt_parts(effect: Effect, called: Sequence[LayerReceipt]) -> Iterator[tuple[str, str]]:
    """Yield what the receipt says, in words."""
    receipt = effect.receipt
    calls, runs = sum(layer.calls for layer in called), sum(layer.runs for layer in called)
    parts = [f"called {calls}/{runs}"]
    errors = [layer.row_sum_error for layer in called if layer.row_sum_error is not None]
    if errors:
        worst = max(errors)
        parts.append(f"rows sum to 1 ({_bound(worst)})" if worst < _SAME else f"rows are off 1 by up to {worst:.2g}")
    hidden, used = (sum(getattr(layer, name) for layer in called) for name in ("hidden", "hidden_used"))
    parts.append(f"{count(hidden, 'forbidden cell')}, {used} used")
    leaked, broken = (sum(getattr(layer, name) for layer in called) for name in ("leaked", "num_not_finite"))
    if leaked:
        parts.append(f"{count(leaked, 'cell')} used that the model hides")
    if broken:
        parts.append(f"{count(broken, 'output')} not finite")
    identical = [layer.others_identical for layer in called if layer.others_identical is not None]
    if identical:
        parts.append(f"untouched heads {'bit-identical' if all(identical) else 'CHANGED'}")
    if receipt.num_other_layers:
        parts.append(f"{count(receipt.num_other_layers, 'other layer')} untouched")
    if receipt.bypassing:
        parts.append(f"not reached, as what they do cannot be followed: {receipt.bypassing}")
    parts.append("undone exactly" if effect.is_restored else "NOT undone")
    yield "receipt", " · ".join(parts)
    agreement = max((layer.agreement for layer in called), default=0.0)
    size = max((layer.size for layer in called), default=0.0)
    yield "healthy", f"our attention reproduces this model's ({_bound(agreement)})"
    yield "change", f"head outputs, at most {size:.3g} in size, moved by up to {receipt.change:.3g}"


def _bound(difference: float) -> str:
    """Return the power of ten below which a difference lies: what is below is the rounding of this machine."""
    return "exactly" if difference == 0 else f"within 1e{math.ceil(math.log10(difference))}"
