"""The gradients of attention, derived by hand. `docs/derivation.md` walks through every line.

With `P = softmax(S)`, `S = Q Kᵀ c + B` and `O = P V`, where c is 1/√d_k or 1, and `G = dL/dO`:

    dV = Pᵀ G                               each value is collected with the weights it was handed out with
    dP = G Vᵀ                               (+ the gradient of the returned weights, if they were used)
    dS = P ∘ (dP - rowsum(P ∘ dP))          the softmax Jacobian diag(p) - p pᵀ, applied row by row
    dB = dS,  dQ = c dS K,  dK = c dSᵀ Q

A hidden key has P = 0, hence dS = 0; an empty row has P = 0 throughout, hence no gradient at all.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.ops.operands import MaskLike, check_operands
from attention_surgeon.ops.precision import working_dtype
from attention_surgeon.ops.steps import Mechanism, leave_unscaled
from attention_surgeon.require import require_floating, require_switch


class AttentionGradients(NamedTuple):
    """Gradients of a loss, each in the shape of what it belongs to; `bias` is None without a floating mask."""

    query: Tensor
    key: Tensor
    value: Tensor
    bias: Tensor | None


def attention_gradients(
    Q: Float[Tensor, "*_batch q d"],
    K: Float[Tensor, "*_batch k d"],
    V: Float[Tensor, "*_batch k v"],
    grad_output: Float[Tensor, "*_batch q v"],
    mask: MaskLike | None = None,
    scale: bool = True,
    grad_weights: Float[Tensor, "*_batch q k"] | None = None,
) -> AttentionGradients:
    """Return dL/dQ, dL/dK, dL/dV (and dL/dmask for a floating mask) from dL/doutput, without autograd.

    Args:
        Q: Query `(*batch, n_q, d_k)`.
        K: Key `(*batch, n_k, d_k)`.
        V: Value `(*batch, n_k, d_v)`.
        grad_output: dL/doutput `(*batch, n_q, d_v)`.
        mask: As for `attention`. A floating mask gets a gradient (0 where it hides).
        scale: As for `attention`.
        grad_weights: dL/dweights `(*batch, n_q, n_k)` if the loss also uses the returned weights.

    Returns:
        `AttentionGradients(query, key, value, bias)` in the dtype of Q.

    Raises:
        ShapeError: a gradient that does not have the shape of what it is the gradient of; else as `attention`.

    >>> Q, K, V = torch.zeros(1, 2), torch.eye(2), torch.tensor([[1.0], [3.0]])
    >>> attention_gradients(Q, K, V, torch.ones(1, 1)).value      # both weights are 1/2
    tensor([[0.5000],
            [0.5000]])
    """
    require_switch(scale, "scale", "attention_gradients")
    given = check_operands(Q, K, V, mask, caller="attention_gradients")
    weights = (Mechanism() if scale else Mechanism(scale=leave_unscaled)).steps(given).weights
    grad_output = _grad("grad_output", grad_output, (*weights.shape[:-1], V.shape[-1]), weights)
    factor = 1 / math.sqrt(given.key_size) if scale else 1.0

    d_value = weights.transpose(-2, -1) @ grad_output  # (..., k, q) @ (..., q, v) -> (..., k, v)
    d_weights = grad_output @ given.value.transpose(-2, -1)  # (..., q, v) @ (..., v, k) -> (..., q, k)
    if grad_weights is not None:
        d_weights = d_weights + _grad("grad_weights", grad_weights, tuple(weights.shape), weights)
    d_scores = softmax_gradient(weights, d_weights)
    d_query = d_scores @ given.key * factor  # (..., q, k) @ (..., k, d) -> (..., q, d)
    d_key = d_scores.transpose(-2, -1) @ given.query * factor  # (..., k, q) @ (..., q, d) -> (..., k, d)
    d_bias = None
    if given.bias is not None and isinstance(mask, Tensor):
        d_bias = d_scores.sum_to_size(mask.shape).to(mask.dtype)

    # An operand that was broadcast over the batch was used once per batch entry: its gradients add up.
    return AttentionGradients(
        d_query.sum_to_size(Q.shape).to(Q.dtype),
        d_key.sum_to_size(K.shape).to(Q.dtype),
        d_value.sum_to_size(V.shape).to(Q.dtype),
        d_bias,
    )


def softmax_gradient(
    weights: Float[Tensor, "*axes"], grad_weights: Float[Tensor, "*axes"], dim: int = -1
) -> Float[Tensor, "*axes"]:
    """Return dL/dscores from dL/dweights: the softmax Jacobian times a vector, without forming the Jacobian.

    `ds_j = p_j (g_j - Σ_i p_i g_i)`: what a score's weight gains beyond what the row gains on average.

    Args:
        weights: The softmax's result.
        grad_weights: dL/dweights, same shape.
        dim: The axis that was normalised.

    Raises:
        ShapeError: the shapes differ.

    >>> p = torch.tensor([0.5, 0.5])
    >>> softmax_gradient(p, torch.tensor([1.0, 0.0]))
    tensor([ 0.2500, -0.2500])
    """
    require_floating(weights, "weights", "softmax_gradient")
    require_floating(grad_weights, "grad_weights", "softmax_gradient")
    if weights.shape != grad_weights.shape:
        raise ShapeError(
            f"softmax_gradient: weights has shape {tuple(weights.shape)} and grad_weights "
            f"{tuple(grad_weights.shape)}; a gradient has the shape of what it belongs to."
        )
    p, g = (x.to(working_dtype(weights.dtype, weights.device)) for x in (weights, grad_weights))
    average = (p * g).sum(dim, keepdim=True)
    return (p * (g - average)).to(weights.dtype)


def softmax_jacobian(weights: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n n"]:
    """Return the whole Jacobian `diag(p) - p pᵀ`: row i, column j is how weight i answers to score j.

    Its rows sum to 0, because raising every score alike changes nothing; it goes to 0 as the weights become one-hot,
    which is how a missing scale stops the learning.

    >>> softmax_jacobian(torch.tensor([0.5, 0.5]))
    tensor([[ 0.2500, -0.2500],
            [-0.2500,  0.2500]])
    """
    require_floating(weights, "weights", "softmax_jacobian")
    return torch.diag_embed(weights) - weights.unsqueeze(-1) * weights.unsqueeze(-2)


def _grad(name: str, grad: Tensor, expected: tuple[int, ...], like: Tensor) -> Tensor:
    require_floating(grad, name, "attention_gradients")
    if tuple(grad.shape) != expected:
        raise ShapeError(
            f"attention_gradients: {name} has shape {tuple(grad.shape)}, expected {expected}, the shape of "
            f"{'the output' if name == 'grad_output' else 'the weights'}."
        )
    return grad.to(like.dtype)
