"""Statistics: what is said about the weights once they are there."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit


def _measure(name: str, number: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    """Return the operation that replaces one measure by `number(weights, usual)`."""

    def operation(circuit: Circuit) -> Circuit:
        usual = circuit.measure

        def measure(weights: Tensor) -> dict[str, Tensor]:
            measures = usual(weights)
            return {**measures, name: number(weights, measures[name])}

        return circuit.replace(measure=measure)

    return operation


def _num_rows(weights: Tensor) -> int:
    return weights[..., 0].numel()


def _negated(weights: Tensor, entropy: Tensor) -> Tensor:
    return -entropy


def _in_bits(weights: Tensor, entropy: Tensor) -> Tensor:
    return entropy / math.log(2)


def _by_plain_logarithm(weights: Tensor, entropy: Tensor) -> Tensor:
    return -(weights * torch.log(weights)).sum(-1).mean()  # 0 * -inf is NaN


def _summed(weights: Tensor, mean: Tensor) -> Tensor:
    return mean * _num_rows(weights)


def _entropy_over_queries(weights: Tensor, entropy: Tensor) -> Tensor:
    return torch.special.entr(weights).sum(-2).mean()


def _max_of_means(weights: Tensor, largest: Tensor) -> Tensor:
    return weights.mean(-2).max()


FAULTS: tuple[Fault, ...] = (
    draft(
        "entropy_negated",
        "statistics",
        {"statistics"},
        "The minus sign is missing.",
        _measure("entropy", _negated),
        wraps=True,
    ),
    draft(
        "entropy_in_bits",
        "statistics",
        {"statistics"},
        "The logarithm has base 2.",
        _measure("entropy", _in_bits),
        wraps=True,
    ),
    draft(
        "entropy_nan_at_zero",
        "statistics",
        {"statistics"},
        "0 log 0 gives NaN.",
        _measure("entropy", _by_plain_logarithm),
    ),
    draft(
        "entropy_summed",
        "statistics",
        {"statistics"},
        "Entropies are summed over rows, not averaged.",
        _measure("entropy", _summed),
        wraps=True,
    ),
    draft(
        "entropy_over_queries",
        "statistics",
        {"statistics"},
        "The entropy is of columns, not of rows.",
        _measure("entropy", _entropy_over_queries),
    ),
    draft(
        "diagonal_summed",
        "statistics",
        {"statistics"},
        "The diagonal is summed, not averaged.",
        _measure("diagonal_mass", _summed),
        wraps=True,
    ),
    draft(
        "max_of_means",
        "statistics",
        {"statistics"},
        "The mean over queries is taken before the maximum.",
        _measure("max_attention", _max_of_means),
    ),
)
