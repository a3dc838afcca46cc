"""What a right attention is put together from, in torch: each piece in the ways in which people write it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Product: TypeAlias = Callable[[Any, Any], Any]

Scaling: TypeAlias = Callable[[Product, Any, Any], Any]

Drop: TypeAlias = Callable[[Any], Any]

Core: TypeAlias = Callable[[Any, Any, Any, Drop], tuple[Any, Any]]
"""`(scores, value, factor, drop) -> (output, weights or None)`; the factor multiplies the exponentials."""


@dataclass(frozen=True)
class Hiding:
    """One way to hide.

    Attributes:
        meaning: What the mask means: `keep`, `hide`, `additive`.
        hide: `(scores, mask) -> (scores, factor)`.
        cleans: Whether NaN, of a query without keys, becomes 0 at the end.
    """

    meaning: str
    hide: Callable[[Any, Any], tuple[Any, Any]]
    cleans: bool = False


@dataclass(frozen=True)
class Pieces:
    """All the pieces of one library."""

    products: Mapping[str, Product]
    scalings: Mapping[str, Scaling]
    hidings: Mapping[str, Hiding]
    cores: Mapping[str, Core]
    clean: Callable[[Any], Any]


def _row_by_row(query: Tensor, key: Tensor) -> Tensor:
    rows = [(key @ query[..., i, :, None]).squeeze(-1) for i in range(query.shape[-2])]
    return torch.stack(rows, dim=-2)


def _batched(query: Tensor, key: Tensor) -> Tensor:
    batch = query.shape[:-2]
    flat = torch.bmm(query.flatten(0, -3), key.flatten(0, -3).transpose(1, 2))
    return flat.reshape(*batch, *flat.shape[-2:])


def _in_place(product: Product, query: Any, key: Any) -> Any:
    scores = product(query, key)
    scores /= math.sqrt(query.shape[-1])
    return scores


SCALINGS: dict[str, Scaling] = {
    "divided": lambda product, q, k: product(q, k) / math.sqrt(q.shape[-1]),
    "times d^-0.5": lambda product, q, k: product(q, k) * q.shape[-1] ** -0.5,
    "query scaled": lambda product, q, k: product(q / math.sqrt(q.shape[-1]), k),
    "key scaled": lambda product, q, k: product(q, k * q.shape[-1] ** -0.5),
    "half each": lambda product, q, k: product(q * q.shape[-1] ** -0.25, k * q.shape[-1] ** -0.25),
    "in place": _in_place,
}

UNSCALED: dict[str, Scaling] = {"unscaled": lambda product, q, k: product(q, k)}


def _lowest(scores: Tensor) -> float:
    return torch.finfo(scores.dtype).min


HIDINGS = {
    "keep, -inf, cleaned": Hiding("keep", lambda s, m: (s.masked_fill(~m, -math.inf), None), cleans=True),
    "keep, -1e9": Hiding("keep", lambda s, m: (s.masked_fill(m == 0, -1e9), None)),
    "keep, lowest": Hiding("keep", lambda s, m: (torch.where(m, s, torch.full_like(s, _lowest(s))), None)),
    "keep, added": Hiding("keep", lambda s, m: (s + (1.0 - m.to(s.dtype)) * -1e9, None)),
    "keep, multiplied": Hiding("keep", lambda s, m: (s, m.to(s.dtype))),
    "0/1, -1e9": Hiding("keep", lambda s, m: (torch.where(m > 0, s, s.new_tensor(-1e9)), None)),
    "0/1, multiplied": Hiding("keep", lambda s, m: (s, m * s.new_ones(()))),
    "hide, -inf, cleaned": Hiding("hide", lambda s, m: (s.masked_fill(m, -math.inf), None), cleans=True),
    "hide, -1e9": Hiding("hide", lambda s, m: (s - m.to(s.dtype) * 1e9, None)),
    "hide, multiplied": Hiding("hide", lambda s, m: (s, (~m).to(s.dtype))),
    "additive": Hiding("additive", lambda s, m: (s + m, None), cleans=True),
    "additive, clamped": Hiding("additive", lambda s, m: (s + m.clamp(min=-1e9), None)),
}


def _softmax(scores: Tensor, value: Tensor, factor: Any, drop: Drop) -> Any:
    weights = torch.softmax(scores, dim=-1)
    if factor is not None:
        weights = weights * factor
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)
    return drop(weights) @ value, weights


def _by_hand(scores: Tensor, value: Tensor, factor: Any, drop: Drop) -> Any:
    powers = torch.exp(scores - scores.amax(-1, keepdim=True))
    powers = powers if factor is None else powers * factor
    weights = powers / (powers.sum(-1, keepdim=True) + 1e-30)
    return torch.einsum("...qk,...kv->...qv", drop(weights), value), weights


def _logsumexp(scores: Tensor, value: Tensor, factor: Any, drop: Drop) -> Any:
    if factor is not None:
        scores = scores.masked_fill(factor == 0, -1e9)
    weights = (scores - torch.logsumexp(scores, dim=-1, keepdim=True)).exp()
    return torch.matmul(drop(weights), value), weights


def _log_softmax(scores: Tensor, value: Tensor, factor: Any, drop: Drop) -> Any:
    weights = functional.log_softmax(scores, dim=-1).exp()
    if factor is not None:
        weights = functional.normalize(weights * factor, p=1, dim=-1, eps=1e-30)
    return (drop(weights).unsqueeze(-1) * value.unsqueeze(-3)).sum(-2), weights


def _divided_last(scores: Tensor, value: Tensor, factor: Any, drop: Drop) -> Any:
    """Gather with the exponentials and divide the output."""
    powers = torch.exp(scores - scores.max(dim=-1, keepdim=True).values)
    powers = powers if factor is None else powers * factor
    return (drop(powers) @ value) / powers.sum(-1, keepdim=True).clamp(min=1e-30), None


def _online(scores: Tensor, value: Tensor, factor: Any, drop: Drop) -> Any:
    """Go over the keys in blocks of 3, with a running maximum and sum (Milakov and Gimelshein 2018)."""
    highest, total = scores.new_full((*scores.shape[:-1], 1), -1e30), 0.0
    gathered = scores.new_zeros(*scores.shape[:-1], value.shape[-1])
    for start in range(0, scores.shape[-1], 3):
        block = scores[..., start : start + 3]
        higher = torch.maximum(highest, block.amax(-1, keepdim=True))
        powers, shrink = torch.exp(block - higher), torch.exp(highest - higher)
        if factor is not None:
            powers = powers * factor.expand(scores.shape)[..., start : start + 3]
        total = total * shrink + powers.sum(-1, keepdim=True)
        gathered = gathered * shrink + powers @ value[..., start : start + 3, :]
        highest = higher
    return gathered / torch.clamp(torch.as_tensor(total), min=1e-30), None


TORCH = Pieces(
    products={
        "@": lambda q, k: q @ k.transpose(-2, -1),
        "mT": lambda q, k: torch.matmul(q, k.mT),
        "einsum": lambda q, k: torch.einsum("...qd,...kd->...qk", q, k),
        "summed": lambda q, k: (q.unsqueeze(-2) * k.unsqueeze(-3)).sum(-1),
        "row by row": _row_by_row,
        "keys first": lambda q, k: (k @ q.transpose(-2, -1)).transpose(-2, -1),
        "2-D mm": lambda q, k: q.mm(k.T),
        "3-D bmm": lambda q, k: torch.bmm(q, k.transpose(1, 2)),
        "4-D einsum": lambda q, k: torch.einsum("bhqd,bhkd->bhqk", q, k),
        "flattened bmm": _batched,
    },
    scalings=SCALINGS,
    hidings=HIDINGS,
    cores={
        "softmax": _softmax,
        "by hand": _by_hand,
        "logsumexp": _logsumexp,
        "log_softmax": _log_softmax,
        "divided last": _divided_last,
        "online": _online,
    },
    clean=lambda x: torch.nan_to_num(x, nan=0.0),
)
"""The pieces in torch."""


def _with_loops(query: Any, key: Any) -> Any:
    scores = np.empty((*query.shape[:-1], key.shape[-2]))
    for index in np.ndindex(*query.shape[:-1]):
        for j in range(key.shape[-2]):
            scores[(*index, j)] = np.dot(query[index], key[(*index[:-1], j)])
    return scores


def _numpy_softmax(scores: Any, value: Any, factor: Any, drop: Drop) -> Any:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    powers = powers if factor is None else powers * factor
    weights = powers / np.maximum(powers.sum(axis=-1, keepdims=True), 1e-300)
    return weights @ value, weights


def _logaddexp(scores: Any, value: Any, factor: Any, drop: Drop) -> Any:
    if factor is not None:
        scores = np.where(factor, scores, -1e9)
    weights = np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))
    return np.einsum("...qk,...kv->...qv", weights, value), weights


def _rows(scores: Any, value: Any, factor: Any, drop: Drop) -> Any:
    weights = np.zeros(scores.shape)
    for index in np.ndindex(*scores.shape[:-1]):
        powers = np.exp(scores[index] - np.max(scores[index]))
        powers = powers if factor is None else powers * np.broadcast_to(factor, scores.shape)[index]
        weights[index] = powers / max(powers.sum(), 1e-300)
    return np.matmul(weights, value), weights


NUMPY = Pieces(
    products={
        "@": lambda q, k: q @ np.swapaxes(k, -2, -1),
        "einsum": lambda q, k: np.einsum("...qd,...kd->...qk", q, k),
        "loops": _with_loops,
        "2-D dot": lambda q, k: np.dot(q, k.T) if q.ndim == 2 else _refuse(q),
        "summed": lambda q, k: (q[..., :, None, :] * k[..., None, :, :]).sum(axis=-1),
    },
    scalings=SCALINGS,
    hidings={
        "keep, where": Hiding("keep", lambda s, m: (np.where(m, s, -1e9), None)),
        "keep, multiplied": Hiding("keep", lambda s, m: (s, np.asarray(m, dtype=float))),
        "0/1, added": Hiding("keep", lambda s, m: (s + (1 - m.astype(float)) * -1e9, None)),
        "hide, -inf, cleaned": Hiding("hide", lambda s, m: (np.where(m, -np.inf, s), None), cleans=True),
        "additive": Hiding("additive", lambda s, m: (s + m, None), cleans=True),
    },
    cores={"softmax": _numpy_softmax, "logaddexp": _logaddexp, "rows": _rows},
    clean=lambda x: np.nan_to_num(x, nan=0.0),
)
"""The pieces in NumPy."""


def _refuse(query: Any) -> Any:
    raise ValueError(f"expected matrices, got an array of shape {query.shape}")
