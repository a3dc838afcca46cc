"""Scale: what the scores are divided by."""

import math
from collections.abc import Callable

from torch import Tensor

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.faults.families import FIVE_STEPS
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Operands, leave_unscaled, multiply_by
from attention_surgeon.verdict import Mistake, Sighting


def _divide_by(divisor: Callable[[Operands], float]) -> Operation:
    """Return the operation that divides the scores by what `divisor` makes of the operands."""

    def divide(scores: Tensor, operands: Operands) -> Tensor:
        return scores / divisor(operands)

    return lambda circuit: circuit.replace(scale=divide)


def _root_model_width(operands: Operands) -> float:
    if operands.model_size is not None:
        return math.sqrt(operands.model_size)
    if operands.query.ndim < 4:
        raise OptionError(
            f"scale_by_model_width: Q has shape {tuple(operands.query.shape)}, from which the width of the model "
            f"cannot be told; pass heads, (batch, heads, n, size), or Operands with a model_size."
        )
    return math.sqrt(operands.query.shape[-3] * operands.key_size)


def _root_num_heads(operands: Operands) -> float:
    if operands.query.ndim < 4:
        raise ShapeError(
            f"scale_by_num_heads: Q has shape {tuple(operands.query.shape)}, expected (batch, heads, n, size)."
        )
    return math.sqrt(operands.query.shape[-3])


def _multiply_by(factor: float) -> Operation:
    """Return the operation that multiplies the scores by a constant, however wide the vectors are."""
    return lambda circuit: circuit.replace(scale=multiply_by(factor))


def _leave_unscaled(circuit: Circuit) -> Circuit:
    return circuit.replace(scale=leave_unscaled)


