"""ONNX's `Attention` operator, opset 23 to 25, with its arguments and its meaning, on the mechanism of `ops`."""

from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.ops import (
    Mechanism,
    Operands,
    add_bias_and_hide,
    check_operands,
    merge_heads,
    multiply_by,
    resolve_mask,
    share_heads,
    split_heads,
)
from attention_surgeon.ops.operands import replaced
from attention_surgeon.ops.steps import named_step
from attention_surgeon.require import require_count, require_tensor

_CALLER = "onnx_attention"
_MODES = ("scaled scores", "scores after the soft cap", "scores with the mask", "weights")


@final
class OnnxAttention(NamedTuple):
    """The operator's four outputs.

    Attributes:
        output: `(batch, heads, n_q, d_v)`, or `(batch, n_q, heads * d_v)` for inputs of three axes.
        present_key: Past and new keys, `(batch, kv heads, n_k, d_k)`.
        present_value: Past and new values.
        qk_matmul_output: What `qk_matmul_output_mode` asks for, `(batch, heads, n_q, n_k)`.
    """

    output: Tensor
    present_key: Tensor
    present_value: Tensor
    qk_matmul_output: Tensor


def onnx_attention(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    attn_mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    nonpad_kv_seqlen: Tensor | None = None,
    *,
    scale: float | None = None,
    is_causal: bool | int = False,
    q_num_heads: int | None = None,
    kv_num_heads: int | None = None,
    softcap: float | None = None,
    qk_matmul_output_mode: int = 0,
    softmax_precision: int | None = None,
    left_window_size: int = -1,
    right_window_size: int = -1,
) -> OnnxAttention:
    """Return what ONNX's `Attention` computes.

    Source: the ONNX operator specification, `Attention`, versions 23, 24 (`nonpad_kv_seqlen`) and 25 (windows).

    Args:
        Q: `(batch, heads, n_q, d_k)`, or `(batch, n_q, heads * d_k)` with `q_num_heads` and `kv_num_heads`.
        K: `(batch, kv heads, n_k, d_k)`, or `(batch, n_k, kv heads * d_k)`; kv heads divide the heads of Q.
        V: As K.
        attn_mask: Boolean (True = may attend) or floating (added). It broadcasts to `(batch, heads, n_q, n_k)`; keys
            beyond its last column are hidden.
        past_key: Keys of earlier calls `(batch, kv heads, past, d_k)`, put in front of K.
        past_value: Values of earlier calls.
        nonpad_kv_seqlen: `(batch,)`, how many keys of each sequence count (a cache that is kept outside).
        scale: Factor for the scores; None: `1 / √d_k`.
        is_causal: Whether a query sees only what stands before it and itself. Query i stands at `past + i`, or, with
            `nonpad_kv_seqlen`, so that the last query sees the last key that counts.
        q_num_heads: Heads of a Q with three axes.
        kv_num_heads: Heads of a K and V with three axes.
        softcap: Scores become `softcap * tanh(scores / softcap)`, before the mask. None or 0: they do not.
        qk_matmul_output_mode: Fourth output: 0 scaled scores, 1 after the soft cap, 2 with the mask, 3 the weights.
        softmax_precision: Taken and not needed: sums run one precision up (`ops.precision`) whatever it says.
        left_window_size: How many keys before its own a query sees; -1: all.
        right_window_size: How many keys after its own; -1: all.

    Returns:
        `OnnxAttention`, all in the dtype of Q. A query without keys gets 0.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, MaskError, OptionError, ShapeError: with the way out.

    >>> Q = K = torch.eye(2).reshape(1, 1, 2, 2)
    >>> onnx_attention(Q, K, torch.tensor([[[[2.0], [4.0]]]]), is_causal=1).output.flatten()
    tensor([2.0000, 3.3395])
    """
    _check(Q, K, V, q_num_heads, kv_num_heads, (past_key is None, past_value is None), qk_matmul_output_mode)
    has_width_only = Q.ndim == 3
    if has_width_only and q_num_heads and kv_num_heads:
        Q, K, V = split_heads(Q, q_num_heads), split_heads(K, kv_num_heads), split_heads(V, kv_num_heads)
    past = 0
    if past_key is not None and past_value is not None:
        past = past_key.shape[-2]
        K, V = torch.cat((past_key, K), dim=-2), torch.cat((past_value, V), dim=-2)
    heads = Q.shape[1]
    given = check_operands(Q, share_heads(K, heads), share_heads(V, heads), caller=_CALLER)
    # Where query 0 stands: after the past, or so that the last query meets the last key that counts.
    start = torch.tensor([past]) if nonpad_kv_seqlen is None else nonpad_kv_seqlen.flatten().cpu() - Q.shape[-2]
    window = (left_window_size, 0 if is_causal else right_window_size)
    seen = _seen(Q.shape[-2], K.shape[-2], start, window)
    if nonpad_kv_seqlen is not None:
        seen = seen & (torch.arange(K.shape[-2]) < nonpad_kv_seqlen.reshape(-1, 1, 1, 1).cpu())
    given = _with_mask(given, attn_mask, seen.to(Q.device))
    mechanism = Mechanism() if scale is None else Mechanism(scale=multiply_by(float(scale)))
    if softcap:
        mechanism = mechanism.replace(mask=named_step(_cap_and_mask, f"cap({softcap})", cap=float(softcap)))
    steps = mechanism.steps(given)
    capped = _capped(steps.scaled, softcap) if softcap else steps.scaled
    shown = (steps.scaled, capped, steps.masked, steps.weights)[qk_matmul_output_mode]
    output = merge_heads(steps.output) if has_width_only else steps.output
    return OnnxAttention(output.to(Q.dtype), K, V, shown.to(Q.dtype))


