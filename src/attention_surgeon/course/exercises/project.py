"""Project 4: predicting the next token, the k best keys, and dropout of weights."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon.course.exercises.explained import ExplainedError
from attention_surgeon.course.exercises.function_check import FunctionCheck, answer_of, as_numbers, known, known_fault
from attention_surgeon.ops import attention, topk_attention
from attention_surgeon.testing.draw import generator, numbers
from attention_surgeon.testing.steadiness import random_state_kept

_NUM_DRAWS = 40


def check_next_token_loss(function: Callable[..., Any]) -> None:
    """Judge `next_token_loss(logits, tokens)`, `(batch, n, vocabulary)` and `(batch, n)` to one number in nats.

    Raises:
        ExplainedError: it is the loss of something else than the next token.
    """
    __tracebackhide__ = True
    NEXT_TOKEN_LOSS(function)


def check_topk(function: Callable[..., Any]) -> None:
    """Judge `topk_attention(Q, K, V, k) -> (output, weights)`.

    Raises:
        ExplainedError: others than the k best keys get weight, or the rows do not sum to 1.
    """
    __tracebackhide__ = True
    TOP_K(function)


def check_attention_dropout(function: Callable[..., Any]) -> None:
    """Judge `attention_dropout(weights, p, training)`.

    Raises:
        ExplainedError: it does not drop with probability p, or does not make up for it.
    """
    __tracebackhide__ = True
    weights = _any_weights()
    with random_state_kept():
        torch.manual_seed(0)
        untouched = as_numbers(answer_of(function, (weights, 0.5, False))["value"])
        if untouched is not None and (untouched == 0).any():
            raise _dropout_error(
                "dropout_in_eval", "Weights are dropped when training is False.", "When should chance play a part?",
                "Return the weights as they are unless `training` is true.", "if not training: return weights",
            )  # fmt: skip
        UNTOUCHED(function)
        draws = [as_numbers(answer_of(function, (weights, 0.25, True))["value"]) for _ in range(_NUM_DRAWS)]
    if any(draw is None or draw.shape != tuple(weights.shape) for draw in draws):
        raise _dropout_error("other_shape", "The result is not as large as the weights.", "", "")
    _check_draws(torch.stack([torch.as_tensor(draw) for draw in draws]), weights.double(), 0.25)


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def _next_token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    return _loss(logits[:, :-1], tokens[:, 1:])


def _loss_probe(seed: int, batch: int, n: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    source = generator(seed)
    return 2 * numbers(source, batch, n, vocabulary).float(), torch.randint(vocabulary, (batch, n), generator=source)


NEXT_TOKEN_LOSS = FunctionCheck(
    right=_next_token_loss,
    probes=[_loss_probe(1, 2, 7, 5), _loss_probe(2, 3, 5, 11)],
    names=("loss",),
    mistakes=[
        known(
            "not_shifted", _loss, "Each position is asked for its own token, which it has just been given.",
            "What does position 3 see, and what should it foretell?",
            "Position i foretells token i + 1: leave out the last prediction and the first token.",
            "cross_entropy(logits[:, :-1], tokens[:, 1:])",
        ),
        known(
            "shifted_backwards", lambda logits, tokens: _loss(logits[:, 1:], tokens[:, :-1]),
            "Each position is asked for the token before it.", "Which of the two runs ahead, prediction or target?",
            "Swap the two slices.", "cross_entropy(logits[:, :-1], tokens[:, 1:])",
        ),
        known_fault(
            "softmax_twice", lambda logits, tokens: _next_token_loss(torch.softmax(logits, -1), tokens),
            "A softmax stands before a loss that has one of its own.",
        ),
        known(
            "summed", lambda logits, tokens: _next_token_loss(logits, tokens) * tokens[:, 1:].numel(),
            "You add up over the tokens.", "Is a text of twice the length foretold twice as badly?",
            "Take the mean.", 'F.cross_entropy(..., reduction="mean")',
        ),
    ],
)  # fmt: skip


def _scores(Q: Tensor, K: Tensor) -> Tensor:
    return Q @ K.mT / math.sqrt(Q.shape[-1])


def _keep(scores: Tensor, k: int, dim: int = -1, largest: bool = True) -> Tensor:
    best = scores.topk(k, dim=dim, largest=largest).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(dim, best, True)


def _with(weights: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
    return weights @ V, weights


def _of_all(Q: Tensor, K: Tensor, V: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return attention(Q, K, V)


def _renormalise_not(Q: Tensor, K: Tensor, V: Tensor, k: int) -> tuple[Tensor, Tensor]:
    scores = _scores(Q, K)
    return _with(torch.softmax(scores, -1) * _keep(scores, k), V)


def _fill_zero(Q: Tensor, K: Tensor, V: Tensor, k: int) -> tuple[Tensor, Tensor]:
    scores = _scores(Q, K)
    return _with(torch.softmax(scores.masked_fill(~_keep(scores, k), 0.0), -1), V)


def _hidden(Q: Tensor, K: Tensor, V: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    return _with(torch.softmax(_scores(Q, K).masked_fill(~kept, float("-inf")), -1), V)


def _best_queries(Q: Tensor, K: Tensor, V: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return tuple(x.nan_to_num() for x in _hidden(Q, K, V, _keep(_scores(Q, K), k, dim=-2)))  # pyright: ignore[reportReturnType]


def _qkv(seed: int, batch: int, n_q: int, n_k: int, d_k: int, d_v: int) -> tuple[Tensor, Tensor, Tensor]:
    source = generator(seed)
    shapes = ((n_q, d_k), (n_k, d_k), (n_k, d_v))
    query, key, value = (numbers(source, batch, *shape).float() for shape in shapes)
    return query, key, value


TOP_K = FunctionCheck(
    right=topk_attention,
    probes=[(*_qkv(1, 2, 5, 7, 3, 4), 3), (*_qkv(2, 3, 4, 11, 5, 2), 2), (*_qkv(3, 1, 3, 5, 2, 7), 1)],
    names=("output", "weights"),
    mistakes=[
        known(
            "rows_not_renormalised", _renormalise_not, "Your rows no longer sum to 1.",
            "You took keys away after the softmax. Who gets their weight?",
            "Hide the other keys before the softmax, as a mask does.",
            'scores.masked_fill(~kept, float("-inf"))',
        ),
        known(
            "hidden_with_zero", _fill_zero, "Keys outside the best k still get weight.", "What is e to the power of 0?",
            "Fill with -inf, not with 0.", 'scores.masked_fill(~kept, float("-inf"))',
        ),
        known(
            "worst_kept", lambda Q, K, V, k: _hidden(Q, K, V, _keep(_scores(Q, K), k, largest=False)),
            "You keep the k worst keys.", "In which direction do you sort?", "Take the largest scores.",
            "scores.topk(k, dim=-1)",
        ),
        known(
            "best_queries_kept", _best_queries, "Each key keeps its k best queries; it should be the other way round.",
            "Who chooses, the row or the column?", "Look for the k best along the last axis.",
            "scores.topk(k, dim=-1)",
        ),
        known("k_ignored", _of_all, "All keys get weight; k changes nothing.", "Where does k appear in your code?",
                "Hide every key that is not among the k best.", "scores.topk(k, dim=-1)"),
        known_fault(
            "scale_missing", lambda Q, K, V, k: topk_attention(Q, K, V, k, scale=False),
            "The scores are not scaled.",
        ),
    ],
)  # fmt: skip


def _any_weights() -> Tensor:
    return torch.softmax(numbers(generator(3), 2, 5, 7).float(), dim=-1)


UNTOUCHED = FunctionCheck(
    right=lambda weights, p, training: weights,
    probes=[(_any_weights(), 0.5, False), (_any_weights(), 0.0, True)],
    names=("weights",),
    mistakes=[
        known(
            "scaled_in_eval", lambda weights, p, training: weights * (1 - p),
            "Outside training you make weights smaller.",
            "If training already divides by 1 - p, what is left to do here?", "Return the weights as they are.",
            "if not training: return weights",
        ),
    ],
)  # fmt: skip


def _check_draws(draws: Tensor, weights: Tensor, p: float) -> None:
    """Compare many draws with what dropping with probability p, and making up for it, gives."""
    if bool((draws == draws[0]).all()):
        raise _dropout_error(
            "nothing_dropped", "In training nothing changes from call to call.", "Where is chance in your code?",
            "Draw one random number for every weight.", "kept = torch.rand_like(weights) >= p",
        )  # fmt: skip
    is_zero = draws == 0
    share = float(is_zero.double().mean())
    if abs(share - (1 - p)) < 0.05:
        raise _dropout_error(
            "p_kept", f"You drop {share:.0%} of the weights; p is {p:.0%}.", "Is p the part that goes or that stays?",
            "Keep where the random number is at least p.", "kept = torch.rand_like(weights) >= p",
        )  # fmt: skip
    if abs(share - p) > 0.05:
        raise _dropout_error(
            "another_share", f"You drop {share:.0%} of the weights; p is {p:.0%}.",
            "How often is a random number below p?",
            "Compare one uniform random number for each weight with p.", "kept = torch.rand_like(weights) >= p",
        )  # fmt: skip
    if bool((is_zero.all(-1) | ~is_zero.any(-1)).all()):
        raise _dropout_error(
            "rows_dropped", "Whole rows are dropped.", "One query loses everything: is that what was asked for?",
            "Draw one random number for every weight, not for every row.", "torch.rand_like(weights)",
        )  # fmt: skip
    kept = draws[~is_zero] / weights.expand_as(draws)[~is_zero]
    if torch.allclose(kept, torch.ones_like(kept), atol=1e-4):
        raise _dropout_error(
            "dropout_not_rescaled", "What is kept is as large as before, so rows sum to less than 1 in the mean.",
            f"Dropping with p = {p}: what is the mean of a row's sum over many draws?", "Divide what is kept by 1 - p.",
            "return weights * kept / (1 - p)",
        )  # fmt: skip
    if torch.allclose(draws.sum(-1), torch.ones_like(draws.sum(-1)), atol=1e-4):
        raise _dropout_error(
            "rows_renormalised", "You make every row sum to 1 again.",
            "Which sum should be 1: that of every draw, or that of the mean of all draws?",
            "Divide by 1 - p, the same number everywhere.", "return weights * kept / (1 - p)",
        )  # fmt: skip
    if not torch.allclose(kept, torch.full_like(kept, 1 / (1 - p)), atol=1e-3):
        raise _dropout_error(
            None, f"What is kept is multiplied by {float(kept.mean()):.3g}, expected {1 / (1 - p):.3g}.",
            "What keeps the mean of a weight as it was?", "Divide what is kept by 1 - p.",
            "return weights * kept / (1 - p)",
        )  # fmt: skip


def _dropout_error(name: str | None, symptom: str, question: str, pointer: str, fix: str = "") -> ExplainedError:
    return ExplainedError(name, symptom, question=question, pointer=pointer, fix=fix, step="weights")
