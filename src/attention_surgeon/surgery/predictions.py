"""What a model expects, before and after: the next token, the token behind a mask, a class, or where a text stands."""

from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from attention_surgeon.require import require_count
from attention_surgeon.surgery.capture import Capture
from attention_surgeon.surgery.inputs import token_names, writes

Kind = Literal["next token", "masked token", "class", "nothing"]
"""What a model predicts: the token after the last, the one in the place of a mask token, a label, or nothing."""


@final
@dataclass(frozen=True)
class Prediction:
    """One outcome and how likely the model holds it.

    Attributes:
        outcome: The token or the label.
        probability: From 0 to 1.
    """

    outcome: str
    probability: float


def kind_of_prediction(model: nn.Module, captured: Capture, tokenizer: Any = None) -> Kind:
    """Return what there is to compare: an encoder has no next token, and without its mask token nothing to fill in."""
    logits = captured.logits
    if logits is None:
        return "nothing"
    if logits.ndim == 1:
        return "class"
    if writes(model):
        return "next token"
    return "masked token" if _masked_place(captured, tokenizer) is not None else "nothing"


def predict(model: nn.Module, captured: Capture, tokenizer: Any = None, *, most: int = 5) -> tuple[Prediction, ...]:
    """Return the likeliest outcomes of a captured run, the likeliest first; none where the model predicts nothing.

    Args:
        model: The model that was captured.
        captured: What it did.
        tokenizer: Gives tokens their names, and knows the mask token.
        most: How many.

    Raises:
        ArgumentTypeError, OptionError: `most` is no count.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> from attention_surgeon.surgery import capture
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> len(predict(model, capture(model, [3, 1, 4]), most=2))
    2
    """
    require_count(most, "most", "predict")
    kind, logits = kind_of_prediction(model, captured, tokenizer), captured.logits
    if kind == "nothing" or logits is None:
        return ()
    if kind == "class":
        labels = getattr(getattr(model, "config", None), "id2label", {})
        return _likeliest(logits, most, lambda ids: tuple(str(labels.get(int(one), int(one))) for one in ids))
    place = -1 if kind == "next token" else _masked_place(captured, tokenizer)
    assert place is not None
    return _likeliest(logits[place], most, lambda ids: token_names(ids, tokenizer))


def cosine(before: Capture, after: Capture) -> float | None:
    """Return the cosine between the mean last states of two runs, None where the model does not give them.

    1: the text stands where it stood. It is what can be compared in an encoder, which has no next token.
    """
    if before.states is None or after.states is None:
        return None
    one, other = before.states.double().flatten(0, -2).mean(0), after.states.double().flatten(0, -2).mean(0)
    return float(nn.functional.cosine_similarity(one, other, dim=0))


def _masked_place(captured: Capture, tokenizer: Any) -> int | None:
    mask = getattr(tokenizer, "mask_token", None)
    return captured.tokens.index(mask) if mask is not None and mask in captured.tokens else None


def _likeliest(logits: Tensor, most: int, name: Any) -> tuple[Prediction, ...]:
    probabilities = torch.softmax(logits.double(), dim=-1)
    if not torch.isfinite(probabilities).all():
        return ()
    top = probabilities.topk(min(most, len(probabilities)))
    return tuple(
        Prediction(outcome, float(probability))
        for outcome, probability in zip(name(top.indices), top.values, strict=True)
    )
