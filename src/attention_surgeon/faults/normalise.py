"""Normalise: what is put in the place of the softmax."""

import math

import torch
from torch import Tensor

from attention_surgeon.faults.families import NORMALISED
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Operands, softmax, softmax_over_keys
from attention_surgeon.ops.steps import Step
from attention_surgeon.verdict import Mistake, Sighting


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
    Fault(
        Mistake(
            name="softmax_missing",
            stage="normalise",
            summary="The scores serve as weights; there is no softmax.",
            symptom="Weights are negative, above 1, and sum to anything; hidden ones are -inf.",
            question="Can a weight be negative?",
            pointer="Look between scores and values: nothing turns the scores into shares of 1.",
            fix="weights = torch.softmax(scores, dim=-1)",
        ),
        families=NORMALISED,
        in_training=(
            "With a mask of -inf it is NaN at once. Without, it learns, and the output grows with the length of "
            "the sequence."
        ),
        operate=_replace_by(take_scores),
    ),
    Fault(
        Mistake(
            name="exp_not_normalised",
            stage="normalise",
            summary="The exponentials of the scores serve as weights; nothing divides them by their sum.",
            symptom="Weights are positive and hidden ones 0, a score of 0 has weight 1, and a row sums to anything.",
            question="What does one row of your weights sum to?",
            pointer="Look after the exponential: the division by the sum of the row is missing.",
            fix="weights = exponentials / exponentials.sum(dim=-1, keepdim=True)",
        ),
        families=NORMALISED,
        in_training="Learns worse: the output grows with the length of the sequence and with every score.",
        operate=_replace_by(_exponential),
    ),
    Fault(
        Mistake(
            name="softmax_no_max_subtraction",
            stage="normalise",
            summary="The exponentials are taken without subtracting the maximum of the row first.",
            symptom="Right for small scores; NaN for large ones, and for rows that hold only -inf.",
            question="What is exp(1000) in float32?",
            pointer="Look at the exponential: subtract each row's largest score first; it cancels in the fraction.",
            fix="exponentials = torch.exp(scores - scores.amax(dim=-1, keepdim=True))",
            sightings=(
                Sighting("pytorch/executorch", 18407, "pull"),
                Sighting("intel/xFasterTransformer", 326, "pull"),
                Sighting("pyg-team/pytorch_geometric", 53),
            ),
        ),
        families=NORMALISED,
        in_training=(
            "Nothing, until one score passes 88 (float32) or 11 (float16): then inf / inf, and everything is NaN."
        ),
        operate=_replace_by(_exponential_by_sum),
    ),
    Fault(
        Mistake(
            name="global_max_subtracted",
            stage="normalise",
            summary="One maximum of the whole tensor is subtracted, not that of each row.",
            symptom="Right as long as all rows are of like size; a row far below the largest score is NaN.",
            question="One row of scores near 1000, one near 0: what is left of the second after you subtract?",
            pointer="Look at the maximum that is subtracted: it is taken over everything, and should be taken per row.",
            fix="exponentials = torch.exp(scores - scores.amax(dim=-1, keepdim=True))",
        ),
        families=NORMALISED,
        in_training="Nothing, until one row lies some 100 below another one (float32): then 0 / 0, and it is NaN.",
        operate=_replace_by(_exponential_below_global_max),
    ),
    Fault(
        Mistake(
            name="softmax_twice",
            stage="normalise",
            summary="The weights go through the softmax a second time.",
            symptom="Rows sum to 1, no weight is more than e times another one, and hidden keys have weight.",
            question="What does the softmax make of a weight that is 0?",
            pointer="Look for a second softmax: one in your code and one in a function you call, perhaps.",
            fix="weights = torch.softmax(scores, dim=-1)  # once",
        ),
        families=NORMALISED,
        in_training=(
            "The future is seen, as hidden keys get weight again; and the weights are so even that little can be "
            "selected."
        ),
        operate=_normalise_again,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="softmax_plus_one",
            stage="normalise",
            summary="1 is added to the denominator, as if there were one more key, with score 0 and no value.",
            symptom="Rows sum to less than 1, the less the smaller their scores; their order and ratios are right.",
            question="Subtract 10 from every score of a row: may its weights change?",
            pointer="Look at the denominator: there is something in it besides the exponentials of the row.",
            fix="weights = exponentials / exponentials.sum(dim=-1, keepdim=True)",
        ),
        families=NORMALISED,
        in_training="Learns about as well; some models do it on purpose. Trained weights of others do not carry over.",
        operate=_replace_by(_softmax_with_a_silent_key),
    ),
    Fault(
        Mistake(
            name="softmax_base_two",
            stage="normalise",
            summary="Powers of two stand where exponentials should: 2^s instead of e^s.",
            symptom="The weights are a little too even: log(w_i / w_j) is 0.693 times what it should be.",
            question="Two scores that differ by 1: by which factor should their weights differ?",
            pointer="Look at the base of the power: exp2 needs its scores multiplied by log2(e) first.",
            fix="exponentials = torch.exp(scores)  # or torch.exp2(scores * math.log2(math.e))",
        ),
        families=NORMALISED,
        in_training=(
            "Learns about as well: it is the softmax with a scale of log 2. Trained weights of others do not "
            "carry over."
        ),
        operate=_replace_by(_softmax_base_two),
    ),
    Fault(
        Mistake(
            name="log_softmax_used",
            stage="normalise",
            summary="The logarithms of the weights serve as weights: log_softmax was called.",
            symptom="No weight is above 0; the exponentials of a row sum to 1.",
            question="Can a weight be negative, and can all of them be?",
            pointer="Look at the name of the function that normalises: one of the two belongs to the loss.",
            fix="weights = torch.softmax(scores, dim=-1)",
        ),
        families=NORMALISED,
        in_training=(
            "With a mask of -inf it is NaN at once. Without, it learns worse: the keys that fit worst count most, "
            "with a minus sign."
        ),
        operate=_replace_by(_log_softmax),
    ),
    Fault(
        Mistake(
            name="sigmoid_used",
            stage="normalise",
            summary="Each weight is the sigmoid of its own score; the keys do not share 1 among them.",
            symptom="A score of 0 has weight 0.5, and a row of n keys with small scores sums to about n / 2.",
            question="If one key gets more weight, does another one get less?",
            pointer="Look at what makes weights of scores: each one is judged alone, without the others of its row.",
            fix="weights = torch.softmax(scores, dim=-1)",
        ),
        families=NORMALISED,
        in_training="Learns worse; the longer the sequence, the larger the output.",
        operate=_replace_by(_sigmoid),
    ),
    Fault(
        Mistake(
            name="scores_divided_by_sum",
            stage="normalise",
            summary="The scores are divided by their sum; the exponential is missing.",
            symptom="Rows sum to 1, and yet some weights are negative or above 1.",
            question="Your rows sum to 1: is every single weight between 0 and 1?",
            pointer="Look at what is divided by the sum: the scores themselves, not their exponentials.",
            fix="weights = torch.exp(scores) / torch.exp(scores).sum(dim=-1, keepdim=True)",
        ),
        families=NORMALISED,
        in_training=(
            "With a mask of -inf it is NaN at once. Without, a sum near 0 makes huge weights, and hardly anything "
            "is learned."
        ),
        operate=_replace_by(_divide_by_sum),
    ),
    Fault(
        Mistake(
            name="hard_max",
            stage="normalise",
            summary="The largest score gets all the weight: argmax instead of softmax.",
            symptom="Every row is one 1 among zeros.",
            question="Two scores, 1.0 and 1.1: should the smaller one get nothing at all?",
            pointer=(
                "Look at what makes weights of scores: it picks one key, and gradients cannot pass through a choice."
            ),
            fix="weights = torch.softmax(scores, dim=-1)",
        ),
        families=NORMALISED,
        in_training="Queries and keys get no gradient, so what is attended to never improves.",
        operate=_replace_by(_one_hot),
    ),
    Fault(
        Mistake(
            name="l2_normalised",
            stage="normalise",
            summary="The scores are divided by the length of their row: its squares sum to 1, not its entries.",
            symptom="The squares of a row sum to 1; some weights are negative.",
            question="What sums to 1 in a row of yours: the weights, or their squares?",
            pointer="Look at what makes weights of scores: F.normalize makes unit vectors, not shares.",
            fix="weights = torch.softmax(scores, dim=-1)",
        ),
        families=NORMALISED,
        in_training="With a mask of -inf it is NaN at once. Without, it learns, with weights of both signs.",
        operate=_replace_by(_divide_by_length),
    ),
    Fault(
        Mistake(
            name="weights_divided_by_num_keys",
            stage="normalise",
            summary="The weights are divided by the number of keys after the softmax, as for a mean.",
            symptom="Every row sums to 1/n_k; times n_k all is right.",
            question="What does one row of your weights sum to, and why that number?",
            pointer="Look after the softmax: its rows sum to 1 already, and no mean is to be taken.",
            fix="weights = torch.softmax(scores, dim=-1)",
        ),
        families=NORMALISED,
        in_training="Learns more slowly: what attention adds is n_k times too small, and changes size with the length.",
        operate=_divide_by_num_keys,
        wraps=True,
    ),
)
