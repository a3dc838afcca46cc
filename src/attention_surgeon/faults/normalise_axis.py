"""Normalise: the axis along which the weights add up."""

import torch
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import FIVE_STEPS, NORMALISED
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.faults.mask import add_bias, zero_hidden
from attention_surgeon.ops import Circuit, Operands, softmax


def _softmax_over(dim: int, axis: str, num_axes: int) -> Operation:
    """Return the operation that normalises over another axis, where there is one."""

    def softmax_over(masked: Tensor, operands: Operands) -> Tensor:
        if masked.ndim < num_axes:
            raise ShapeError(f"the scores have shape {tuple(masked.shape)}, without an axis of {axis}.")
        return softmax(masked, dim=dim)

    return lambda circuit: circuit.replace(normalise=softmax_over)


def _softmax_over_everything(circuit: Circuit) -> Circuit:
    def over_everything(masked: Tensor, operands: Operands) -> Tensor:
        return softmax(masked.flatten()).reshape(masked.shape)

    return circuit.replace(normalise=over_everything)


def _divide_columns_by_row_sums(circuit: Circuit) -> Circuit:
    def divide_columns(masked: Tensor, operands: Operands) -> Tensor:
        if masked.shape[-2] != masked.shape[-1]:
            raise ShapeError(f"the scores have shape {tuple(masked.shape)}: row sums do not fit their columns.")
        exponentials = torch.exp(masked - masked.amax(-1, keepdim=True))
        return exponentials / exponentials.sum(-1).unsqueeze(-2)

    return circuit.replace(normalise=divide_columns)


def _renormalise_columns(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise

    def hide_and_divide(masked: Tensor, operands: Operands) -> Tensor:
        weights = zero_hidden(usual(masked, operands), operands)
        return weights / weights.sum(-2, keepdim=True)

    return circuit.replace(mask=add_bias, normalise=hide_and_divide)


FAULTS: tuple[Fault, ...] = (
    draft(
        "softmax_over_queries",
        "normalise",
        NORMALISED,
        "The softmax runs over the queries.",
        _softmax_over(-2, "queries", 2),
    ),
    draft(
        "softmax_over_heads", "normalise", FIVE_STEPS, "The softmax runs over the heads.", _softmax_over(-3, "heads", 4)
    ),
    draft(
        "softmax_over_batch",
        "normalise",
        NORMALISED,
        "The softmax runs over the batch.",
        _softmax_over(0, "sequences", 3),
    ),
    draft(
        "softmax_over_everything",
        "normalise",
        NORMALISED,
        "All weights of all sequences together sum to 1.",
        _softmax_over_everything,
    ),
    draft(
        "sum_without_keepdim",
        "normalise",
        NORMALISED,
        "Column j is divided by the sum of row j.",
        _divide_columns_by_row_sums,
    ),
    draft(
        "renormalised_over_queries",
        "normalise",
        FIVE_STEPS,
        "The mask comes after the softmax, and columns are made to sum to 1.",
        _renormalise_columns,
        wraps=True,
    ),
)
