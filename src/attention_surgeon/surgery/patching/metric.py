"""What a patch is judged by: one number from the logits of a run, written as text or as a function.

    logit( mat) - logit( dog)          the difference of two logits at the last position
    logprob( mat)                      its log-probability;  prob( mat) the probability
    logit(17) - logit(4)               ids, for a model without a tokenizer; labels, for a classifier

What stands between the brackets is the token as the tokenizer writes it, a leading space included.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import ArgumentTypeError, OptionError, SurgeryError
from attention_surgeon.require import kind_of
from attention_surgeon.surgery.inputs import TextLike, call_model, prepare, token_names

MetricLike: TypeAlias = str | Callable[..., Any]
"""A text as above, or a function of the logits `(n, vocabulary)`, or of the states of a model that has none."""

_TERM = re.compile(r"\s*([+-]?)\s*(logit|logprob|prob)\((.+?)\)(?=\s*(?:[+-]\s*(?:logit|logprob|prob)\(|$))", re.DOTALL)
_EXPECTED = "such as 'logit( mat) - logit( dog)', 'logprob( mat)' or 'prob( mat)'"


@final
@dataclass(frozen=True, eq=False)
class Metric:
    """One number from the logits of a run.

    Attributes:
        name: The text, or the function's name.
        measure: From logits `(n, vocabulary)`, `(labels,)` for a classifier, to one number, with its gradient.
        directions: For a sum of logits alone: token and its factor, by which the stream is read; empty: none.
        place: Position at which the logits are read, for those.
        takes_states: Whether a model without logits may be measured by its last states; a function may do so.
    """

    name: str
    measure: Callable[[Tensor], Tensor]
    directions: tuple[tuple[int, float], ...] = ()
    place: int = -1
    takes_states: bool = False

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the number for one run.

        Raises:
            SurgeryError: the function does not give one number.
        """
        found = torch.as_tensor(self.measure(logits))
        if found.numel() != 1:
            raise SurgeryError(
                f"metric: {self.name} gives {tuple(found.shape)} for logits {tuple(logits.shape)}, expected one number."
            )
        return found.reshape(())


def read_metric(metric: MetricLike, tokenizer: Any = None, tokens: Sequence[str] = ()) -> Metric:
    """Return the metric that is meant.

    Args:
        metric: A text or a function.
        tokenizer: Finds the tokens that a text names; None: they are numbers.
        tokens: Of the text; where one of them is the tokenizer's mask token, the logits are read there.

    Raises:
        ArgumentTypeError, OptionError: neither; a text that is no sum of terms; a word that is not one token.

    >>> import torch
    >>> float(read_metric("logit(1) - logit(0)")(torch.tensor([[9.0, 9.0], [2.0, 5.0]])))
    3.0
    """
    if isinstance(metric, Metric):
        return metric
    if callable(metric):
        return Metric(getattr(metric, "__name__", repr(metric)), metric, takes_states=True)
    if not isinstance(metric, str):
        raise ArgumentTypeError(
            f"metric is {kind_of(metric)}, expected a function of the logits or a text {_EXPECTED}."
        )
    terms = _read_terms(metric, tokenizer)
    mask = getattr(tokenizer, "mask_token", None)
    place = tokens.index(mask) if mask is not None and mask in tokens else -1
    linear = all(kind == "logit" for _, kind, _ in terms)
    directions = tuple((token, sign) for sign, _, token in terms) if linear else ()
    return Metric(metric.strip(), _measuring(metric, terms, place), directions, place)


@torch.no_grad()
def usual_metric(model: nn.Module, clean: TextLike, corrupt: TextLike | None = None, tokenizer: Any = None) -> Metric:
    """Return the logit of what the model expects after the clean text minus that of what it expects after the other.

    Where both are the same it is the log-probability of that one; without another text its logit.

    Raises:
        SurgeryError: the model gives no logits.
        ArgumentTypeError, OptionError, ShapeError: as `prepare`.
    """
    best, place = [], -1
    for text in (clean,) if corrupt is None else (clean, corrupt):
        given = prepare(model, text, tokenizer)
        logits, _ = call_model(model, given.arguments)
        if logits is None:
            raise SurgeryError(_no_logits(model))
        mask = getattr(tokenizer, "mask_token", None)
        place = given.target_tokens.index(mask) if mask is not None and mask in given.target_tokens else -1
        best.append(int((logits[0] if logits.ndim == 2 else logits[0, place]).argmax()))
    names = token_names(torch.tensor(best), tokenizer)
    kinds, name = [(1.0, "logit", best[0])], f"logit({names[0]})"
    if best[0] != best[-1]:
        kinds, name = [*kinds, (-1.0, "logit", best[1])], f"{name} - logit({names[1]})"
    elif corrupt is not None:
        kinds, name = [(1.0, "logprob", best[0])], f"logprob({names[0]})"
    directions = tuple((token, sign) for sign, kind, token in kinds if kind == "logit")
    return Metric(name, _measuring(name, kinds, place), directions, place)


def metrics_of(model: nn.Module, arguments: Any, metric: Metric) -> tuple[Tensor, Tensor]:
    """Run a model and return the metric of each row of the batch `(batch,)`, and the logits.

    Raises:
        SurgeryError: the model gives no logits.
    """
    logits, states = call_model(model, arguments)
    if logits is None and metric.takes_states:
        logits = states
    if logits is None:
        raise SurgeryError(_no_logits(model))
    return torch.stack([metric(row) for row in logits.float()]), logits


def _no_logits(model: nn.Module) -> str:
    return (
        f"{type(model).__name__} gives no logits, so nothing can be measured by them; "
        f"load the class with a head (…ForCausalLM, …ForMaskedLM)."
    )


def _read_terms(text: str, tokenizer: Any) -> list[tuple[float, str, int]]:
    terms, end = [], 0
    for match in _TERM.finditer(text):
        if text[end : match.start()].strip() or (end and not match[1]):
            break
        terms.append((-1.0 if match[1] == "-" else 1.0, match[2], _token_id(match[3], tokenizer)))
        end = match.end()
    if not terms or text[end:].strip():
        raise OptionError(f"metric is {text!r}, expected terms joined by + and -, {_EXPECTED}.")
    return terms


def _token_id(word: str, tokenizer: Any) -> int:
    if tokenizer is None:
        if not word.strip().isdigit():
            raise OptionError(f"metric: {word!r} needs a tokenizer; without one, give a number: logit(17).")
        return int(word)
    if hasattr(tokenizer, "convert_ids_to_tokens"):
        ids = [int(one) for one in tokenizer.encode(word, add_special_tokens=False)]
    else:
        ids = [int(one) for one in tokenizer.encode(word)]
    if len(ids) != 1:
        pieces = [tokenizer.decode([one]) for one in ids]
        raise OptionError(
            f"metric: {word!r} is {len(ids)} tokens ({', '.join(map(repr, pieces))}), expected one; "
            f"a space in front makes another token."
        )
    return ids[0]


def _measuring(text: str, terms: Sequence[tuple[float, str, int]], place: int) -> Callable[[Tensor], Tensor]:
    def measure(logits: Tensor) -> Tensor:
        at = logits if logits.ndim == 1 else logits[place]
        too_large = [token for _, _, token in terms if token >= at.shape[-1]]
        if too_large:
            raise OptionError(f"metric: {text!r} names {too_large[0]}, and the model has {at.shape[-1]} outcomes.")
        by_kind = {"logit": at, "logprob": torch.log_softmax(at, -1), "prob": torch.softmax(at, -1)}
        return torch.stack([sign * by_kind[kind][token] for sign, kind, token in terms]).sum()

    return measure
