"""Right attention functions, put together from pieces."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.diagnose.doctor.healthy.alternative import Alternative
from attention_surgeon.diagnose.doctor.healthy.cover import Choice, cover
from attention_surgeon.diagnose.doctor.healthy.pieces import TORCH, UNSCALED, Pieces
from attention_surgeon.diagnose.doctor.healthy.pieces_numpy import NUMPY

_RETURNS: dict[str, Callable[[Any, Any], Any]] = {
    "output": lambda output, weights: output,
    "pair": lambda output, weights: (output, weights),
    "weights first": lambda output, weights: (weights, output),
    "three values": lambda output, weights: (output, weights, {"num_keys": weights.shape[-1]}),
}


def attention_functions() -> Iterator[Alternative]:
    """Yield attention functions in torch and NumPy."""
    for library, pieces, forms in (("torch", TORCH, _FORMS), ("NumPy", NUMPY, {"plain": _as_function})):
        axes = {
            "product": [*pieces.products],
            "scaling": [*pieces.scalings],
            "hiding": [*pieces.hidings],
            "core": [*pieces.cores],
            "returns": [*_RETURNS],
            "form": [*forms],
        }
        for choice in cover(axes, seed=1, fits=_can_return):
            options = {"mask": pieces.hidings[choice["hiding"]].meaning}
            if choice["returns"] == "weights first":
                options["returns"] = "weights_first"
            target = forms[choice["form"]](put_together(pieces, choice))
            yield Alternative("attention", _name(library, choice), target, options)
    for product in TORCH.products:
        choice = {
            "product": product,
            "scaling": "unscaled",
            "hiding": "keep, -1e9",
            "core": "softmax",
            "returns": "pair",
        }
        yield Alternative("attention", _name("torch", choice), put_together(TORCH, choice), {"scaled": False})


def causal_functions() -> Iterator[Alternative]:
    """Yield functions that hide the future themselves."""
    axes = {
        "product": [*TORCH.products],
        "triangle": [*TRIANGLES],
        "hiding": ["keep, -inf, cleaned", "keep, -1e9", "keep, multiplied", "keep, lowest"],
        "core": [*TORCH.cores],
        "align": ["end", "start"],
    }
    for choice in cover(axes, seed=2):
        attention = put_together(TORCH, {**choice, "scaling": "divided", "returns": "output"})
        yield Alternative(
            "causal_attention",
            _name("torch", choice),
            _causal(attention, TRIANGLES[choice["triangle"]], choice["align"]),
            {"align": choice["align"]},
        )


def put_together(pieces: Pieces, choice: Choice) -> Callable[..., Any]:
    """Return the attention function of a choice: `(query, key, value, mask, drop) -> ...`."""
    product, core = pieces.products[choice["product"]], pieces.cores[choice["core"]]
    scaling = {**pieces.scalings, **UNSCALED}[choice["scaling"]]
    hiding, returned = pieces.hidings[choice["hiding"]], _RETURNS[choice["returns"]]

    def attention(query: Any, key: Any, value: Any, mask: Any = None, drop: Any = lambda weights: weights) -> Any:
        scores, factor = scaling(product, query, key), None
        if mask is not None:
            scores, factor = hiding.hide(scores, mask)
        output, weights = core(scores, value, factor, drop)
        if hiding.cleans:
            output, weights = pieces.clean(output), None if weights is None else pieces.clean(weights)
        return returned(output, weights)

    return attention


def _can_return(choice: Choice) -> bool:
    return choice["returns"] == "output" or choice["core"] not in ("online", "divided last")


def _as_function(attention: Callable[..., Any]) -> Callable[..., Any]:
    def function(Q: Any, K: Any, V: Any, mask: Any = None) -> Any:
        return attention(Q, K, V, mask)

    return function


def _as_function_that_needs_a_mask(attention: Callable[..., Any]) -> Callable[..., Any]:
    def function(query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Any:
        return attention(query, key, value, attention_mask)

    return function


def _as_module(attention: Callable[..., Any]) -> Callable[..., Any]:
    class DotProductAttention(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Any:
            return attention(q, k, v, mask)

    return DotProductAttention()


_FORMS: dict[str, Callable[..., Any]] = {
    "function": _as_function,
    "mask needed": _as_function_that_needs_a_mask,
    "module": _as_module,
}


def _index_triangle(n_q: int, n_k: int, shift: int) -> Tensor:
    return torch.arange(n_k)[None, :] <= torch.arange(n_q)[:, None] + shift


def _listed_triangle(n_q: int, n_k: int, shift: int) -> Tensor:
    return torch.tensor([[j <= i + shift for j in range(n_k)] for i in range(n_q)])


TRIANGLES: dict[str, Callable[[int, int, int], Tensor]] = {
    "tril": lambda n_q, n_k, shift: torch.ones(n_q, n_k, dtype=torch.bool).tril(shift),
    "triu": lambda n_q, n_k, shift: ~torch.triu(torch.ones(n_q, n_k, dtype=torch.bool), diagonal=shift + 1),
    "index": _index_triangle,
    "list": _listed_triangle,
    "NumPy": lambda n_q, n_k, shift: torch.from_numpy(np.tri(n_q, n_k, shift, dtype=bool)),
}
"""`(n_q, n_k, shift) -> who may attend`, where query i sees the keys up to i + shift."""


def _causal(attention: Callable[..., Any], triangle: Callable[[int, int, int], Tensor], align: str) -> Any:
    def causal_attention(Q: Tensor, K: Tensor, V: Tensor) -> Any:
        n_q, n_k = Q.shape[-2], K.shape[-2]
        return attention(Q, K, V, triangle(n_q, n_k, n_k - n_q if align == "end" else 0))

    return causal_attention


def _name(library: str, choice: Choice) -> str:
    return ", ".join([library, *choice.values()])
