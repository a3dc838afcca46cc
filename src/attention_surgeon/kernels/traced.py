"""Tiled attention as one operation that `torch.compile` and `torch.export` do not look into, and its shapes alone.

Which tiles are computed depends on numbers (how large scores can be, what a mask hides), which are not there while a
program is traced, nor in meta and fake tensors. So the traced program holds one call, `attention_surgeon::tiled`, and
its backward pass another. A mask must be a tensor there: one of `attention_surgeon.masks` is written out.
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from attention_surgeon.errors import OptionError
from attention_surgeon.kernels.autograd import Attention, GradientsOf
from attention_surgeon.kernels.operands import Operands, read_operands
from attention_surgeon.kernels.problem import Plan
from attention_surgeon.masks.lazy import LazyMask, MaskLike
from attention_surgeon.require import broadcast_shape

_CALLER = "tiled_attention"


def has_no_numbers(query: Tensor) -> bool:
    """Say whether the call is traced, or made of shapes only."""
    return torch.compiler.is_compiling() or query.is_meta or isinstance(query, FakeTensor)


def traced_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: MaskLike | None,
    *,
    scale: bool | int | float,
    dropout: int | float,
    generator: torch.Generator | None,
    use_shared_heads: bool,
) -> tuple[Tensor, Tensor]:
    """Return output and log-sum-exp as `kernels.tiled_attention` does; arguments and errors as there.

    Raises:
        OptionError: in an export to ONNX, which has no such operation.
    """
    if torch.onnx.is_in_onnx_export():
        raise OptionError(
            f"{_CALLER}: ONNX has no operation for attention in tiles; export implementation='readable', "
            f"or keep the model in PyTorch with torch.export."
        )
    if not isinstance(mask, Tensor) and isinstance(mask, LazyMask):  # 2.15 does not trace the other order
        mask = mask.dense(query.device)
    seed = torch.randint(2**62, (), generator=generator) if dropout else None
    factor = float(scale) if not isinstance(scale, bool) else None
    tiled: Any = torch.ops.attention_surgeon.tiled
    output, logsumexp, *_ = tiled(query, key, value, mask, factor, bool(scale), float(dropout), seed, use_shared_heads)
    return output.to(query.dtype), logsumexp


def _read(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    factor: float | None,
    use_scale: bool,
    dropout: float,
    seed: Tensor | None,
    use_shared_heads: bool,
) -> tuple[Operands, Plan]:
    given = read_operands(query, key, value, mask, use_scale if factor is None else factor, use_shared_heads, _CALLER)
    return given, given.plan(query.dtype, dropout, 0 if seed is None else int(seed), _CALLER)


_ARGUMENTS = (
    "Tensor query, Tensor key, Tensor value, Tensor? mask, float? factor, bool use_scale, float dropout, Tensor? seed, "
    "bool use_shared_heads"
)


@torch.library.custom_op(
    "attention_surgeon::tiled", mutates_args=(), schema=f"({_ARGUMENTS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
def _tiled(*args: Any) -> tuple[Tensor, ...]:
    """Return output `(*batch, n_q, d_v)` in the dtype of the sums, log-sum-exp, and what the backward pass needs."""
    given, plan = _read(*args)
    made, logsumexp, shift, total = Attention.apply(*given.tensors(), plan)
    return given.unfold(made), given.unfold(logsumexp), made.clone(), shift, total


@_tiled.register_fake
def _(*args: Any) -> tuple[Tensor, ...]:
    query, key, value, mask, *_, use_shared_heads = args
    given = read_operands(query, key, value, mask, True, use_shared_heads, _CALLER)
    units, n_q, d_v = given.query.shape[0], given.query.shape[1], given.value.shape[-1]
    wide = given.query
    return (
        wide.new_empty(*given.batch, n_q, d_v),
        wide.new_empty(*given.batch, n_q),
        wide.new_empty(units, n_q, d_v),
        wide.new_empty(units, n_q, 1, dtype=torch.float64),
        wide.new_empty(units, n_q, 1),
    )


@torch.library.custom_op(
    "attention_surgeon::tiled_gradients",
    mutates_args=(),
    schema="(Tensor grad_output, Tensor grad_logsumexp, Tensor made, Tensor shift, Tensor total, "
    f"{_ARGUMENTS}, bool wants_bias) -> (Tensor, Tensor, Tensor, Tensor)",
)
def _tiled_gradients(
    grad_output: Tensor, grad_logsumexp: Tensor, made: Tensor, shift: Tensor, total: Tensor, *args: Any
) -> tuple[Tensor, ...]:
    """Return the gradients in the shapes of query, key, value and mask; nothing for a mask that wants none."""
    query, key, value, mask, *rest, wants_bias = args
    mask = mask.contiguous() if wants_bias else mask  # an entry of its own for each gradient
    given, plan = _read(query, key, value, mask, *rest)
    plan = dataclasses.replace(plan, wants_bias=wants_bias)
    upstream = (grad_output.reshape(made.shape), grad_logsumexp.reshape(total.shape[:-1]))
    grads = GradientsOf.apply(*upstream, *given.tensors(), made, shift, total, plan)
    kv_batch = broadcast_shape(key.shape[:-2], value.shape[:-2])
    assert kv_batch is not None  # checked in the forward pass
    folded = [
        grad.reshape(*batch, *grad.shape[1:]).sum_to_size(x.shape).to(x.dtype)
        for grad, batch, x in zip(grads, (given.batch, kv_batch, kv_batch), (query, key, value), strict=False)
    ]
    return *folded, grads[3].reshape(mask.shape) if wants_bias else grads[3]


@_tiled_gradients.register_fake
def _(*args: Any) -> tuple[Tensor, ...]:
    query, key, value, mask, wants_bias = *args[5:9], args[-1]
    given = [x.new_empty(x.shape) for x in (query, key, value)]
    return *given, mask.new_empty(mask.shape) if wants_bias else query.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.tensors = [x is not None and isinstance(x, Tensor) for x in inputs]
    ctx.others = [x for x, is_tensor in zip(inputs, ctx.tensors, strict=True) if not is_tensor]
    ctx.save_for_backward(*output[2:], *(x for x in inputs if isinstance(x, Tensor)))


def _differentiate(ctx: Any, grad_output: Tensor, grad_logsumexp: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    made, shift, total, *tensors = ctx.saved_tensors
    left, right = iter(tensors), iter(ctx.others)
    inputs = [next(left) if is_tensor else next(right) for is_tensor in ctx.tensors]
    wants_bias = bool(ctx.needs_input_grad[3])
    *grads, bias = torch.ops.attention_surgeon.tiled_gradients(
        grad_output, grad_logsumexp, made, shift, total, *inputs, wants_bias
    )
    return *grads, bias if wants_bias else None, *(None,) * 5


_tiled.register_autograd(_differentiate, setup_context=_keep)
