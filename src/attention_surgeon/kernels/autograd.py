# ruff: noqa: D102 - forward, setup_context, backward and jvp are what torch.autograd.Function says they are
# pyright: reportIncompatibleMethodOverride=false
"""The passes as functions of autograd that differentiate into each other, up to the second derivative.

    Attention     Q, K, V, B -> O, L               backward: GradientsOf     forward mode: Tangent
    GradientsOf   O', L' -> dQ, dK, dV, dB         backward: Tangent, SecondOf    forward mode: GradientsOf, SecondOf
    Tangent       X, Y, Z, W -> how O and L move   backward: GradientsOf, SecondOf
    SecondOf      the gradients of the gradients   a third derivative is refused

Each runs under `torch.func` (grad, vmap, jvp and what is made of them): the tensors that `forward` gets are plain,
those of the other methods need not be. Under `vmap` the calls become one call with more heads, in which keys that all
share stay as they are.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import Function, forward_ad

from attention_surgeon.errors import OptionError
from attention_surgeon.kernels import compiled
from attention_surgeon.kernels.backward import backward_pass
from attention_surgeon.kernels.derivatives import Directions, Upstream, second_pass, tangent_pass
from attention_surgeon.kernels.forward import ForwardResult, at_once, forward_pass
from attention_surgeon.kernels.problem import Plan
from attention_surgeon.kernels.workers import workers_for

Maybe = Tensor | None
_GIVEN = ("unit", "kv", "kv", "mask")
_MADE = ("unit", "unit", "unit")
"""What the first axis of a tensor counts: units, entries of key and value, or, of a mask, its own batch."""


class _Differentiable(Function):
    """What the four have in common: the last argument is the plan, everything else tensors or None."""

    kinds: ClassVar[tuple[str, ...]]
    result_kinds: ClassVar[tuple[str, ...]]
    shares_keys: ClassVar[bool] = False

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        *tensors, ctx.plan = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        *tensors, plan = args
        if plan.dropout:
            raise OptionError(
                f"{plan.caller}: dropout is {plan.dropout} under torch.vmap, where every call would draw the same; "
                f"set dropout=0, or give the calls as one with a batch axis."
            )
        moved = {kind for kind, dim in zip(cls.kinds, in_dims, strict=False) if dim is not None}
        shared = {"kv", "mask"} - moved if cls.shares_keys else set()
        count = info.batch_size
        joined = {"unit": len(plan.kv_of), "kv": 0, "mask": 0}
        parts: list[Maybe] = []
        for x, dim, kind in zip(tensors, in_dims, cls.kinds, strict=False):
            parts.append(x if x is None or kind in shared else _join(x, dim, kind, count))
            if kind != "unit" and kind not in shared and (part := parts[-1]) is not None:
                joined[kind] = math.prod(part.shape[1:-2]) if kind == "mask" else part.shape[0] // count
        made = cls.apply(*parts, plan.repeated(count, joined["kv"], joined["mask"]))
        taken_apart = [
            x if kind == "mask" else x.reshape(count, joined[kind], *x.shape[1:])
            for x, kind in zip(made, cls.result_kinds, strict=True)
        ]
        nothing = [kind == "mask" and not plan.wants_bias for kind in cls.result_kinds]
        return tuple(taken_apart), tuple(None if empty else 0 for empty in nothing)


def _join(x: Tensor, dim: int | None, kind: str, count: int) -> Tensor:
    """Make one tensor of those of all calls; a mask gets an axis for them."""
    x = x.expand(count, *x.shape) if dim is None else x.movedim(dim, 0)
    return x if kind == "mask" else x.reshape(count * x.shape[1], *x.shape[2:])


class Attention(_Differentiable):
    """`(query, key, value, mask, plan)` -> output, log-sum-exp, and the shift and total of the forward pass."""

    kinds = _GIVEN
    result_kinds = ("unit",) * 4
    shares_keys = True

    @staticmethod
    def forward(query: Tensor, key: Tensor, value: Tensor, mask: Maybe, plan: Plan) -> tuple[Tensor, ...]:
        problem = plan.problem(query, key, value, mask)
        made = compiled.forward(problem)
        if made is None:
            made = at_once(problem)
        if made is None:
            with workers_for(query.device, math.prod(problem.sizes)) as workers:
                made = forward_pass(problem, workers)
        logsumexp = made.logsumexp() if plan.wants_logsumexp else made.total.new_empty(made.total.shape[:-1])
        return made.output, logsumexp.to(query.dtype), made.shift, made.total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *given, ctx.plan = inputs
        made, _, shift, total = output
        ctx.mark_non_differentiable(shift, total)
        ctx.save_for_backward(*given, made, shift, total)
        ctx.save_for_forward(*given, made, shift, total)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad_output: Maybe, grad_logsumexp: Maybe, *_: Maybe) -> tuple[Maybe, ...]:
        if grad_output is None:
            grad_output = torch.zeros_like(ctx.saved_tensors[4])
        if is_legacy_batchedtensor(grad_output):
            raise OptionError(
                f"{ctx.plan.caller}: is_grads_batched=True, or vectorize=True, batches gradients in an older way than "
                f"torch.vmap, which has none for this; use torch.func.jacrev, jacfwd or hessian."
            )
        grads = GradientsOf.apply(grad_output, grad_logsumexp, *ctx.saved_tensors, ctx.plan)
        return *_or_none(grads, ctx.plan), None

    @staticmethod
    def jvp(ctx: Any, *along: Maybe) -> tuple[Maybe, ...]:
        return *Tangent.apply(*along[:4], *ctx.saved_tensors, ctx.plan), None, None


class GradientsOf(_Differentiable):
    """`(grad_output, grad_logsumexp, *given, *made, plan)` -> gradients of query, key, value, and mask (or nothing)."""

    kinds = ("unit", "unit", *_GIVEN, *_MADE)
    result_kinds = _GIVEN

    @staticmethod
    def forward(grad_output: Tensor, grad_logsumexp: Maybe, *args: Any) -> tuple[Tensor, ...]:
        *given, output, shift, total, plan = args
        problem, made = plan.problem(*given), ForwardResult(output, shift, total)
        bias = given[3] if plan.wants_bias else None
        grads = compiled.backward(problem, made, grad_output, grad_logsumexp) if bias is None else None
        if grads is None:
            with _workers(problem.sizes, output, bias) as workers:
                grads = backward_pass(problem, made, grad_output, grad_logsumexp, bias, workers)
        return *grads[:3], output.new_empty(0) if bias is None or grads.bias is None else grads.bias.to(bias.dtype)

    @staticmethod
    def backward(ctx: Any, *along: Maybe) -> tuple[Maybe, ...]:
        grad_output, grad_logsumexp, *saved = ctx.saved_tensors
        along = _or_none(along, ctx.plan)
        moved = Tangent.apply(*along, *saved, ctx.plan) if any(ctx.needs_input_grad[:2]) else (None, None)
        second = SecondOf.apply(*along, grad_output, grad_logsumexp, *saved, ctx.plan)
        moved_logsumexp = None if grad_logsumexp is None else moved[1]
        return moved[0], moved_logsumexp, *_or_none(second, ctx.plan), None, None, None, None

    @staticmethod
    def jvp(ctx: Any, moved_output: Maybe, moved_logsumexp: Maybe, *along: Maybe) -> tuple[Maybe, ...]:
        grad_output, grad_logsumexp, *saved = ctx.saved_tensors
        moved = SecondOf.apply(*along[:4], grad_output, grad_logsumexp, *saved, ctx.plan)
        if moved_output is not None or moved_logsumexp is not None:
            moved_output = torch.zeros_like(grad_output) if moved_output is None else moved_output
            linear = GradientsOf.apply(moved_output, moved_logsumexp, *saved, ctx.plan)
            moved = tuple(one + other for one, other in zip(moved, linear, strict=True))
        return tuple(moved)


class Tangent(_Differentiable):
    """`(X, Y, Z, W, *given, *made, plan)` -> how output and log-sum-exp move."""

    kinds = (*_GIVEN, *_GIVEN, *_MADE)
    result_kinds = ("unit", "unit")

    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, Tensor]:
        *tensors, plan = args
        along, given, made = Directions(*tensors[:4]), tensors[4:8], ForwardResult(*tensors[8:])
        problem = plan.problem(*given)
        with _workers(problem.sizes, made.output, None) as workers:
            return tangent_pass(problem, made, along, workers)

    @staticmethod
    def backward(ctx: Any, grad_output: Maybe, grad_logsumexp: Maybe) -> tuple[Maybe, ...]:
        along, saved = ctx.saved_tensors[:4], ctx.saved_tensors[4:]
        if grad_output is None:
            grad_output = torch.zeros_like(saved[4])
        linear = GradientsOf.apply(grad_output, grad_logsumexp, *saved, ctx.plan)
        second = SecondOf.apply(*along, grad_output, grad_logsumexp, *saved, ctx.plan)
        linear, second = _or_none(linear, ctx.plan), _or_none(second, ctx.plan)
        linear = [None if x is None else grad for x, grad in zip(along, linear, strict=True)]
        return *linear, *second, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *_: Maybe) -> NoReturn:
        _refuse(ctx.plan, "forward mode inside forward mode", "torch.func.hessian (jacfwd of jacrev) is there,")


class SecondOf(_Differentiable):
    """`(X, Y, Z, W, grad_output, grad_logsumexp, *given, *made, plan)` -> gradients of what `derivatives` calls φ."""

    kinds = (*_GIVEN, "unit", "unit", *_GIVEN, *_MADE)
    result_kinds = _GIVEN

    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, ...]:
        *tensors, plan = args
        along, upstream = Directions(*tensors[:4]), Upstream(*tensors[4:6])
        given, made = tensors[6:10], ForwardResult(*tensors[10:])
        problem, bias = plan.problem(*given), given[3] if plan.wants_bias else None
        with _workers(problem.sizes, made.output, bias) as workers:
            tangents = tangent_pass(problem, made, along, workers)
            grads = second_pass(problem, made, along, tangents, upstream, bias, workers)
        return *grads[:3], made.output.new_empty(0) if bias is None or grads.bias is None else grads.bias.to(bias.dtype)

    @staticmethod
    def backward(ctx: Any, *_: Maybe) -> NoReturn:
        _refuse(ctx.plan, "a third derivative", "The first and the second are there,")

    @staticmethod
    def jvp(ctx: Any, *_: Maybe) -> NoReturn:
        _refuse(ctx.plan, "a third derivative", "The first and the second are there,")


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Maybe, plan: Plan) -> tuple[Tensor, ...]:
    """Return what `Attention` returns; where nothing can be differentiated, without autograd's own work around it."""
    is_plain = forward_ad._current_level < 0 and not torch._C._are_functorch_transforms_active()
    tensors = (query, key, value, mask)
    if is_plain and not (torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)):
        return Attention.forward(*tensors, plan)
    return Attention.apply(*tensors, plan)


def _workers(sizes: tuple[int, ...], like: Tensor, bias: Maybe) -> Any:
    return workers_for(like.device, math.prod(sizes) if bias is None else 0)


def _or_none(grads: Sequence[Maybe], plan: Plan) -> tuple[Maybe, ...]:
    """Return gradients of query, key, value and mask, the last None where none was asked for."""
    return *grads[:3], grads[3] if plan.wants_bias else None


def _refuse(plan: Plan, what: str, instead: str) -> NoReturn:
    raise OptionError(
        f"{plan.caller}: {what} is not there in tiles. {instead} and ops.attention has derivatives of every order."
    )
