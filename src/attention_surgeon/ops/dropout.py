"""Attention dropout: some weights are set to 0, the others are enlarged so that the expected sum stays 1."""

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.ops.operands import Operands
from attention_surgeon.ops.softmax import softmax
from attention_surgeon.ops.steps import Step, named_step
from attention_surgeon.require import require_floating, require_probability


def attention_dropout(
    weights: Float[Tensor, "*axes"], p: float, generator: torch.Generator | None = None
) -> Float[Tensor, "*axes"]:
    """Set each weight to 0 with probability `p` and divide the survivors by `1 - p`.

    Source: Srivastava et al. 2014; on attention weights, Vaswani et al. 2017 as implemented in tensor2tensor.

    Args:
        weights: Floating tensor, usually `(*batch, n_q, n_k)`.
        p: Probability in [0, 1]; 0 returns the weights as they are, 1 returns zeros.
        generator: Source of randomness; None uses PyTorch's global one. With the same seed the draws are those of
            `torch.nn.functional.dropout` on the CPU.

    Raises:
        ArgumentTypeError, DTypeError, OptionError: as their texts say.

    >>> attention_dropout(torch.ones(4), p=0.5, generator=torch.Generator().manual_seed(0))
    tensor([0., 0., 2., 0.])
    """
    require_floating(weights, "weights", "attention_dropout")
    require_probability(p, "p", "attention_dropout")
    if p == 0:
        return weights
    if p == 1:
        return weights * 0.0
    keep = torch.empty_like(weights, memory_format=torch.contiguous_format)
    return weights * keep.bernoulli_(1 - p, generator=generator) / (1 - p)


def softmax_with_dropout(p: float, generator: torch.Generator | None = None) -> Step:
    """Return a normalise step: the softmax over the keys, then `attention_dropout`.

    Raises:
        ArgumentTypeError, OptionError: `p` is no number in [0, 1].
    """
    require_probability(p, "p", "attention_dropout")
    return named_step(_softmax_and_drop, f"softmax_with_dropout({p})", p=p, generator=generator)


def _softmax_and_drop(masked: Tensor, operands: Operands, *, p: float, generator: torch.Generator | None) -> Tensor:
    return attention_dropout(softmax(masked, dim=-1), p, generator)
