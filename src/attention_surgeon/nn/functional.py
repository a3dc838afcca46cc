"""`scaled_dot_product_attention` with PyTorch's arguments and PyTorch's meaning, on the mechanism of `ops`."""

from numbers import Real
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DTypeError, OptionError, ShapeError
from attention_surgeon.masks import Mask, causal_mask
from attention_surgeon.masks.foreign import known_mask
from attention_surgeon.nn.autocast import cast_under_autocast, without_autocast
from attention_surgeon.nn.mechanism import with_dropout
from attention_surgeon.nn.torch_errors import errors_as_torch
from attention_surgeon.ops import Mechanism, Operands, check_operands, multiply_by, resolve_mask, share_heads
from attention_surgeon.ops.operands import replaced
from attention_surgeon.require import (
    broadcast_shape,
    refuse_torchscript,
    require_probability,
    require_switch,
    require_tensor,
)

_CALLER = "scaled_dot_product_attention"


@errors_as_torch
def scaled_dot_product_attention(
    query: Float[Tensor, "*_batch n_q d_k"],
    key: Float[Tensor, "*_rest n_k d_k"],
    value: Float[Tensor, "*_others n_k d_v"],
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Float[Tensor, "*_out n_q d_v"]:
    """Return the output of attention, as `torch.nn.functional.scaled_dot_product_attention` does.

    Args:
        query: `(*batch, n_q, d_k)`, floating.
        key: `(*batch, n_k, d_k)`; batch axes equal or broadcastable.
        value: `(*batch, n_k, d_v)`.
        attn_mask: Boolean (True = may attend) or floating (added to the scaled scores, whatever its numbers are: here
            a mask of 0.0 and 1.0 is added). It broadcasts to `(*batch, n_q, n_k)`.
        dropout_p: Probability with which a weight is dropped, outside of training too: the function knows no module.
        is_causal: Hide the keys after a query's own position, counted from the start: `k <= q`; not beside a mask.
        scale: Factor for the scores; None: `1 / √d_k`.
        enable_gqa: Whether key and value heads (axis -3) are shared by neighbouring query heads.

    Returns:
        `(*batch, n_q, d_v)` in the dtype of query. A query that may attend to no key gets 0.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, MaskError, OptionError, ShapeError: each also a RuntimeError, which
            PyTorch raises.

    Under autocast all of them become autocast's dtype first, as in PyTorch.

    Differs from PyTorch: sums run one precision up (`ops.precision`). Refused are more or fewer values than keys (a
    fused kernel of PyTorch's reads past them), and a mask beside `is_causal`, which PyTorch says that it refuses, too,
    and some of its kernels take all the same.

    >>> query, key, value = torch.tensor([[2.0, 0.0]]), torch.eye(2), torch.tensor([[1.0], [0.0]])
    >>> scaled_dot_product_attention(query, key, value)      # softmax(2/√2, 0) · (1, 0)
    tensor([[0.8044]])
    >>> scaled_dot_product_attention(query, key, value, scale=0.0)
    tensor([[0.5000]])
    """
    require_probability(dropout_p, "dropout_p", _CALLER)
    require_switch(is_causal, "is_causal", _CALLER)
    require_switch(enable_gqa, "enable_gqa", _CALLER)
    attn_mask = _as_tensor(attn_mask, is_causal, query)
    query, key, value, attn_mask = cast_under_autocast(query, key, value, attn_mask)
    query, key = _with_numbers(query, key)
    given = _check_shared(query, key, value) if enable_gqa else check_operands(query, key, value, caller=_CALLER)
    given = _with_masks(given, attn_mask, is_causal)
    mechanism = Mechanism() if scale is None else Mechanism(scale=multiply_by(_factor(scale)))
    with without_autocast(query):
        return with_dropout(mechanism, dropout_p, _CALLER).steps(given).output.to(query.dtype)


setattr(scaled_dot_product_attention, "__prepare_scriptable__", refuse_torchscript(_CALLER))  # noqa: B010


def _as_tensor(attn_mask: Any, is_causal: bool, query: Tensor) -> Tensor | None:
    """Write out a mask that is no plain tensor, such as a `CausalBias` of PyTorch's."""
    known = known_mask(attn_mask, _CALLER, "attn_mask")
    if not isinstance(known, Mask) or known is attn_mask:
        return attn_mask
    if is_causal:
        raise OptionError(
            f"{_CALLER}: CausalBias should not be used with causal=True, and no other mask of its kind; the two may be "
            f"aligned differently. Leave out one or the other."
        )
    require_tensor(query, "query", _CALLER)
    return known.dense(query.device)


def _with_numbers(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Give query and key a number, 0, where they have none: their scores are 0 then, and the weights even."""
    if isinstance(query, Tensor) and isinstance(key, Tensor) and min(query.ndim, key.ndim) > 1:
        if query.shape[-1] == key.shape[-1] == 0:
            return torch.nn.functional.pad(query, (0, 1)), torch.nn.functional.pad(key, (0, 1))
    return query, key


def _with_masks(given: Operands, attn_mask: Tensor | None, is_causal: bool) -> Operands:
    """Add the mask to checked operands, by PyTorch's rules: -inf hides, every other number is just added."""
    n_q, n_k = given.query.shape[-2], given.key.shape[-2]
    allowed = bias = None
    if is_causal and attn_mask is not None:
        raise OptionError(
            f"{_CALLER}: Explicit attn_mask should not be set when is_causal=True. Leave out one or the other; a "
            f"boolean mask that hides what both hide is attn_mask & torch.ones({n_q}, {n_k}, dtype=torch.bool).tril()."
        )
    if attn_mask is not None:
        _check_mask_dtype(attn_mask, given)
        allowed = attn_mask if attn_mask.dtype == torch.bool else attn_mask != float("-inf")
        batch = broadcast_shape(*(x.shape[:-2] for x in (given.query, given.key, given.value))) or ()
        resolve_mask(allowed, (*batch, n_q, n_k), device=given.query.device, dtype=given.query.dtype, caller=_CALLER)
        if attn_mask.is_floating_point():
            bias = attn_mask.masked_fill(~allowed, 0.0).to(given.query.dtype)
    if is_causal:
        allowed = causal_mask(n_q, n_k, align="start").dense(given.query.device)
    return replaced(given, allowed=allowed, bias=bias)


def _check_mask_dtype(attn_mask: Tensor, given: Operands) -> None:
    require_tensor(attn_mask, "attn_mask", _CALLER)
    if attn_mask.dtype not in (torch.bool, torch.float32, given.dtype):
        raise DTypeError(
            f"{_CALLER}: attn_mask is {attn_mask.dtype}, expected torch.bool (True = may attend) or {given.dtype} like "
            f"query (added to the scores); integers that mean may attend become boolean with attn_mask.bool()."
        )


def _check_shared(query: Tensor, key: Tensor, value: Tensor) -> Operands:
    """Check the operands and repeat the heads of key and value until there are as many as of query."""
    for name, x in (("query", query), ("key", key), ("value", value)):
        require_tensor(x, name, _CALLER)
        if x.ndim < 3:
            raise ShapeError(
                f"{_CALLER}: {name} has shape {tuple(x.shape)}; with enable_gqa it needs a head axis, "
                f"(*batch, heads, n, size)."
            )
        if x.shape[-3] == 0 or query.shape[-3] % x.shape[-3]:
            raise ShapeError(
                f"{_CALLER}: {x.shape[-3]} heads of {name} cannot be shared evenly among {query.shape[-3]} heads of "
                f"query (axis -3); the one number must divide the other."
            )
    heads = query.shape[-3]
    given = check_operands(query, share_heads(key, heads), share_heads(value, heads), caller=_CALLER)
    # Repeated once more, now in working precision, so that the gradients of a shared head are summed in it.
    key, value = (share_heads(x.to(given.query.dtype), heads) for x in (key, value))
    return replaced(given, key=key, value=value)


def _factor(scale: float) -> float:
    if not isinstance(scale, Real) or isinstance(scale, bool):
        raise ArgumentTypeError(f"{_CALLER}: scale is {scale!r}, expected a number, or None for 1/√d_k.")
    return float(scale)
