"""The launches: tensors in, kernels of `triton_kernels` over all blocks and units, tensors out."""

from typing import Any

import torch
import triton
from torch import Tensor

from attention_surgeon.kernels.operands import Operands
from attention_surgeon.kernels.triton_kernels import for_keys, for_queries
from attention_surgeon.kernels.triton_kernels import forward as forward_kernel
from attention_surgeon.kernels.triton_tables import make_tables
from attention_surgeon.kernels.visible import LOG2_E

_ROWS, _WIDTH = 64, 64


def forward(given: Operands) -> tuple[Tensor, Tensor]:
    """Return output `(units, n_q, d_v)` and log-sum-exp `(units, n_q)`."""
    units, n_q = given.query.shape[:2]
    output = given.query.new_empty(units, n_q, given.value.shape[-1])
    logsumexp = given.query.new_empty(units, n_q)
    tables = make_tables(given, *_tile(given))
    query, key, value = (x.contiguous() for x in (given.query, given.key, given.value))
    if output.numel():
        grid = (triton.cdiv(n_q, _tile(given)[0]), units)
        forward_kernel[grid](query, key, value, output, logsumexp, *tables.by_query, tables.cells, **_common(given))
    return output, logsumexp


def backward(given: Operands, output: Tensor, logsumexp: Tensor, grad_output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of query, key and value."""
    units, n_q = given.query.shape[:2]
    n_k = given.key.shape[-2]
    tables = make_tables(given, *_tile(given))
    query, key, value, grad_output = (x.contiguous() for x in (given.query, given.key, given.value, grad_output))
    average = (grad_output * output).sum(-1)
    grad_query = torch.empty_like(query)
    grad_key, grad_value = (x.new_empty(units, n_k, x.shape[-1]) for x in (key, value))
    inputs = (query, key, value, grad_output, logsumexp, average)
    rows, width = _tile(given)
    if grad_query.numel():
        grid = (triton.cdiv(n_q, rows), units)
        for_queries[grid](*inputs, grad_query, *tables.by_query, tables.cells, **_common(given))
    if grad_key.numel():
        grid = (triton.cdiv(n_k, width), units)
        for_keys[grid](*inputs, grad_key, grad_value, *tables.by_key, tables.cells, **_common(given))
    if units == key.shape[0]:
        return grad_query, grad_key, grad_value  # nothing is shared
    owner = torch.tensor(given.kv_of, device=key.device)
    grad_key, grad_value = (
        torch.zeros_like(x).index_add_(0, owner, grad) for x, grad in ((key, grad_key), (value, grad_value))
    )
    return grad_query, grad_key, grad_value


def _tile(given: Operands) -> tuple[int, int]:
    """Return queries and keys of a tile: Triton wants powers of 2, of at least 16."""
    return tuple(  # pyright: ignore[reportReturnType]
        min(most, max(16, triton.next_power_of_2(max(1, x.shape[-2]))))
        for most, x in ((_ROWS, given.query), (_WIDTH, given.key))
    )


def _common(given: Operands) -> dict[str, Any]:
    device = given.query.device
    rows, width = _tile(given)
    d_k, d_v = given.query.shape[-1], given.value.shape[-1]
    finite = all(bool(x.isfinite().all()) for x in (given.query, given.key, given.value))
    return {
        "kv_of": torch.tensor(given.kv_of, dtype=torch.int32, device=device),
        "mask_of": torch.tensor(given.mask_of, dtype=torch.int32, device=device),
        "scale": given.scale,
        "log2_e": LOG2_E,
        "n_q": given.query.shape[-2],
        "n_k": given.key.shape[-2],
        "d_k": d_k,
        "d_v": d_v,
        "ROWS": rows,
        "WIDTH": width,
        "KEY_SIZE": max(16, triton.next_power_of_2(d_k)),
        "VALUE_SIZE": max(16, triton.next_power_of_2(max(1, d_v))),
        "IS_CAREFUL": not finite,
    }