def _capped(scaled: Tensor, cap: float) -> Tensor:
    return cap * torch.tanh(scaled / cap)


def _cap_and_mask(scaled: Tensor, operands: Operands, *, cap: float) -> Tensor:
    return add_bias_and_hide(_capped(scaled, cap), operands)


def _seen(n_q: int, n_k: int, start: Tensor, window: tuple[int, int]) -> Tensor:
    """Return which keys lie in the window of each query, `(batch or 1, 1, n_q, n_k)`; -1 is no bound."""
    distance = torch.arange(n_k) - (torch.arange(n_q)[:, None] + start.reshape(-1, 1, 1, 1))  # key minus query
    seen = torch.ones_like(distance, dtype=torch.bool)
    left, right = window
    if left >= 0:
        seen &= distance >= -left
    return seen & (distance <= right) if right >= 0 else seen


def _with_mask(given: Operands, attn_mask: Tensor | None, allowed: Tensor) -> Operands:
    """Add the mask to checked operands: -inf hides, every other number is added."""
    if attn_mask is None:
        return replaced(given, allowed=allowed)
    require_tensor(attn_mask, "attn_mask", _CALLER)
    is_added = attn_mask.is_floating_point()
    beyond = given.key.shape[-2] - attn_mask.shape[-1]
    if beyond > 0:
        attn_mask = F.pad(attn_mask, (0, beyond), value=float("-inf") if is_added else False)
    own = attn_mask != float("-inf") if is_added else attn_mask
    scores = (*given.query.shape[:-1], given.key.shape[-2])
    own, _ = resolve_mask(own, scores, device=given.query.device, dtype=given.query.dtype, caller=_CALLER)
    assert own is not None  # there is a mask
    bias = attn_mask.masked_fill(~own, 0.0).to(given.query.dtype) if is_added else None
    return replaced(given, allowed=allowed & own, bias=bias)


def _check(
    Q: Any, K: Any, V: Any, q_heads: int | None, kv_heads: int | None, no_past: tuple[bool, bool], mode: int
) -> None:
    for name, x in (("Q", Q), ("K", K), ("V", V)):
        require_tensor(x, name, _CALLER)
        if x.ndim != Q.ndim or x.ndim not in (3, 4):
            raise ShapeError(
                f"{_CALLER}: {name} has shape {tuple(x.shape)}, expected (batch, heads, n, size) for all three, "
                f"or (batch, n, heads * size) for all three."
            )
    for name, count in (("q_num_heads", q_heads), ("kv_num_heads", kv_heads)):
        if Q.ndim == 3:
            require_count(count, name, _CALLER)
    if no_past[0] != no_past[1]:
        raise OptionError(f"{_CALLER}: past_key and past_value go together; give both or neither.")
    if mode not in range(len(_MODES)):
        listed = ", ".join(f"{number} ({what})" for number, what in enumerate(_MODES))
        raise OptionError(f"{_CALLER}: qk_matmul_output_mode is {mode!r}, expected one of {listed}.")
