"""Scale: what the scores are divided by."""

import math
from collections.abc import Callable

from torch import Tensor

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import FIVE_STEPS
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Operands, divide_by_root_key_size, leave_unscaled, multiply_by


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


def _scale_weights(circuit: Circuit) -> Circuit:
    usual, scale = circuit.mechanism.normalise, circuit.mechanism.scale

    def normalise_then_scale(masked: Tensor, operands: Operands) -> Tensor:
        return scale(usual(masked, operands), operands)

    return circuit.replace(scale=leave_unscaled, normalise=normalise_then_scale)


def _scale(circuit: Circuit) -> Circuit:
    return circuit.replace(scale=divide_by_root_key_size)


def _scale_whatever_is_asked(circuit: Circuit) -> Circuit:
    return circuit.replace(use_scale=lambda asked: True)


def _invert_flag(circuit: Circuit) -> Circuit:
    usual = circuit.use_scale
    return circuit.replace(use_scale=lambda asked: usual(not asked))


FAULTS: tuple[Fault, ...] = (
    draft("scale_missing", "scale", FIVE_STEPS, "The scores are not scaled.", _leave_unscaled),
    draft(
        "scale_multiplied",
        "scale",
        FIVE_STEPS,
        "The scores are multiplied by √d_k.",
        _divide_by(lambda o: 1 / math.sqrt(o.key_size)),
    ),
    draft(
        "scale_by_key_size",
        "scale",
        FIVE_STEPS,
        "The scores are divided by d_k, without the root.",
        _divide_by(lambda o: o.key_size),
    ),
    draft("scale_twice", "scale", FIVE_STEPS, "The scores are divided by √d_k twice.", _scale_again, wraps=True),
    draft(
        "scale_by_fourth_root",
        "scale",
        FIVE_STEPS,
        "The scores are divided by the fourth root of d_k.",
        _divide_by(lambda o: o.key_size**0.25),
    ),
    draft(
        "scale_by_model_width",
        "scale",
        FIVE_STEPS,
        "The scores are divided by the root of the width of all heads.",
        _divide_by(_root_model_width),
    ),
    draft(
        "scale_by_value_size",
        "scale",
        FIVE_STEPS,
        "The scores are divided by √d_v.",
        _divide_by(lambda o: math.sqrt(o.value.shape[-1])),
    ),
    draft(
        "scale_by_num_keys",
        "scale",
        FIVE_STEPS,
        "The scores are divided by √n_k.",
        _divide_by(lambda o: math.sqrt(o.key.shape[-2])),
    ),
    draft(
        "scale_by_num_queries",
        "scale",
        FIVE_STEPS,
        "The scores are divided by √n_q.",
        _divide_by(lambda o: math.sqrt(o.query.shape[-2])),
    ),
    draft(
        "scale_by_num_heads",
        "scale",
        FIVE_STEPS,
        "The scores are divided by the root of the number of heads.",
        _divide_by(_root_num_heads),
    ),
    draft(
        "scale_hard_coded",
        "scale",
        FIVE_STEPS,
        "The scores are multiplied by a constant, whatever d_k is.",
        _multiply_by(1 / 8),
        tune=_multiply_by,
    ),
    draft(
        "scale_after_softmax",
        "scale",
        FIVE_STEPS,
        "The weights are divided by √d_k instead of the scores.",
        _scale_weights,
        wraps=True,
    ),
    draft("scale_flag_ignored", "scale", {"attention"}, "scale=False still scales.", _scale_whatever_is_asked),
    draft(
        "scale_flag_inverted",
        "scale",
        {"attention"},
        "scale=True does not scale, and scale=False does.",
        _invert_flag,
        wraps=True,
    ),
    draft(
        "scale_not_asked", "scale", FIVE_STEPS, "The scores are scaled, where unscaled attention is asked for.", _scale
    ),
)
