"""Normalise: what is put in the place of the softmax."""

import math

import torch
from torch import Tensor

from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import NORMALISED
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Operands, softmax, softmax_over_keys
from attention_surgeon.ops.steps import Step


def take_scores(masked: Tensor, operands: Operands) -> Tensor:
    """Let the scores serve as weights."""
    return masked


def _exponential(masked: Tensor, operands: Operands) -> Tensor:
    return torch.exp(masked)


def _exponential_by_sum(masked: Tensor, operands: Operands) -> Tensor:
    exponentials = torch.exp(masked)
    return exponentials / exponentials.sum(-1, keepdim=True)


def _exponential_below_global_max(masked: Tensor, operands: Operands) -> Tensor:
    exponentials = torch.exp(masked - masked.max())
    return exponentials / exponentials.sum(-1, keepdim=True)


def _softmax_with_a_silent_key(masked: Tensor, operands: Operands) -> Tensor:
    silent = masked.new_zeros(*masked.shape[:-1], 1)  # exp(0) = 1
    return softmax(torch.cat([masked, silent], dim=-1))[..., :-1]


def _softmax_base_two(masked: Tensor, operands: Operands) -> Tensor:
    return softmax(masked * math.log(2))


def _log_softmax(masked: Tensor, operands: Operands) -> Tensor:
    return torch.log_softmax(masked, dim=-1)


def _sigmoid(masked: Tensor, operands: Operands) -> Tensor:
    return torch.sigmoid(masked)


def _divide_by_sum(masked: Tensor, operands: Operands) -> Tensor:
    return masked / masked.sum(-1, keepdim=True)


def _divide_by_length(masked: Tensor, operands: Operands) -> Tensor:
    return masked / masked.norm(dim=-1, keepdim=True)


def _one_hot(masked: Tensor, operands: Operands) -> Tensor:
    return torch.zeros_like(masked).scatter(-1, masked.argmax(-1, keepdim=True), 1.0)


def _replace_by(normalise: Step) -> Operation:
    return lambda circuit: circuit.replace(normalise=normalise)


def _normalise_again(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise

    def softmax_again(masked: Tensor, operands: Operands) -> Tensor:
        return softmax_over_keys(usual(masked, operands), operands)

    return circuit.replace(normalise=softmax_again)


def _divide_by_num_keys(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise

    def divide_by_num_keys(masked: Tensor, operands: Operands) -> Tensor:
        return usual(masked, operands) / masked.shape[-1]

    return circuit.replace(normalise=divide_by_num_keys)


FAULTS: tuple[Fault, ...] = (
    draft("softmax_missing", "normalise", NORMALISED, "The scores serve as weights.", _replace_by(take_scores)),
    draft(
        "exp_not_normalised",
        "normalise",
        NORMALISED,
        "The exponentials are not divided by their sum.",
        _replace_by(_exponential),
    ),
    draft(
        "softmax_no_max_subtraction",
        "normalise",
        NORMALISED,
        "The maximum is not subtracted.",
        _replace_by(_exponential_by_sum),
    ),
    draft(
        "global_max_subtracted",
        "normalise",
        NORMALISED,
        "One maximum is subtracted from all rows.",
        _replace_by(_exponential_below_global_max),
    ),
    draft(
        "softmax_twice",
        "normalise",
        NORMALISED,
        "The weights go through the softmax again.",
        _normalise_again,
        wraps=True,
    ),
    draft(
        "softmax_plus_one",
        "normalise",
        NORMALISED,
        "1 is added to the denominator.",
        _replace_by(_softmax_with_a_silent_key),
    ),
    draft(
        "softmax_base_two",
        "normalise",
        NORMALISED,
        "Powers of two stand for exponentials.",
        _replace_by(_softmax_base_two),
    ),
    draft(
        "log_softmax_used",
        "normalise",
        NORMALISED,
        "The logarithms of the weights serve as weights.",
        _replace_by(_log_softmax),
    ),
    draft("sigmoid_used", "normalise", NORMALISED, "Each weight is the sigmoid of its score.", _replace_by(_sigmoid)),
    draft(
        "scores_divided_by_sum",
        "normalise",
        NORMALISED,
        "The scores are divided by their sum, without an exponential.",
        _replace_by(_divide_by_sum),
    ),
    draft("hard_max", "normalise", NORMALISED, "The largest score gets all the weight.", _replace_by(_one_hot)),
    draft(
        "l2_normalised",
        "normalise",
        NORMALISED,
        "The scores are divided by their length.",
        _replace_by(_divide_by_length),
    ),
    draft(
        "weights_divided_by_num_keys",
        "normalise",
        NORMALISED,
        "The weights are divided by the number of keys.",
        _divide_by_num_keys,
        wraps=True,
    ),
)
