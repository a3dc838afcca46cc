"""The call that is made most, one query against a cache: no mask, nothing to differentiate, nothing to lay out.

There a microsecond counts, so what may be skipped is asked first, and everything else is answered elsewhere.
"""

import math

import torch
from torch import Tensor
from torch.autograd import forward_ad

from attention_surgeon.compiled.library import team, threads_for, usable
from attention_surgeon.kernels.visible import LOG2_E


def plain_attention(query: Tensor, key: Tensor, value: Tensor, most: float) -> Tensor | None:
    """Return attention with the usual scale, `(*batch, n_q, d_v)`; None where there is anything to be asked about.

    Args:
        query: `(*batch, n_q, d_k)`.
        key: `(*batch, n_k, d_k)`.
        value: `(*batch, n_k, d_v)`.
        most: How large scores can be, in units of log 2, before their rounding shows.
    """
    if not (type(query) is type(key) is type(value) is Tensor):
        return None
    if not (query.dtype is key.dtype is value.dtype is torch.float32 and query.is_cpu and key.is_cpu and value.is_cpu):
        return None
    shape, key_shape, value_shape = query.shape, key.shape, value.shape
    if not (len(shape) == len(key_shape) == len(value_shape) > 1 and shape[:-2] == key_shape[:-2] == value_shape[:-2]):
        return None
    n_q, size, (n_k, value_size) = shape[-2], shape[-1], value_shape[-2:]
    if (n_k, size) != key_shape[-2:] or not (query.is_contiguous() and key.is_contiguous() and value.is_contiguous()):
        return None
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad):
        return None
    if forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active():
        return None
    units = math.prod(shape[:-2])
    work = units * n_q * n_k * (size + value_size)
    if not work or not size:
        return None
    functions = usable()
    if functions is None:
        return None
    output = query.new_empty(*shape[:-1], value_size)
    failed = functions.attention_plain(
        query.data_ptr(),
        key.data_ptr(),
        value.data_ptr(),
        output.data_ptr(),
        units,
        n_q,
        n_k,
        size,
        value_size,
        LOG2_E / math.sqrt(size),
        most,
        threads_for(work),
        team(),
    )
    return None if failed else output
