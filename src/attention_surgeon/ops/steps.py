"""Attention as five named steps, each of which can be replaced.

    scores = Q Kᵀ  ->  scaled = scores / √d_k  ->  masked  ->  weights = softmax  ->  output = weights V
      score              scale                      mask         normalise            combine

A step is a plain function. `score` takes the operands; every other step takes the result of the step before it
and the operands. A mistake is a `Mechanism` with one step replaced:

    >>> import torch
    >>> q = torch.tensor([[2.0, 0.0]]); k = torch.eye(2); v = torch.tensor([[1.0], [0.0]])
    >>> Mechanism()(q, k, v)[1]
    tensor([[0.8044, 0.1956]])
    >>> Mechanism(scale=leave_unscaled)(q, k, v)[1]
    tensor([[0.8808, 0.1192]])
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.ops.operands import MaskLike, Operands, check_operands
from attention_surgeon.ops.softmax import softmax

ScoreStep: TypeAlias = Callable[[Operands], Tensor]
Step: TypeAlias = Callable[[Tensor, Operands], Tensor]

STEP_NAMES = ("score", "scale", "mask", "normalise", "combine")


class Steps(NamedTuple):
    """What each of the five steps produced: `(*batch, n_q, n_k)` but for the output, `(*batch, n_q, d_v)`."""

    scores: Tensor
    scaled: Tensor
    masked: Tensor
    weights: Tensor
    output: Tensor


def dot_product(operands: Operands) -> Tensor:
    """Score each query against each key: `Q Kᵀ` (Vaswani et al. 2017, equation 1)."""
    return operands.query @ operands.key.transpose(-2, -1)  # (..., q, d) @ (..., d, k) -> (..., q, k)


def divide_by_root_key_size(scores: Tensor, operands: Operands) -> Tensor:
    """Divide by `√d_k`, so that scores keep the spread of one product however wide the vectors are."""
    return scores / math.sqrt(operands.key_size)


def leave_unscaled(scores: Tensor, operands: Operands) -> Tensor:
    """Return the scores as they are."""
    return scores


def multiply_by(factor: float) -> Step:
    """Return a scale step that multiplies the scores by `factor`.

    >>> import torch
    >>> Mechanism(scale=multiply_by(0.0))(torch.ones(1, 2), torch.eye(2), torch.eye(2))[1]
    tensor([[0.5000, 0.5000]])
    """

    return named_step(_multiply, f"multiply_by({factor})", factor=factor)


def _multiply(scores: Tensor, operands: Operands, *, factor: float) -> Tensor:
    return scores * factor


def add_bias_and_hide(scaled: Tensor, operands: Operands) -> Tensor:
    """Add the floating mask, then set every hidden score to `-inf`, which the softmax turns into weight 0."""
    if operands.bias is not None:
        scaled = scaled + operands.bias
    if operands.allowed is not None:
        scaled = scaled.masked_fill(~operands.allowed, float("-inf"))
    return scaled


def add_to_scores(bias: Tensor) -> Step:
    """Return a mask step that adds `bias` as it stands, whatever its numbers, after the usual mask.

    The way to add a tensor of 0s and 1s, which a `mask` argument refuses because its meaning is in doubt.

    >>> import torch
    >>> plus_one = torch.tensor([[0.0, 1.0]])
    >>> Mechanism(mask=add_to_scores(plus_one))(torch.zeros(1, 2), torch.eye(2), torch.eye(2))[1]
    tensor([[0.2689, 0.7311]])
    """
    return named_step(_add, "add_to_scores", bias=bias)


def _add(scaled: Tensor, operands: Operands, *, bias: Tensor) -> Tensor:
    return add_bias_and_hide(scaled, operands) + bias.to(scaled.dtype)


def softmax_over_keys(masked: Tensor, operands: Operands) -> Tensor:
    """Turn each query's scores into weights that sum to 1 over the keys (0 where there is no key to attend to)."""
    return softmax(masked, dim=-1)


def weighted_sum(weights: Tensor, operands: Operands) -> Tensor:
    """Average the values with the weights: `weights V`."""
    return weights @ operands.value  # (..., q, k) @ (..., k, v) -> (..., q, v)


@dataclass(frozen=True)
class Mechanism:
    """Attention as data: five steps, each replaceable. `Mechanism()` is `attention`, bit for bit.

    Attributes:
        score: `(operands) -> scores`.
        scale: `(scores, operands) -> scaled`.
        mask: `(scaled, operands) -> masked`.
        normalise: `(masked, operands) -> weights`.
        combine: `(weights, operands) -> output`.
    """

    score: ScoreStep = dot_product
    scale: Step = divide_by_root_key_size
    mask: Step = add_bias_and_hide
    normalise: Step = softmax_over_keys
    combine: Step = weighted_sum

    def __call__(
        self,
        Q: Float[Tensor, "*_batch q d"],
        K: Float[Tensor, "*_batch k d"],
        V: Float[Tensor, "*_batch k v"],
        mask: MaskLike | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return `(output, weights)`; arguments, shapes and errors as for `attention`."""
        steps = self.steps(check_operands(Q, K, V, mask, caller="Mechanism"))
        return steps.output.to(Q.dtype), steps.weights.to(Q.dtype)

    def steps(self, operands: Operands) -> Steps:
        """Run the five steps on checked operands and return all they produced, in working precision."""
        scores = self.score(operands)
        scaled = self.scale(scores, operands)
        masked = self.mask(scaled, operands)
        weights = self.normalise(masked, operands)
        return Steps(scores, scaled, masked, weights, self.combine(weights, operands))

    def replace(self, **steps: ScoreStep | Step) -> "Mechanism":
        """Return a copy with the named steps replaced.

        Raises:
            OptionError: a name that is not one of the five.
            ArgumentTypeError: a step that cannot be called.

        >>> Mechanism().replace(softmax=leave_unscaled)
        Traceback (most recent call last):
        attention_surgeon.errors.OptionError: Mechanism has no step 'softmax'; the steps are score, scale, mask, \
normalise, combine.
        """
        for name, step in steps.items():
            if name not in STEP_NAMES:
                raise OptionError(f"Mechanism has no step {name!r}; the steps are {', '.join(STEP_NAMES)}.")
            if not callable(step):
                raise ArgumentTypeError(
                    f"Mechanism: the {name} step is a {type(step).__name__}, "
                    f"expected a function (tensor, operands) -> tensor."
                )
        return Mechanism(**{**vars(self), **steps})  # `dataclasses.replace` takes three times as long

    def step_names(self) -> dict[str, str]:
        """Return the name of the function at each step, for records and reports."""
        return {name: getattr(getattr(self, name), "__name__", repr(getattr(self, name))) for name in STEP_NAMES}


def named_step(step: Callable[..., Tensor], name: str, **options: Any) -> Step:
    """Return a step with its options filled in, under a name; unlike a function inside a function it can be pickled."""
    made = functools.partial(step, **options)
    made.__name__ = name  # pyright: ignore[reportAttributeAccessIssue]
    return made
