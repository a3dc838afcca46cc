"""Before and after: one text through a model as it is, operated on, and as it is again."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import SurgeonError, SurgeryError
from attention_surgeon.stats import HeadStatistics, head_statistics
from attention_surgeon.surgery.capture import Capture, CapturedLayer, capture
from attention_surgeon.surgery.choose import Choice
from attention_surgeon.surgery.inputs import TextLike, prepare, run_model
from attention_surgeon.surgery.operating import operate, plan_operation
from attention_surgeon.surgery.predictions import Kind, Prediction, cosine, kind_of_prediction, predict
from attention_surgeon.surgery.receipt import Receipt


@final
@dataclass(frozen=True, eq=False)
class Effect:
    """What an operation did to a model on one text.

    Attributes:
        receipt: The receipt of the operation.
        before: The model as it is.
        after: The model operated on.
        kind: What the model predicts.
        predictions: The likeliest outcomes before and after.
        cosine: Between the mean last states before and after; None where the model does not give them.
        is_restored: Whether the model gave the very same numbers after the operation as before it, bit for bit.
    """

    receipt: Receipt
    before: Capture
    after: Capture
    kind: Kind
    predictions: tuple[tuple[Prediction, ...], tuple[Prediction, ...]]
    cosine: float | None
    is_restored: bool

    @property
    def loss_change(self) -> float | None:
        """How much the loss rose, in nats; None where the model has none."""
        if self.before.loss is None or self.after.loss is None:
            return None
        return self.after.loss - self.before.loss


def before_and_after(
    model: nn.Module,
    fault: object,
    text: TextLike,
    *,
    layers: Choice = None,
    heads: Choice = None,
    tokenizer: Any = None,
    target: TextLike | None = None,
    most: int = 5,
) -> Effect:
    """Run one text through a model, operate, run it again, undo, and run it a third time.

    Args:
        model: As for `operate`.
        fault: As for `operate`.
        text: As for `capture`.
        layers: Which layers are operated on; all are captured.
        heads: As for `operate`.
        tokenizer: As for `capture`.
        target: As for `capture`.
        most: How many predictions.

    Raises:
        SurgeryError: as `operate`; also if the model is not as it was after the operation.
        ArgumentTypeError, OptionError, ShapeError: as `operate` and `capture`.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> effect = before_and_after(model, "uniform", [3, 1, 4, 1, 5], layers=0, heads=1)
    >>> effect.receipt.changed, effect.is_restored, effect.kind
    (True, True, 'next token')
    """
    plan_operation(model, fault, layers, heads)  # so that a wrong place is told before a long text is run
    given = {"tokenizer": tokenizer, "target": target}
    before = capture(model, text, **given)
    with operate(model, fault, layers=layers, heads=heads) as receipt:
        after = capture(model, text, **given)
    again = run_model(model, prepare(model, text, tokenizer, target))
    if not (_same(before.logits, again.logits) and _same(before.states, again.states)):
        raise SurgeryError(
            "the model is not as it was before the operation; this is a mistake of ours, please report it."
        )
    return Effect(
        receipt=receipt,
        before=before,
        after=after,
        kind=kind_of_prediction(model, before, tokenizer),
        predictions=(predict(model, before, tokenizer, most=most), predict(model, after, tokenizer, most=most)),
        cosine=cosine(before, after),
        is_restored=True,
    )


def layer_statistics(layer: CapturedLayer) -> HeadStatistics | None:
    """Return the statistics of each head of a captured layer; None where its rows are no weights any more.

    What counts as visible is what its own, possibly operated, mask left visible. Of a layer with sinks they are those
    of what the keys share among themselves.
    """
    trace, weights = layer.trace, layer.trace.weights
    if layer.has_sinks:
        shared = weights.sum(-1, keepdim=True)
        weights = weights / shared.masked_fill(shared == 0, 1.0)
    try:
        return head_statistics(weights, trace.masked != float("-inf"), tokens=trace.key_tokens)
    except SurgeonError:
        return None


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one.nan_to_num(), other.nan_to_num())
