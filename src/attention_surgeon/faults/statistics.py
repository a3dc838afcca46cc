"""Statistics: what is said about the weights once they are there."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from attention_surgeon.faults.families import STATISTICS
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit
from attention_surgeon.verdict import Mistake, Sighting


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
    Fault(
        Mistake(
            name="entropy_negated",
            stage="statistics",
            summary="The entropy is Σ w log w; the minus sign is missing.",
            symptom="The entropy is 0 or below, and the more even the weights, the lower it is.",
            question="Which has the higher entropy by your count: even weights, or all the weight on one key?",
            pointer="Look at the sign: the logarithm of a share is negative.",
            fix="entropy = -(weights * weights.log()).sum(-1).mean()",
        ),
        families=STATISTICS,
        in_training="Nothing: only what is measured is wrong.",
        operate=_measure("entropy", _negated),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="entropy_in_bits",
            stage="statistics",
            summary="The entropy is in bits, with log2, where nats are asked for.",
            symptom="The entropy is 1.4427 times too large: even weights over 8 keys give 3 instead of 2.0794.",
            question="Even weights over two keys: is your entropy 1 or 0.693?",
            pointer="Look at the base of the logarithm.",
            fix="entropy = -(weights * torch.log(weights)).sum(-1).mean()  # not log2",
        ),
        families=STATISTICS,
        in_training="Nothing: only the unit of what is measured is another one.",
        operate=_measure("entropy", _in_bits),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="entropy_nan_at_zero",
            stage="statistics",
            summary="A weight of 0 makes the entropy NaN: 0 log 0 is computed as 0 * -inf.",
            symptom="NaN for every causal or one-hot matrix; right where no weight is 0.",
            question="What is 0 times the logarithm of 0?",
            pointer="Look at weights that are 0: they must count for nothing, and log(0) is -inf.",
            fix="entropy = torch.special.entr(weights).sum(-1).mean()",
            sightings=(Sighting("huggingface/trl", 7224, "pull"),),
        ),
        families=STATISTICS,
        in_training="Nothing: only what is measured is wrong, from the first masked weight on.",
        operate=_measure("entropy", _by_plain_logarithm),
    ),
    Fault(
        Mistake(
            name="entropy_summed",
            stage="statistics",
            summary="The entropies of the rows are summed, where their mean is asked for.",
            symptom="The entropy is as many times too large as there are rows; it can exceed log n.",
            question="What is the largest entropy a choice among n keys can have, and can yours be larger?",
            pointer="Look at how the rows are put together: by a sum, where the mean is asked for.",
            fix="entropy = torch.special.entr(weights).sum(-1).mean()",
        ),
        families=STATISTICS,
        in_training="Nothing: only what is measured is wrong, and grows with length, heads and batch.",
        operate=_measure("entropy", _summed),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="entropy_over_queries",
            stage="statistics",
            summary="The sum runs over the queries: the mean is taken of columns, which are no distributions.",
            symptom=(
                "With as many keys as queries all is right. Otherwise the entropy is n_q / n_k times what it should be."
            ),
            question="Three queries, eleven keys: of how many distributions do you take the mean, of 3 or of 11?",
            pointer="Look at the axis of the sum: it is that of the queries.",
            fix="entropy = torch.special.entr(weights).sum(dim=-1).mean()",
        ),
        families=STATISTICS,
        in_training="Nothing: only what is measured is wrong.",
        operate=_measure("entropy", _entropy_over_queries),
    ),
    Fault(
        Mistake(
            name="diagonal_summed",
            stage="statistics",
            summary="The weights on the diagonal are summed, where their mean is asked for.",
            symptom="The diagonal mass can exceed 1; for the identity it is the number of rows.",
            question="Can the share of attention that stays at home be larger than 1?",
            pointer="Look at how the diagonal becomes one number: by a sum, where the mean is asked for.",
            fix="diagonal_mass = weights.diagonal(dim1=-2, dim2=-1).mean()",
        ),
        families=STATISTICS,
        in_training="Nothing: only what is measured is wrong, and grows with length, heads and batch.",
        operate=_measure("diagonal_mass", _summed),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="max_of_means",
            stage="statistics",
            summary="The weights are averaged over the queries before the maximum is taken.",
            symptom="The maximum is too small: for the identity it is 1/n instead of 1.",
            question="One query puts all its weight on one key: what is your largest weight?",
            pointer="Look at the order: the maximum must be taken of the weights themselves.",
            fix="max_attention = weights.max()",
        ),
        families=STATISTICS,
        in_training="Nothing: only what is measured is wrong.",
        operate=_measure("max_attention", _max_of_means),
    ),
)
