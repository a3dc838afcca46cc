"""Right attention functions, put together from pieces."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.diagnose.doctor.healthy.cover import Alternative, Choice, cover
from attention_surgeon.diagnose.doctor.healthy.pieces import NUMPY, TORCH, UNSCALED, Pieces

_RETURNS: dict[str, Callable[[Any, Any], Any]] = {
    "output": lambda output, weights: output,
    "pair": lambda output, weights: (output, weights),
    "weights first": lambda output, weights: (weights, output),
    "three values": lambda output, weights: (output, weights, {"num_keys": weights.shape[-1]}),
}

_Making = Callable[[Tensor], Any]


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


def softmaxes() -> Iterator[Alternative]:
    """Yield softmaxes over the last axis."""
    for name, target in _SOFTMAXES.items():
        yield Alternative("softmax", name, target)


def causal_masks() -> Iterator[Alternative]:
    """Yield causal masks and reverse masks, made and handed over in several ways."""
    axes = {"triangle": [*TRIANGLES], "made": [*_MADE], "sizes": ["n", "n, n", "n_q, n_k"], "align": ["end", "start"]}
    for choice in cover(axes, seed=3):
        meaning, make = _MADE[choice["made"]]
        target = _mask_of_sizes(TRIANGLES[choice["triangle"]], make, choice["sizes"], choice["align"])
        options = {"mask": meaning, "align": choice["align"]}
        yield Alternative("causal_mask", ", ".join(choice.values()), target, options)
    for name, (meaning, make) in _MADE.items():
        yield Alternative("reverse_mask", f"triu, {name}", _reverse_mask(make), {"mask": meaning})


def padding_masks() -> Iterator[Alternative]:
    """Yield padding masks of lengths and of tokens, with the axes and the numbers of several styles."""
    axes = {"read": [*_READ], "made": [*_MADE], "axes": [*_AXES]}
    for choice in cover(axes, seed=4):
        source, read = _READ[choice["read"]]
        meaning, make = _MADE[choice["made"]]
        target = _padding_mask(read, make, _AXES[choice["axes"]])
        options = {"mask": meaning, "source": source}
        yield Alternative("padding_mask", ", ".join(choice.values()), target, options)


def statistics() -> Iterator[Alternative]:
    """Yield measurements of weights."""
    axes = {"library": ["torch", "NumPy"], "entropy": [*_ENTROPIES], "diagonal": [*_DIAGONALS], "local": [*_LOCALS]}
    for choice in cover(axes, seed=5):
        measure = _measurement(
            choice["library"], _ENTROPIES[choice["entropy"]], _DIAGONALS[choice["diagonal"]], _LOCALS[choice["local"]]
        )
        yield Alternative("statistics", ", ".join(choice.values()), measure)


def _divided(x: Tensor, dim: int = -1) -> Tensor:
    powers = torch.exp(x - x.max(dim=dim, keepdim=True).values)
    return powers / powers.sum(dim=dim, keepdim=True)


def _by_rows(x: Tensor) -> Tensor:
    rows = [torch.exp(row - row.max()) for row in x.reshape(-1, x.shape[-1])]
    return torch.stack([row / row.sum() for row in rows]).reshape(x.shape)


def _in_place_on_a_copy(x: Tensor) -> Tensor:
    y = x - x.amax(dim=-1, keepdim=True)
    y = y.exp_()
    return y.div(y.sum(dim=-1, keepdim=True))


def _in_numpy(x: Any, axis: int = -1) -> Any:
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def _with_logaddexp(x: Any) -> Any:
    return np.exp(x - np.logaddexp.reduce(x, axis=-1, keepdims=True))


_SOFTMAXES: Mapping[str, Callable[..., Any]] = {
    "divided": _divided,
    "row by row": _by_rows,
    "in place on a copy": _in_place_on_a_copy,
    "logsumexp": lambda x: torch.exp(x - torch.logsumexp(x, dim=-1, keepdim=True)),
    "log_softmax": lambda x, dim=-1: nn.functional.log_softmax(x, dim=dim).exp(),
    "by the method": lambda x: x.softmax(-1),
    "nn.Softmax": nn.Softmax(dim=-1),
    "sums of differences": lambda x: 1 / (x.unsqueeze(-2) - x.unsqueeze(-1)).clamp(max=80).exp().sum(-1),
    "NumPy": _in_numpy,
    "NumPy, logaddexp": _with_logaddexp,
}

_MADE: Mapping[str, tuple[str, _Making]] = {
    "boolean": ("keep", lambda allowed: allowed),
    "0/1": ("keep", lambda allowed: allowed.long()),
    "floats of 0 and 1": ("keep", lambda allowed: allowed.float()),
    "NumPy": ("keep", lambda allowed: allowed.numpy()),
    "undeclared": ("auto", lambda allowed: allowed),
    "True hides": ("hide", lambda allowed: ~allowed),
    "1 hides": ("hide", lambda allowed: 1 - allowed.int()),
    "-inf": ("additive", lambda allowed: torch.zeros(allowed.shape).masked_fill(~allowed, -math.inf)),
    "-1e9": ("additive", lambda allowed: (1.0 - allowed.float()) * -1e9),
    "lowest, undeclared": ("auto", lambda allowed: torch.where(allowed, 0.0, torch.finfo(torch.float32).min)),
}
"""What the mask means, and how it is made of who may attend."""


def _mask_of_sizes(triangle: Callable[..., Tensor], make: _Making, sizes: str, align: str) -> Callable[..., Any]:
    def rectangle(n_q: int, n_k: int) -> Any:
        return make(triangle(n_q, n_k, n_k - n_q if align == "end" else 0))

    def of_two(n_q: int, n_k: int | None = None) -> Any:
        return rectangle(n_q, n_q if n_k is None else n_k)

    return {"n": lambda n: rectangle(n, n), "n, n": lambda rows, columns: rectangle(rows, columns), "n_q, n_k": of_two}[
        sizes
    ]


def _reverse_mask(make: _Making) -> Callable[[int], Any]:
    return lambda n: make(torch.ones(n, n).triu() > 0)


def _cumulated(lengths: Tensor, n: int) -> Tensor:
    ends = torch.zeros(len(lengths), n + 1)
    ends[torch.arange(len(lengths)), lengths] = 1
    return ends.cumsum(-1)[:, :n] == 0


def _filled(lengths: Tensor, n: int) -> Tensor:
    allowed = torch.zeros(len(lengths), n, dtype=torch.bool)
    for row, length in zip(allowed, lengths.tolist(), strict=True):
        row[:length] = True
    return allowed


_READ: Mapping[str, tuple[str, Callable[[Any, int], Tensor]]] = {
    "compared": ("lengths", lambda lengths, n: torch.arange(n)[None, :] < lengths[:, None]),
    "cumulated": ("lengths", _cumulated),
    "filled": ("lengths", _filled),
    "tokens": ("tokens", lambda tokens, pad_id: tokens != pad_id),
    "tokens, not equal": ("tokens", lambda tokens, pad_id: ~torch.eq(tokens, pad_id)),
}

_AXES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "(b, n)": lambda allowed: allowed,
    "(b, 1, n)": lambda allowed: allowed.unsqueeze(1),
    "(b, 1, 1, n)": lambda allowed: allowed[:, None, None, :],
}


def _padding_mask(read: Callable[[Any, int], Tensor], make: _Making, axes: Callable[[Tensor], Tensor]) -> Any:
    return lambda source, number: make(axes(read(source, number)))


_ENTROPIES: Mapping[str, Callable[[Any], float]] = {
    "where": lambda w: float(-np.where(w > 0, w * np.log(np.where(w > 0, w, 1.0)), 0.0).sum(-1).mean()),
    "clipped": lambda w: float(-(w * np.log(np.clip(w, 1e-12, None))).sum(axis=-1).mean()),
    "with epsilon": lambda w: float(np.mean(np.sum(-w * np.log(w + 1e-10), axis=-1))),
    "row by row": lambda w: float(np.mean([-sum(p * math.log(p) for p in row if p > 0) for row in _rows(w)])),
}

_DIAGONALS: Mapping[str, Callable[[Any], float]] = {
    "diagonal": lambda w: float(np.diagonal(w, axis1=-2, axis2=-1).mean()),
    "trace": lambda w: float((np.trace(w, axis1=-2, axis2=-1) / w.shape[-1]).mean()),
    "identity": lambda w: float((w * np.eye(w.shape[-2], w.shape[-1])).sum() / np.prod(w.shape[:-1])),
    "in percent": lambda w: 100 * float(np.diagonal(w, axis1=-2, axis2=-1).mean()),
}


def _near(w: Any, window: int) -> Any:
    return np.abs(np.arange(w.shape[-2])[:, None] - np.arange(w.shape[-1])) <= window


_LOCALS: Mapping[str, Callable[[Any], float]] = {
    "1 away, to the rest": lambda w: float((w * _near(w, 1)).sum() / max((w * ~_near(w, 1)).sum(), 1e-12)),
    "2 away, to all": lambda w: float((w * _near(w, 2)).sum() / w.sum()),
    "2 away, to the rest": lambda w: float(w[..., _near(w, 2)].sum() / (w[..., ~_near(w, 2)].sum() + 1e-12)),
}


def _rows(w: Any) -> list[list[float]]:
    return np.asarray(w).reshape(-1, w.shape[-1]).tolist()


def _measurement(library: str, entropy: Any, diagonal: Any, local: Any) -> Callable[[Any], dict[str, float]]:
    def analyze_attention_patterns(weights: Any) -> dict[str, float]:
        w = weights.detach().double().numpy() if library == "torch" else np.asarray(weights)
        return {
            "max_attention": float(w.max()),
            "entropy": entropy(w),
            "diagonal_mass": diagonal(w),
            "local_vs_global": local(w),
        }

    return analyze_attention_patterns
