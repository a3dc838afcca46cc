"""Scaled dot-product attention, written to be read: the oracle that every faster form is compared with."""

import math
from typing import Literal, overload

from jaxtyping import Float
from torch import Tensor

from attention_surgeon.kernels import Implementation, attention_named
from attention_surgeon.ops.operands import MaskLike, check_operands
from attention_surgeon.ops.softmax import softmax
from attention_surgeon.require import refuse_torchscript, require_switch


@overload
def attention(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    mask: MaskLike | None = ...,
    scale: bool = ...,
    *,
    implementation: Literal["readable"] = ...,
) -> tuple[Tensor, Tensor]: ...
@overload
def attention(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    mask: MaskLike | None = ...,
    scale: bool = ...,
    *,
    implementation: Literal["tiled", "triton"],
) -> tuple[Tensor, None]: ...
def attention(
    Q: Float[Tensor, "*_batch q d"],
    K: Float[Tensor, "*_batch k d"],
    V: Float[Tensor, "*_batch k v"],
    mask: MaskLike | None = None,
    scale: bool = True,
    *,
    implementation: Implementation = "readable",
) -> tuple[Tensor, Tensor | None]:
    """Return what each query attended to and with which weights: `softmax(Q Kᵀ / √d_k) V` and the softmax.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.

    Args:
        Q: Query `(*batch, n_q, d_k)`, any floating dtype.
        K: Key `(*batch, n_k, d_k)`. n_k may differ from n_q (cross-attention).
        V: Value `(*batch, n_k, d_v)`. The output is d_v wide because it is made of values.
        mask: Boolean, or integers 0 and 1: True = may attend. Floating: added to the scaled scores. A mask object of
            `attention_surgeon.masks`. It broadcasts to `(*batch, n_q, n_k)`. None: every query sees every key.
        scale: Whether to divide the scores by √d_k.
        implementation: "readable" is what stands below; "tiled" is `kernels.tiled_attention` and "triton"
            `kernels.triton_attention`, which never form the weights. None stands in for another.

    Returns:
        output `(*batch, n_q, d_v)` and weights `(*batch, n_q, n_k)`, both in the dtype of Q. Each row of the weights
        sums to 1; a query that may attend to no key has weights 0, output 0 and gradient 0. The weights are None where
        an implementation never forms them.

    Raises:
        ShapeError, DTypeError, DeviceError, MaskError, ArgumentTypeError: each names what was given and the way out.
        OptionError, DeviceError: no implementation of that name; one that cannot run here.

    Differs from PyTorch's `scaled_dot_product_attention`: the weights are returned, sums run one precision up
    (`ops.precision`), and a floating mask that holds only 0s and 1s is refused.

    >>> import torch
    >>> Q = torch.tensor([[1.0, 0.0]])
    >>> K = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> output, weights = attention(Q, K, V=torch.tensor([[10.0], [0.0]]))
    >>> weights                      # softmax(1/√2, 0)
    tensor([[0.6698, 0.3302]])
    >>> output
    tensor([[6.6976]])
    """
    require_switch(scale, "scale", "attention", " Another factor: Mechanism(scale=multiply_by(factor)).")
    if implementation != "readable":
        return attention_named(implementation, "attention")(Q, K, V, mask, scale=scale), None
    given = check_operands(Q, K, V, mask)

    scores = given.query @ given.key.transpose(-2, -1)  # (..., q, d) @ (..., d, k) -> (..., q, k)
    if scale:
        scores = scores / math.sqrt(given.key_size)
    if given.bias is not None:
        scores = scores + given.bias
    if given.allowed is not None:
        scores = scores.masked_fill(~given.allowed, float("-inf"))
    weights = softmax(scores, dim=-1)  # over the keys
    output = weights @ given.value  # (..., q, k) @ (..., k, v) -> (..., q, v)

    return output.to(Q.dtype), weights.to(Q.dtype)


setattr(attention, "__prepare_scriptable__", refuse_torchscript("attention"))  # noqa: B010
