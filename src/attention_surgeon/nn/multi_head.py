"""`multi_head_attention_forward` with PyTorch's arguments and PyTorch's meaning, on the mechanism of `ops`.

What happens between the door and the result, one precision up and rounded once at the end:

    project     (batch, n, width)       -> (batch, heads, n, size)
    add keys    bias_k, then the zero key, behind the n_k projected ones
    mask        attn_mask and key_padding_mask, True = HIDDEN, with open columns for the added keys
    mechanism   the five steps
    project     (batch, heads, n, size) -> (batch, n, embed_dim)
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon.masks import causal_mask
from attention_surgeon.nn.drop_in_checks import (
    CALLER,
    check_added_keys,
    check_hint,
    check_inputs,
    check_static,
    check_weight,
)
from attention_surgeon.nn.drop_in_masks import HidingMasks
from attention_surgeon.nn.dropout import with_dropout
from attention_surgeon.nn.torch_errors import errors_as_torch
from attention_surgeon.ops import Mechanism, Operands, merge_heads, split_heads, working_dtype
from attention_surgeon.ops.require import require_tensor


@errors_as_torch()
def multi_head_attention_forward(
    query: Float[Tensor, "*_axes width"],
    key: Float[Tensor, "*_rest key_width"],
    value: Float[Tensor, "*_others value_width"],
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    batch_first: bool = False,
    mechanism: Mechanism = Mechanism(),  # noqa: B008  a frozen value, safe to share
) -> tuple[Tensor, Tensor | None]:
    """Return `(output, weights or None)`, as `torch.nn.functional.multi_head_attention_forward` does.

    Args:
        query: `(n_q, batch, embed_dim)`, or `(n_q, embed_dim)` for a single sequence.
        key: `(n_k, batch, key_width)` or `(n_k, key_width)`.
        value: `(n_k, batch, value_width)` or `(n_k, value_width)`.
        embed_dim_to_check: The width that query must have.
        num_heads: A divisor of that width.
        in_proj_weight: `(3 * embed_dim, embed_dim)`, the projections of query, key and value below each other.
        in_proj_bias: `(3 * embed_dim,)` or None.
        bias_k: `(1, 1, embed_dim)`, one more key behind the projected ones, or None.
        bias_v: Its value.
        add_zero_attn: Whether a key and a value of zeros are added at the end.
        dropout_p: Probability with which a weight is dropped, if `training`.
        out_proj_weight: `(embed_dim, embed_dim)`.
        out_proj_bias: `(embed_dim,)` or None.
        training: Whether to drop weights.
        key_padding_mask: `(batch, n_k)` or `(n_k,)`, boolean (True = HIDDEN) or floating (added to the scores).
        need_weights: Whether to return the weights.
        attn_mask: `(n_q, n_k)` or `(batch * num_heads, n_q, n_k)`, boolean (True = HIDDEN) or floating (added).
        use_separate_proj_weight: Whether the next three hold the projections, in place of `in_proj_weight`.
        q_proj_weight: `(embed_dim, embed_dim)`.
        k_proj_weight: `(embed_dim, key_width)`.
        v_proj_weight: `(embed_dim, value_width)`.
        static_k: Keys that are projected already, `(batch * num_heads, n_k, head_dim)`.
        static_v: Values that are projected already.
        average_attn_weights: Whether the weights are averaged over the heads.
        is_causal: A hint that `attn_mask` is the causal mask. As in PyTorch it needs one, and with
            `need_weights=False` and no `key_padding_mask` it takes the place of `attn_mask`: a false hint gives a
            wrong result, and added keys count as the last positions.
        batch_first: Whether query, key, value and the output are `(batch, n, width)`. Not an argument of PyTorch's.
        mechanism: The five steps between the projections. Not an argument of PyTorch's.

    Returns:
        output, shaped like query; and the weights that were used (after dropout), `(batch, n_q, n_k)` averaged or
        `(batch, num_heads, n_q, n_k)`, without batch for a single sequence, with columns for added keys.

    Raises:
        ArgumentTypeError: a TypeError.
        DTypeError, DeviceError, MaskError, OptionError, ShapeError: each also an AssertionError and a RuntimeError,
            one of which PyTorch raises.

    Differs from PyTorch: projections too are computed one precision up, so that no result of the same dtype is nearer
    to the true one. A query that may attend to no key gets weights 0 and gradient 0, never NaN. A boolean and a
    floating mask go together without a warning.
    """
    check_inputs(query, key, value, embed_dim_to_check, num_heads, batch_first)
    check_added_keys(bias_k, bias_v, static_k, static_v)
    check_hint(is_causal, attn_mask)
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    weights_in = _in_weights(in_proj_weight, separate, (query, key, value))
    check_weight("out_proj_weight", out_proj_weight, "the attention output", query, embed_dim_to_check)

    dtype = working_dtype(query.dtype, query.device)
    inputs = _each_once(lambda x: _to_batch_first(x.to(dtype), batch_first), (query, key, value))
    Q, K, V = _project(inputs, weights_in, in_proj_bias, (None, static_k, static_v), num_heads)
    hidden = HidingMasks(attn_mask, key_padding_mask, batched=query.ndim == 3)
    hidden.check(query, num_heads, (Q.shape[0], Q.shape[-2], K.shape[-2]))
    num_projected = K.shape[-2]
    K, V = _add_keys(K, bias_k, add_zero_attn), _add_keys(V, bias_v, add_zero_attn)
    if is_causal and key_padding_mask is None and not need_weights:
        allowed, bias = causal_mask(Q.shape[-2], K.shape[-2], align="start").dense(query.device), None
    else:
        allowed, bias = hidden.merge(num_heads, K.shape[-2] - num_projected, dtype)
    given = Operands(Q, K, V, allowed, bias, query.dtype, model_size=embed_dim_to_check)
    steps = with_dropout(mechanism, dropout_p if training else 0.0).steps(given)

    output = F.linear(merge_heads(steps.output), out_proj_weight.to(dtype), _raised(out_proj_bias, dtype))
    output = _from_batch_first(output, query.ndim == 3, batch_first).to(_result_dtype(query))
    if not need_weights:
        return output, None
    weights = steps.weights.mean(dim=1) if average_attn_weights else steps.weights
    return output, (weights if query.ndim == 3 else weights.squeeze(0)).to(_result_dtype(query))


def _in_weights(
    packed: Tensor | None, separate: tuple[Tensor | None, ...] | None, inputs: tuple[Tensor, ...]
) -> list[Tensor]:
    """Return the weights of the three projections, whichever way they are given."""
    embed_dim = inputs[0].shape[-1]
    if separate is None:
        require_tensor(packed, "in_proj_weight", CALLER)
        assert packed is not None  # refused in the line before
        names, parts = ("in_proj_weight",) * 3, packed.chunk(3)
    else:
        names, parts = ("q_proj_weight", "k_proj_weight", "v_proj_weight"), separate
    told = zip(names, parts, ("query", "key", "value"), inputs, strict=True)
    return [check_weight(name, part, input_name, x, embed_dim) for name, part, input_name, x in told]


def _each_once(function: Callable[[Tensor], Tensor], tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """Apply `function` once to each different tensor.

    In self-attention the three are one. Converted once, its three gradients are summed before they are rounded.
    """
    made = {id(tensor): function(tensor) for tensor in {id(tensor): tensor for tensor in tensors}.values()}
    return [made[id(tensor)] for tensor in tensors]


def _project(
    inputs: Sequence[Tensor],
    weights: Sequence[Tensor],
    bias: Tensor | None,
    static: Sequence[Tensor | None],
    num_heads: int,
) -> list[Tensor]:
    """Return Q, K and V `(batch, heads, n, size)`: projected, or as they are given."""
    dtype, batch, embed_dim = inputs[0].dtype, *inputs[0].shape[::2]
    biases = (None,) * 3 if bias is None else bias.to(dtype).chunk(3)
    heads = []
    for name, x, weight, part, known in zip(("", "static_k", "static_v"), inputs, weights, biases, static, strict=True):
        if known is None:
            heads.append(split_heads(F.linear(x, weight.to(dtype), part), num_heads))
        else:
            check_static(name, known, batch, num_heads, embed_dim // num_heads)
            heads.append(known.to(dtype).unflatten(0, (batch, num_heads)))
    return heads


def _add_keys(heads: Tensor, bias: Tensor | None, add_zero_attn: bool) -> Tensor:
    """Put the learned key (or value) and the one of zeros behind the others, along the positions."""
    if bias is not None:
        learned = split_heads(bias.to(heads.dtype), heads.shape[1])  # (1, 1, embed) -> (1, heads, 1, size)
        heads = torch.cat([heads, learned.expand(heads.shape[0], -1, -1, -1)], dim=-2)
    return F.pad(heads, (0, 0, 0, 1)) if add_zero_attn else heads


def _to_batch_first(x: Tensor, batch_first: bool) -> Tensor:
    if x.ndim == 2:
        return x.unsqueeze(0)  # (n, width) -> (1, n, width)
    return x if batch_first else x.transpose(0, 1)


def _from_batch_first(x: Tensor, batched: bool, batch_first: bool) -> Tensor:
    if not batched:
        return x.squeeze(0)
    return x if batch_first else x.transpose(0, 1)


def _raised(parameter: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if parameter is None else parameter.to(dtype)


def _result_dtype(query: Tensor) -> torch.dtype:
    """Return the dtype of the results: that of query, or autocast's, which PyTorch does not apply to float64."""
    if query.dtype != torch.float64 and torch.is_autocast_enabled(query.device.type):
        return torch.get_autocast_dtype(query.device.type)
    return query.dtype
