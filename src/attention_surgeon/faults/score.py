"""Score: how a query is compared with a key."""

import torch
from torch import Tensor

from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import FIVE_STEPS
from attention_surgeon.faults.fault import Fault
from attention_surgeon.ops import Circuit, Operands


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
    draft(
        "key_not_transposed", "score", FIVE_STEPS, "The score is Q K, without the transpose.", _leave_key_untransposed
    ),
    draft("key_reshaped", "score", FIVE_STEPS, "The keys are reshaped to (d, n) instead of transposed.", _reshape_key),
    draft("scores_transposed", "score", FIVE_STEPS, "The scores are K Qᵀ.", _transpose_scores, wraps=True),
    draft("scores_negated", "score", FIVE_STEPS, "The scores have the wrong sign.", _negate_scores, wraps=True),
    draft("cosine_scores", "score", FIVE_STEPS, "Queries and keys are made unit vectors first.", _compare_directions),
    draft("distance_scores", "score", FIVE_STEPS, "The score is minus the squared distance.", _compare_by_distance),
)
