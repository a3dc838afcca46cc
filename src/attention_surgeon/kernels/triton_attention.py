"""Attention in tiles on a GPU, written in Triton: the contract of `tiled_attention`, but for dropout."""

import importlib.metadata
import importlib.util
import os
from typing import Any, Literal, NoReturn, overload

import torch
from jaxtyping import Float
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd import Function
from torch.torch_version import TorchVersion

from attention_surgeon.errors import DeviceError, DTypeError, LoadError, OptionError
from attention_surgeon.kernels.operands import Operands, read_operands
from attention_surgeon.kernels.visible import wants_gradient
from attention_surgeon.masks import Mask
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.require import require_probability, require_switch, require_tensor

_CALLER = "triton_attention"


@overload
def triton_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: MaskLike | None = ...,
    *,
    scale: bool | int | float = ...,
    dropout: int | float = ...,
    use_shared_heads: bool = ...,
    return_logsumexp: Literal[False] = ...,
) -> Tensor: ...
@overload
def triton_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: MaskLike | None = ...,
    *,
    scale: bool | int | float = ...,
    dropout: int | float = ...,
    use_shared_heads: bool = ...,
    return_logsumexp: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def triton_attention(
    query: Float[Tensor, "*_batch q d"],
    key: Float[Tensor, "*_rest k d"],
    value: Float[Tensor, "*_others k v"],
    mask: MaskLike | None = None,
    *,
    scale: bool | int | float = True,
    dropout: int | float = 0.0,
    use_shared_heads: bool = False,
    return_logsumexp: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return what `tiled_attention` returns, computed by kernels in Triton on the GPU that the tensors are on.

    With the environment variable `TRITON_INTERPRET=1`, set before Python starts, Triton's interpreter runs the same
    kernels on a CPU: far too slowly for use, but so they are tested.

    Args:
        query: `(*batch, n_q, d_k)`, on a CUDA device.
        key: `(*batch, n_k, d_k)`.
        value: `(*batch, n_k, d_v)`.
        mask: As for `tiled_attention`; a floating mask that wants a gradient is refused.
        scale: As for `tiled_attention`.
        dropout: 0; anything else is refused.
        use_shared_heads: As for `tiled_attention`.
        return_logsumexp: As for `tiled_attention`; here without a gradient of its own.

    Returns:
        As `tiled_attention`.

    Raises:
        DeviceError: the tensors are not on a CUDA device, and Triton's interpreter is not switched on.
        DTypeError, LoadError: Triton is not installed, or too old for float64, or its interpreter for NumPy.
        OptionError: what only the other implementations do; else as `tiled_attention`.

    Differs from `tiled_attention`: scores are float32 however large they are, and infinity among the values gives NaN.

    >>> triton_attention(torch.ones(1, 2), torch.eye(2), torch.eye(2))
    Traceback (most recent call last):
    attention_surgeon.errors.DeviceError: triton_attention: the tensors are on cpu, and Triton runs on a CUDA device; \
move them there, use implementation='tiled', or set TRITON_INTERPRET=1 to have Triton's slow interpreter run it here.
    """
    require_switch(return_logsumexp, "return_logsumexp", _CALLER)
    require_probability(dropout, "dropout", _CALLER)
    require_tensor(query, "Q", _CALLER)
    if is_functorch_wrapped_tensor(query):
        raise OptionError(f"{_CALLER}: torch.func (grad, vmap, jvp) has no way through it; use implementation='tiled'.")
    _require_place(query.device)
    if dropout:
        raise OptionError(f"{_CALLER}: dropout is {dropout}, but this kernel has none; use implementation='tiled'.")
    given = read_operands(query, key, value, mask, scale, use_shared_heads, _CALLER)
    if not isinstance(given.mask, Mask) and wants_gradient(given.mask):
        raise OptionError(
            f"{_CALLER}: this kernel has no gradient of a floating mask; "
            f"pass mask.detach(), or use implementation='tiled'."
        )
    require_able(query)
    output, logsumexp = _TritonAttention.apply(given.query, given.key, given.value, given)
    output = given.unfold(output).to(query.dtype)
    return (output, given.unfold(logsumexp)) if return_logsumexp else output


class _TritonAttention(Function):
    """The forward pass as a function of autograd."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, given: Operands) -> tuple[Tensor, Tensor]:
        from attention_surgeon.kernels import triton_passes

        made = triton_passes.forward(given)
        ctx.given = given
        ctx.save_for_backward(query, key, value, *made)
        ctx.mark_non_differentiable(made[1])
        return made

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor, _grad_logsumexp: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return *_TritonGradients.apply(grad_output, *ctx.saved_tensors, ctx.given), None


class _TritonGradients(Function):
    """The backward pass as a function of autograd, so that whoever differentiates it is told."""

    @staticmethod
    def forward(ctx: Any, grad_output: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
        from attention_surgeon.kernels import triton_passes

        *_, output, logsumexp, given = args
        return triton_passes.backward(given, output, logsumexp, grad_output)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise OptionError(f"{_CALLER}: there is no second derivative in Triton; use implementation='tiled'.")


def _require_place(device: torch.device) -> None:
    if importlib.util.find_spec("triton") is None:
        raise LoadError(f"{_CALLER}: Triton is not installed; pip install triton (Linux only), or use another kernel.")
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise DeviceError(
            f"{_CALLER}: the tensors are on {device}, and Triton runs on a CUDA device; move them there, use "
            f"implementation='tiled', or set TRITON_INTERPRET=1 to have Triton's slow interpreter run it here."
        )


def require_able(query: Tensor) -> None:
    """Refuse what the Triton that is installed cannot run: products of float64, or its interpreter beside this NumPy.

    Raises:
        DTypeError, LoadError: with the ways out.
    """
    if query.dtype == torch.float64 and (triton := _version("triton")) < "3.5":
        raise DTypeError(
            f"{_CALLER}: Triton {triton} has no products of float64; pass float32, install triton>=3.5, or use "
            f"implementation='tiled'."
        )
    # Interpreters before 3.7 take arrays of one entry for numbers.
    if query.device.type != "cuda" and (triton := _version("triton")) < "3.7" and (numpy := _version("numpy")) >= "2.5":
        raise LoadError(
            f"{_CALLER}: the interpreter of Triton {triton} does not run with NumPy {numpy}; install numpy<2.5 or "
            f"triton>=3.7, or use implementation='tiled'."
        )


def _version(name: str) -> TorchVersion:
    return TorchVersion(importlib.metadata.version(name))
