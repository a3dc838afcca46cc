"""The same pieces in NumPy."""

from typing import Any

import numpy as np

from attention_surgeon.diagnose.doctor.healthy.pieces import SCALINGS, Drop, Hiding, Pieces


def _with_loops(query: Any, key: Any) -> Any:
    scores = np.empty((*query.shape[:-1], key.shape[-2]))
    for index in np.ndindex(*query.shape[:-1]):
        for j in range(key.shape[-2]):
            scores[(*index, j)] = np.dot(query[index], key[(*index[:-1], j)])
    return scores


def _softmax(scores: Any, value: Any, factor: Any, drop: Drop) -> Any:
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
    cores={"softmax": _softmax, "logaddexp": _logaddexp, "rows": _rows},
    clean=lambda x: np.nan_to_num(x, nan=0.0),
)
"""The pieces in NumPy."""


def _refuse(query: Any) -> Any:
    raise ValueError(f"expected matrices, got an array of shape {query.shape}")
