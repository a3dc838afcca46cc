"""The mechanism by hand: pure functions of tensors, no module, no state, no printing."""

from attention_surgeon.masks.lazy import LazyMask, MaskLike
from attention_surgeon.ops.attention import attention
from attention_surgeon.ops.circuit import Circuit, Linears
from attention_surgeon.ops.dropout import attention_dropout, softmax_with_dropout
from attention_surgeon.ops.gradients import (
    AttentionGradients,
    attention_gradients,
    softmax_gradient,
    softmax_jacobian,
)
from attention_surgeon.ops.heads import merge_heads, share_heads, split_heads
from attention_surgeon.ops.limits import QKNorm, Sink, SoftCap, Window, unit_length
from attention_surgeon.ops.measure import MEASURES, measure_weights
from attention_surgeon.ops.operands import Operands, check_operands, resolve_mask
from attention_surgeon.ops.positions import Alibi, RelativeBias, Rotary, alibi_slopes
from attention_surgeon.ops.precision import working_dtype
from attention_surgeon.ops.softmax import logsumexp, softmax
from attention_surgeon.ops.steps import (
    STEP_NAMES,
    Mechanism,
    Steps,
    add_bias_and_hide,
    add_to_scores,
    divide_by_root_key_size,
    dot_product,
    leave_unscaled,
    multiply_by,
    softmax_over_keys,
    weighted_sum,
)
from attention_surgeon.ops.topk import keep_top_k, topk_attention

__all__ = [
    "MEASURES",
    "STEP_NAMES",
    "Alibi",
    "AttentionGradients",
    "Circuit",
    "LazyMask",
    "Linears",
    "MaskLike",
    "Mechanism",
    "Operands",
    "QKNorm",
    "RelativeBias",
    "Rotary",
    "Sink",
    "SoftCap",
    "Steps",
    "Window",
    "add_bias_and_hide",
    "add_to_scores",
    "alibi_slopes",
    "attention",
    "attention_dropout",
    "attention_gradients",
    "check_operands",
    "divide_by_root_key_size",
    "dot_product",
    "keep_top_k",
    "leave_unscaled",
    "logsumexp",
    "measure_weights",
    "merge_heads",
    "multiply_by",
    "resolve_mask",
    "share_heads",
    "softmax",
    "softmax_gradient",
    "softmax_jacobian",
    "softmax_over_keys",
    "softmax_with_dropout",
    "split_heads",
    "topk_attention",
    "unit_length",
    "weighted_sum",
    "working_dtype",
]
