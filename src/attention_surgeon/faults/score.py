"""Score: how a query is compared with a key."""

import torch
from torch import Tensor

from attention_surgeon.faults.families import FIVE_STEPS
from attention_surgeon.faults.fault import Fault
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.verdict import Mistake


def _leave_key_untransposed(circuit: Circuit) -> Circuit:
    def query_times_key(operands: Operands) -> Tensor:
        return operands.query @ operands.key  # (..., q, d) @ (..., k, d): runs only where d = k

    return circuit.replace(score=query_times_key)


def _reshape_key(circuit: Circuit) -> Circuit:
    def dot_reshaped(operands: Operands) -> Tensor:
        key = operands.key
        return operands.query @ key.reshape(*key.shape[:-2], key.shape[-1], key.shape[-2])

    return circuit.replace(score=dot_reshaped)


def _transpose_scores(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.score

    def transposed(operands: Operands) -> Tensor:
        return usual(operands).transpose(-2, -1)

    return circuit.replace(score=transposed)


def _negate_scores(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.score

    def negated(operands: Operands) -> Tensor:
        return -usual(operands)

    return circuit.replace(score=negated)


def _compare_directions(circuit: Circuit) -> Circuit:
    def cosine(operands: Operands) -> Tensor:
        query = torch.nn.functional.normalize(operands.query, dim=-1)
        key = torch.nn.functional.normalize(operands.key, dim=-1)
        return query @ key.transpose(-2, -1)  # (..., q, d) @ (..., d, k) -> (..., q, k)

    return circuit.replace(score=cosine)


def _compare_by_distance(circuit: Circuit) -> Circuit:
    def minus_squared_distance(operands: Operands) -> Tensor:
        apart = operands.query.unsqueeze(-2) - operands.key.unsqueeze(-3)  # (..., q, 1, d) - (..., 1, k, d)
        return -apart.square().sum(-1)  # (..., q, k, d) -> (..., q, k)

    return circuit.replace(score=minus_squared_distance)


FAULTS: tuple[Fault, ...] = (
    Fault(
        Mistake(
            name="key_not_transposed",
            stage="score",
            summary="The scores are Q K; the keys are not transposed.",
            symptom="Raises unless n_k = d_k. Then score j is not made of key j, but of number j of every key.",
            question=(
                "One score compares one query with one key. Which two vectors of the same length meet in your product?"
            ),
            pointer="Look at the product that makes the scores: the last two axes of the key must change places first.",
            fix="scores = query @ key.transpose(-2, -1)",
        ),
        families=FIVE_STEPS,
        in_training="Mostly it raises at once. Where n_k = d_k it runs, and position i of a key is taken for key i.",
        operate=_leave_key_untransposed,
    ),
    Fault(
        Mistake(
            name="key_reshaped",
            stage="score",
            summary="The keys are reshaped to (d, n) instead of transposed: the shape fits, the numbers are shuffled.",
            symptom="Shapes are right, rows sum to 1, and changing key j alone changes other columns than column j.",
            question="Change one key: in how many columns do your scores change?",
            pointer=(
                "Look at how the key gets the shape (d, n): reshape and view keep the order in memory, they do not "
                "transpose."
            ),
            fix="scores = query @ key.transpose(-2, -1)",
        ),
        families=FIVE_STEPS,
        in_training=(
            "A causal model sees the future past its mask: the loss falls to almost nothing, and what it writes "
            "is nonsense."
        ),
        operate=_reshape_key,
    ),
    Fault(
        Mistake(
            name="scores_transposed",
            stage="score",
            summary="The scores are K Qᵀ: row i belongs to key i.",
            symptom="With n_q != n_k it raises or has n_k rows. Otherwise entry (i, j) is the expected (j, i).",
            question="Row i of your scores: is it what query i thinks of the keys, or what the queries think of key i?",
            pointer=(
                "Look at the order of the two factors of the scores: the query comes first, so that rows are queries."
            ),
            fix="scores = query @ key.transpose(-2, -1)",
        ),
        families=FIVE_STEPS,
        in_training=(
            "In self-attention it trains as if query and key had changed names. Trained weights do not carry over."
        ),
        operate=_transpose_scores,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="scores_negated",
            stage="score",
            summary="The scores have the wrong sign: the keys that fit worst get the most weight.",
            symptom="The largest weight stands where the smallest should. Scores + expected scores = 0.",
            question="Which key should get the most weight: the one most like the query, or the one least like it?",
            pointer="Look at the sign of the scores: a better match must give a larger score.",
            fix="scores = query @ key.transpose(-2, -1)  # no minus sign",
        ),
        families=FIVE_STEPS,
        in_training=(
            "Trained from scratch a projection learns the sign, and nothing shows. Trained weights give nonsense."
        ),
        operate=_negate_scores,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="cosine_scores",
            stage="score",
            summary="Queries and keys are made unit vectors before they are compared.",
            symptom="All scores lie between -1 and 1, and a query twice as long gets the same weights.",
            question="Make one query ten times as long: should its weights become sharper?",
            pointer="Look at what happens to query and key before their product: they are divided by their lengths.",
            fix="scores = query @ key.transpose(-2, -1)  # no F.normalize",
        ),
        families=FIVE_STEPS,
        in_training=(
            "Weights stay close to even, because no score is above 1; still divided by √d_k, hardly anything is "
            "selected."
        ),
        operate=_compare_directions,
    ),
    Fault(
        Mistake(
            name="distance_scores",
            stage="score",
            summary="The score is minus the squared distance of query and key, -|q - k|², not their product.",
            symptom="No score is positive. Long keys get less weight than the product would give them.",
            question=(
                "What is your score of a query with a key that equals it, and does it grow when both become longer?"
            ),
            pointer="Look at how a query and a key are compared: attention takes their product, not their distance.",
            fix="scores = query @ key.transpose(-2, -1)",
        ),
        families=FIVE_STEPS,
        in_training="Learns, about as well as the product. Trained weights do not carry over.",
        operate=_compare_by_distance,
    ),
)