def _scale_again(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.scale

    def scale_twice(scores: Tensor, operands: Operands) -> Tensor:
        return usual(usual(scores, operands), operands)

    return circuit.replace(scale=scale_twice)


FAULTS: tuple[Fault, ...] = (
    Fault(
        Mistake(
            name="scale_missing",
            stage="scale",
            summary="The scores go into the softmax as they are; nothing divides them by √d_k.",
            symptom="The weights are too sharp: log(w_i / w_j) is √d_k times as large as it should be.",
            question="Twice as many numbers per vector: what happens to the spread of the scores, and to the softmax?",
            pointer="Look between the scores and the softmax: they are not divided by √d_k.",
            fix="scores = scores / math.sqrt(query.shape[-1])",
            sightings=(
                Sighting("mlc-ai/mlc-llm", 3426, "pull"),
                Sighting("PAIR-code/tiny-transformers", 71),
            ),
        ),
        families=FIVE_STEPS,
        in_training=(
            "With wide heads the first softmax is nearly one-hot, little gradient gets through, and learning "
            "starts late. With narrow heads hardly anything shows."
        ),
        operate=_leave_unscaled,
    ),
    Fault(
        Mistake(
            name="scale_multiplied",
            stage="scale",
            summary="The scores are multiplied by √d_k where they should be divided by it.",
            symptom="Nearly every row is a 1 among zeros: log(w_i / w_j) is d_k times as large as it should be.",
            question="Do your scores become larger or smaller by the scale, and which of the two should they?",
            pointer=(
                "Look at the scale: it makes the scores larger. Perhaps a √d_k or d_k ** -0.5 stands on the wrong "
                "side of / or *."
            ),
            fix="scores = scores / math.sqrt(d_k)  # or scores * d_k**-0.5",
            sightings=(Sighting("esceptico/perceiver-io", 9), Sighting("AI-Hypercomputer/maxtext", 1370)),
        ),
        families=FIVE_STEPS,
        in_training=(
            "Learns to a higher loss: each query picks one key from the start, and is slow to change its choice."
        ),
        operate=_divide_by(lambda operands: 1 / math.sqrt(operands.key_size)),
    ),
    Fault(
        Mistake(
            name="scale_by_key_size",
            stage="scale",
            summary="The scores are divided by d_k itself; the square root is missing.",
            symptom="The weights are too even: log(w_i / w_j) is √d_k times too small.",
            question=(
                "The product of two vectors of d numbers of size 1 has a spread of about what: d, or something smaller?"
            ),
            pointer="Look at the divisor: it is d_k, and should be its square root.",
            fix="scores = scores / math.sqrt(d_k)",
            sightings=(Sighting("delzac/cntkx", 10),),
        ),
        families=FIVE_STEPS,
        in_training=(
            "The weights start nearly even, so every position gets about the mean of the values, until queries "
            "and keys have grown."
        ),
        operate=_divide_by(lambda operands: operands.key_size),
    ),
    Fault(
        Mistake(
            name="scale_twice",
            stage="scale",
            summary="The scores are divided by √d_k twice, for instance once in the query and once in the scores.",
            symptom=(
                "The weights are too even: log(w_i / w_j) is √d_k times too small, the same as after dividing by d_k."
            ),
            question="Follow one score from the product to the softmax: how often is it made smaller?",
            pointer=(
                "Look at every place that scales: one in the query or key, one in the scores or in a function you call."
            ),
            fix="output = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # the query is scaled already",
            sightings=(Sighting("huggingface/transformers", 38290, "pull"),),
        ),
        families=FIVE_STEPS,
        in_training=(
            "The weights start nearly even, so every position gets about the mean of the values, until queries "
            "and keys have grown."
        ),
        operate=_scale_again,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="scale_by_fourth_root",
            stage="scale",
            summary=(
                "The scores are divided by the fourth root of d_k: a root of a root, or half of a scale meant for "
                "both query and key."
            ),
            symptom="The weights are too sharp: log(w_i / w_j) is d_k^(1/4) times as large as it should be.",
            question="For d_k = 16: what do you divide by, 4 or 2?",
            pointer=(
                "Look at the divisor: the root is taken twice, or only one of query and key got its half of the scale."
            ),
            fix="scores = scores / math.sqrt(d_k)",
        ),
        families=FIVE_STEPS,
        in_training="Learns a little differently; the weights are somewhat too sharp at the start.",
        operate=_divide_by(lambda operands: operands.key_size**0.25),
    ),
    Fault(
        Mistake(
            name="scale_by_model_width",
            stage="scale",
            summary="The scores are divided by the root of the whole width, not of the width of one head.",
            symptom="With one head all is right. With h heads log(w_i / w_j) is √h times too small.",
            question="How many numbers take part in one product of one head?",
            pointer="Look at the size under the root: it is the width of all heads together, not that of one.",
            fix="scores = scores / math.sqrt(embed_dim // num_heads)",
            sightings=(
                Sighting("karpathy/ng-video-lecture", 6, "pull"),
                Sighting("lucidrains/vit-pytorch", 65),
                Sighting("FrancescoSaverioZuppichini/ViT", 1),
                Sighting("FareedKhan-dev/train-llm-from-scratch", 3, "pull"),
                Sighting("chelsea0x3b/dfdx", 171),
            ),
        ),
        families=FIVE_STEPS,
        in_training=(
            "Learns nearly as well, which is why it stays unnoticed; the weights start too even, the more so the "
            "more heads there are."
        ),
        operate=_divide_by(_root_model_width),
    ),
    Fault(
        Mistake(
            name="scale_by_value_size",
            stage="scale",
            summary="The scores are divided by √d_v, the size of a value, not by √d_k.",
            symptom="With d_v = d_k all is right. Otherwise widening V alone changes the weights.",
            question="Make the values twice as wide: should your weights change?",
            pointer="Look at the size under the root: it is read from the value, not from the query or the key.",
            fix="scores = scores / math.sqrt(query.shape[-1])",
        ),
        families=FIVE_STEPS,
        in_training="Shows only where values and keys differ in size.",
        operate=_divide_by(lambda operands: math.sqrt(operands.value.shape[-1])),
    ),
    Fault(
        Mistake(
            name="scale_by_num_keys",
            stage="scale",
            summary="The scores are divided by √n_k, the number of keys.",
            symptom=(
                "A longer sequence makes the weights of the keys it already had more even than the new keys explain."
            ),
            question="Append keys to the sequence: should the scores of the old ones change?",
            pointer="Look at the size under the root: it is read from the axis of positions, not from the last one.",
            fix="scores = scores / math.sqrt(key.shape[-1])  # not key.shape[-2]",
        ),
        families=FIVE_STEPS,
        in_training=(
            "The sharpness of the weights changes with the length of the sequence: worse on lengths not trained on."
        ),
        operate=_divide_by(lambda operands: math.sqrt(operands.key.shape[-2])),
    ),
    Fault(
        Mistake(
            name="scale_by_num_queries",
            stage="scale",
            summary="The scores are divided by √n_q, the number of queries.",
            symptom="The same query gets other weights when it is asked alone than when it is asked among others.",
            question="Ask one query alone, then the same one among others: should its weights differ?",
            pointer="Look at the size under the root: it is read from the axis of queries, not from the last one.",
            fix="scores = scores / math.sqrt(query.shape[-1])  # not query.shape[-2]",
        ),
        families=FIVE_STEPS,
        in_training="Learns, and answers differently as soon as queries come one at a time, as when writing.",
        operate=_divide_by(lambda operands: math.sqrt(operands.query.shape[-2])),
    ),
    Fault(
        Mistake(
            name="scale_by_num_heads",
            stage="scale",
            summary="The scores are divided by the root of the number of heads.",
            symptom="The same head gets other weights when there are more heads beside it.",
            question="Add a second head: should the first one's weights change?",
            pointer="Look at the size under the root: it is read from the axis of heads, or is num_heads itself.",
            fix="scores = scores / math.sqrt(query.shape[-1])  # (batch, heads, n, size)",
            sightings=(Sighting("tenstorrent/tt-metal", 56789, "pull"),),
        ),
        families=FIVE_STEPS,
        in_training="Learns; the weights are too sharp at the start where heads are wider than many.",
        operate=_divide_by(_root_num_heads),
    ),
    Fault(
        Mistake(
            name="scale_hard_coded",
            stage="scale",
            summary="The scores are multiplied by a constant, whatever d_k is.",
            symptom="For one d_k all is right. log(w_i / w_j) over the raw scores is the same number for every d_k.",
            question="Try it with vectors of another size: by what do you divide now?",
            pointer="Look at the scale: it is a number, such as 8, that does not know how wide the vectors are.",
            fix="scores = scores / math.sqrt(query.shape[-1])",
        ),
        families=FIVE_STEPS,
        in_training="Right for the size it was written for; with any other the weights are too sharp or too even.",
        operate=_multiply_by(1 / 8),
        tune=_multiply_by,
    ),
)
