"""Normalise: the axis along which the weights add up."""

import torch
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults.families import FIVE_STEPS, NORMALISED
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.faults.mask import add_bias, zero_hidden
from attention_surgeon.ops import Circuit, Operands, softmax
from attention_surgeon.verdict import Mistake, Sighting


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
    Fault(
        Mistake(
            name="softmax_over_queries",
            stage="normalise",
            summary="The softmax runs over the queries: columns sum to 1, rows do not.",
            symptom="Your rows do not sum to 1; your columns do.",
            question="Along which axis should one query's choices add up?",
            pointer="Look at the axis of the softmax: it must be that of the keys, the last one.",
            fix="weights = torch.softmax(scores, dim=-1)",
            sightings=(Sighting("labmlai/annotated_deep_learning_paper_implementations", 146),),
        ),
        families=NORMALISED,
        in_training=(
            "A causal model sees the future: each weight depends on the queries that come later. The loss falls "
            "far below what is possible."
        ),
        operate=_softmax_over(-2, "queries", 2),
    ),
    Fault(
        Mistake(
            name="softmax_over_heads",
            stage="normalise",
            summary="The softmax runs over the heads: for each query and key the heads share one weight.",
            symptom="Your rows do not sum to 1; summed over the heads, every entry that may be seen is 1.",
            question="Add up your weights over the heads, then over the keys: which gives 1?",
            pointer="Look at the axis of the softmax: with heads, axis 1 is theirs; the keys are the last one.",
            fix="weights = torch.softmax(scores, dim=-1)  # (batch, heads, n_q, n_k)",
        ),
        families=FIVE_STEPS,
        in_training="Learns worse: a key that one head likes is taken from the others, and a row may sum to anything.",
        operate=_softmax_over(-3, "heads", 4),
    ),
    Fault(
        Mistake(
            name="softmax_over_batch",
            stage="normalise",
            summary="The softmax runs over the first axis, that of the sequences.",
            symptom="Your rows do not sum to 1; summed over the batch, every entry that may be seen is 1.",
            question="Take one sequence out of the batch: should the weights of the others change?",
            pointer="Look at the axis of the softmax: axis 0 is the batch; the keys are the last one.",
            fix="weights = torch.softmax(scores, dim=-1)",
            sightings=(
                Sighting("PetrochukM/PyTorch-NLP", 2),
                Sighting("jadore801120/attention-is-all-you-need-pytorch", 52),
            ),
        ),
        families=NORMALISED,
        in_training=(
            "Learns worse, and a sequence gets another answer in other company. In a batch of one every weight is 1."
        ),
        operate=_softmax_over(0, "sequences", 3),
    ),
    Fault(
        Mistake(
            name="softmax_over_everything",
            stage="normalise",
            summary="All weights of all rows and sequences together sum to 1: the sum has no axis.",
            symptom="The whole tensor sums to 1; a row sums to much less.",
            question="What do all your weights together sum to?",
            pointer=(
                "Look at the sum in the denominator: it runs over everything, and should run over the keys of one row."
            ),
            fix="weights = exponentials / exponentials.sum(dim=-1, keepdim=True)",
        ),
        families=NORMALISED,
        in_training="Learns hardly anything from attention: the weights, and with them the outputs, are close to 0.",
        operate=_softmax_over_everything,
    ),
    Fault(
        Mistake(
            name="sum_without_keepdim",
            stage="normalise",
            summary="The sums of the rows lost their axis, so that column j is divided by the sum of row j.",
            symptom="With n_q != n_k it raises. Otherwise the diagonal is right and everything else is not.",
            question="What shape have your row sums, and along which axis are they spread over the matrix?",
            pointer="Look at the division: the sums need a last axis of size 1, or they are lined up with the columns.",
            fix="weights = exponentials / exponentials.sum(dim=-1, keepdim=True)",
        ),
        families=NORMALISED,
        in_training="With a batch axis or n_q != n_k it raises; where it runs, rows sum to anything.",
        operate=_divide_columns_by_row_sums,
    ),
    Fault(
        Mistake(
            name="renormalised_over_queries",
            stage="normalise",
            summary="The mask comes after the softmax, and the weights are then divided by the sums of the columns.",
            symptom="Hidden weights are 0; your columns sum to 1, your rows do not.",
            question="You divide so that something sums to 1 again: is it what one query gives, or what one key gets?",
            pointer="Look at the sum you divide by after the mask: it is that of a column.",
            fix="weights = weights / weights.sum(dim=-1, keepdim=True)",
        ),
        families=FIVE_STEPS,
        in_training=(
            "A causal model sees the future: each weight depends on the queries that come later. A key hidden "
            "from all gives NaN."
        ),
        operate=_renormalise_columns,
        wraps=True,
    ),
)
