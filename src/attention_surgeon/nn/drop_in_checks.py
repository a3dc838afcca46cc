"""The door of the drop-in: what `multi_head_attention_forward` is given must fit together.

It refuses what PyTorch refuses, and says why.
"""

import torch
from torch import Tensor

from attention_surgeon.errors import DeviceError, DTypeError, OptionError, ShapeError
from attention_surgeon.nn.autocast import under_autocast
from attention_surgeon.require import require_count, require_floating, require_tensor

CALLER = "multi-head attention"


def check_inputs(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_heads: int, batch_first: bool) -> None:
    """Check query, key and value against each other and against the sizes of the module.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, OptionError, ShapeError: with the way out.
    """
    require_count(num_heads, "num_heads", CALLER)
    for name, x in (("query", query), ("key", key), ("value", value)):
        require_floating(x, name, CALLER)
        check_agrees(name, x, query)
    _check_axes(query, key, value, batch_first)
    if query.shape[-1] != embed_dim:
        raise ShapeError(f"{CALLER}: query has shape {tuple(query.shape)}, expected width {embed_dim}, the embed_dim.")
    if embed_dim % num_heads:
        raise ShapeError(f"{CALLER}: embed_dim {embed_dim} cannot be cut into {num_heads} equal heads.")


def _check_axes(query: Tensor, key: Tensor, value: Tensor, batch_first: bool) -> None:
    order = "(batch, n, width)" if batch_first else "(n, batch, width)"
    shapes = f"query has shape {tuple(query.shape)}, key {tuple(key.shape)} and value {tuple(value.shape)}"
    either = f"{order} for all, or (n, width) for all, a single sequence"
    # What stands before the last colon is PyTorch's own wording, which its tests and some callers look for.
    if query.ndim not in (2, 3):
        raise ShapeError(
            f"{CALLER}: {shapes}; query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query "
            f"tensor: {either}."
        )
    if not query.ndim == key.ndim == value.ndim:
        raise ShapeError(
            f"{CALLER}: {shapes}; expected `key` and `value` to be {query.ndim}-D but found {key.ndim}-D and "
            f"{value.ndim}-D tensors respectively: {either}."
        )
    if key.shape[:-1] != value.shape[:-1]:
        raise ShapeError(
            f"{CALLER}: {shapes}; each key needs one value, so all but the last axis of these two must be the same."
        )
    batch_axis = 0 if batch_first else 1
    if query.ndim == 3 and query.shape[batch_axis] != key.shape[batch_axis]:
        raise ShapeError(
            f"{CALLER}: {shapes}; axis {batch_axis}, the batch of {order}, must be the same; "
            f"batch_first says which axis it is."
        )


def check_agrees(name: str, tensor: Tensor, query: Tensor, *, is_added: bool = False) -> None:
    """Check that a tensor has the device of query, and its dtype unless autocast converts anyway.

    What is only added may have a dtype with fewer digits, as in PyTorch.

    Raises:
        DTypeError, DeviceError: with the way out.
    """
    if tensor.device != query.device:
        raise DeviceError(
            f"{CALLER}: query is on {query.device} and {name} on {tensor.device}; all tensors of a call share a device."
        )
    fits = tensor.dtype == query.dtype or (is_added and torch.promote_types(tensor.dtype, query.dtype) == query.dtype)
    if not fits and not under_autocast(query):
        raise DTypeError(
            f"{CALLER}: query is {query.dtype} and {name} is {tensor.dtype}; "
            f"convert the inputs with .to(dtype) or the module with module.to(dtype)."
        )


def check_hint(is_causal: bool, attn_mask: Tensor | None) -> None:
    """Check that the hint is about something.

    Raises:
        OptionError: with the way to make the mask.
    """
    if is_causal and attn_mask is None:
        raise OptionError(
            f"{CALLER}: is_causal is a hint about attn_mask, which is None; pass that mask as well, "
            f"torch.nn.Transformer.generate_square_subsequent_mask(n) makes it."
        )


def check_static(name: str, static: Tensor, like: Tensor, bias: Tensor | None) -> None:
    """Check keys or values that are projected already against those `like` which they replace.

    Raises:
        ArgumentTypeError, OptionError, ShapeError: with the way out.
    """
    require_tensor(static, name, CALLER)
    if bias is not None:
        kind = {"static_k": "key", "static_v": "value"}[name]
        raise OptionError(f"{CALLER}: bias cannot be added to static {kind}. Leave out {name}, or bias_k and bias_v.")
    batch, heads, _, size = like.shape
    if static.ndim != 3 or (static.shape[0], static.shape[2]) != (batch * heads, size):
        raise ShapeError(
            f"{CALLER}: {name} has shape {tuple(static.shape)}, expected ({batch * heads}, n_k, {size}), "
            f"(batch * num_heads, n_k, head_dim)."
        )
    check_agrees(name, static, like)
