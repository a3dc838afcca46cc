"""How the patients read a mask, and the patients that make one."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.testing.function_cases import MaskMeaning


def read_mask(mask: Tensor | None, meaning: MaskMeaning) -> tuple[Tensor | None, Tensor | None]:
    """Take a mask apart into who may attend and what is added."""
    if mask is None:
        return None, None
    if meaning == "additive":
        hidden = mask <= torch.finfo(mask.dtype).min
        return ~hidden, mask.masked_fill(hidden, 0.0)
    return (mask.bool() if meaning == "keep" else ~mask.bool()), None


def causal_circuit(align: Literal["end", "start"] = "end") -> Circuit:
    """Return the circuit of a mask that hides the future."""
    return Circuit(pattern=lambda num_queries, num_keys: causal_mask(num_queries, num_keys, align=align).dense())


def make_causal_mask(circuit: Circuit) -> Callable[..., Tensor]:
    """Return `f(n)` and `f(n_q, n_k)`: what the circuit adds to scores of zero."""

    def mask(n_q: int, n_k: int | None = None) -> Tensor:
        query, key = torch.zeros(n_q, 1), torch.zeros(n_k or n_q, 1)
        return circuit.steps(Operands(query, key, key, None, None, torch.float32)).masked

    return mask


def make_reverse_mask(circuit: Circuit) -> Callable[[int], Tensor]:
    """Return `f(n)`: the causal mask turned over along both axes, and any mistake with it."""
    causal = make_causal_mask(circuit)
    return lambda n: causal(n).flip(-2, -1)


def make_padding_mask(circuit: Circuit, source: Literal["lengths", "tokens"] = "lengths") -> Callable[..., Tensor]:
    """Return `f(lengths, n)` or `f(tokens, pad_id)`: what the circuit adds to scores of zero."""

    def mask(allowed: Tensor) -> Tensor:
        x = torch.zeros(*allowed.shape, 1)
        hidden_from_all = allowed[:, None].expand(-1, allowed.shape[1], -1)
        return circuit.steps(Operands(x, x, x, hidden_from_all, None, torch.float32)).masked

    def of_lengths(lengths: Tensor, n: int) -> Tensor:
        return mask(torch.arange(n) < lengths[:, None])

    def of_tokens(tokens: Tensor, pad_id: Any) -> Tensor:
        return mask(tokens != pad_id)

    return of_lengths if source == "lengths" else of_tokens
