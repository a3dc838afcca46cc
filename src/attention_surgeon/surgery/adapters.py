"""What other tools keep of a run, read without them: a cache of TransformerLens, what a trace of nnsight saved.

Nothing is imported; what is handed in is asked for its tensors. A cache holds q, k, v and z as
`blocks.0.attn.hook_q (batch, n, heads, d)`, patterns as `(batch, heads, n_q, n_k)`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError, ShapeError
from attention_surgeon.require import kind_of
from attention_surgeon.surgery.capture import Capture, CapturedLayer
from attention_surgeon.trace import AttentionTrace

_HOOK = re.compile(r"blocks\.(\d+)\.attn\.hook_pattern$")
_HIDDEN = -1e5  # a score below is the sign of a hidden cell, in whatever way it was written
_ROW_SUM = 1e-2


def read_cache(cache: Any, tokens: Sequence[str] | None = None, *, row: int = 0) -> Capture:
    """Return a cache of TransformerLens as a capture, so that traces, pages, statistics and rollout take it.

    Args:
        cache: Of `model.run_with_cache(...)`, or any mapping with its names.
        tokens: One name for each position; None: numbers.
        row: Which text of the batch.

    Raises:
        OptionError: it holds no patterns, or not q, k, v, scores and z of a layer.
        ShapeError: the tokens do not fit.

    >>> x = torch.eye(2)[None, :, None]
    >>> names = {"hook_q": x, "hook_k": x, "hook_v": x, "hook_z": x}
    >>> names |= {"hook_attn_scores": torch.zeros(1, 1, 2, 2), "hook_pattern": torch.full((1, 1, 2, 2), 0.5)}
    >>> read_cache({f"blocks.0.attn.{name}": tensor for name, tensor in names.items()}, ["a", "b"])
    Capture(a cache, 2 tokens, 1 layers)
    """
    numbers = sorted(int(match[1]) for name in _names(cache) if (match := _HOOK.search(str(name))))
    if not numbers:
        raise OptionError("read_cache: it holds no blocks.N.attn.hook_pattern; weights_of reads other records.")
    layers = tuple(_layer(cache, number, tokens, row) for number in numbers)
    named = layers[0].trace.query_tokens
    return Capture("a cache", named, named, layers, None, None, None)


def weights_of(saved: Any, *, row: int = 0) -> dict[str, Tensor]:
    """Return the weights that somebody saved, `(heads, n_q, n_k)` by name, as `view` and `rollout` take them.

    Args:
        saved: A cache of TransformerLens; or a mapping or list of what `.save()` of nnsight gave: the weights
            `(batch, heads, n_q, n_k)`, or a layer's whole output that holds them.
        row: Which text of the batch.

    Raises:
        ArgumentTypeError: neither mapping nor list.
        OptionError: something in it holds no weights: no tensor of four axes whose rows sum to 1.

    >>> list(weights_of([torch.full((1, 2, 3, 3), 1 / 3)]))
    ['0']
    """
    if not isinstance(saved, Mapping | Sequence) and not hasattr(saved, "keys"):
        raise ArgumentTypeError(f"weights_of: saved is {kind_of(saved)}, expected a cache, a mapping or a list.")
    names = _names(saved) if hasattr(saved, "keys") else range(len(saved))
    hooks = [(match[1], saved[name]) for name in names if (match := _HOOK.search(str(name)))]
    pairs = hooks or [(str(name), saved[name]) for name in names]
    found = {}
    for name, value in pairs:
        weights = _weights_in(value)
        if weights is None:
            raise OptionError(f"weights_of: {name} holds no tensor (batch, heads, n_q, n_k) whose rows sum to 1.")
        found[name] = weights[row]
    return found


def _names(saved: Any) -> list[Any]:
    return list(saved.keys())


def _weights_in(value: Any) -> Tensor | None:
    """Return the weights that something saved is or holds; older records keep a tensor under `value`."""
    value = getattr(value, "value", value)
    if isinstance(value, tuple | list):
        return next((found for part in value if (found := _weights_in(part)) is not None), None)
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim not in (3, 4):
        return None
    weights = value.detach().cpu()
    sums = weights.float().sum(-1)
    fits = ((sums - 1).abs() < _ROW_SUM) | (sums == 0)
    return (weights if weights.ndim == 4 else weights[None]) if bool(fits.all()) else None


def _layer(cache: Any, number: int, tokens: Sequence[str] | None, row: int) -> CapturedLayer:
    def part(*hooks: str) -> Tensor:
        for hook in hooks:
            name = f"blocks.{number}.attn.{hook}"
            if name in cache:
                return cache[name].detach().cpu()
        raise OptionError(
            f"read_cache: layer {number} has no {hooks[-1]}; run_with_cache without names_filter keeps it."
        )

    def heads(*hooks: str) -> Tensor:
        found = part(*hooks)
        return (found[row] if found.ndim == 4 else found).transpose(0, 1)  # (n, heads, d) -> (heads, n, d)

    def maps(hook: str) -> Tensor:
        found = part(hook)
        return found[row] if found.ndim == 4 else found

    query, key, value = heads("hook_rot_q", "hook_q"), heads("hook_rot_k", "hook_k"), heads("hook_v")
    group = len(query) // len(key)
    shared_key, shared_value = (one.repeat_interleave(group, 0) for one in (key, value))
    masked, weights = maps("hook_attn_scores"), maps("hook_pattern")
    allowed = masked > _HIDDEN
    # The cache holds scores that are scaled and hidden already: visible ones are taken back, hidden ones made again.
    root = query.shape[-1] ** 0.5
    scores = torch.where(allowed, masked * root, query @ shared_key.transpose(-2, -1))
    names = _token_names(tokens, query.shape[1])
    trace = AttentionTrace(
        query_tokens=names,
        key_tokens=names,
        axes=("head", "query", "key"),
        query=query.contiguous(),
        key=shared_key.contiguous(),
        value=shared_value.contiguous(),
        scores=scores,
        scaled=scores / root,
        masked=masked.masked_fill(~allowed, float("-inf")),
        weights=weights.contiguous(),
        output=heads("hook_z").contiguous(),
        allowed=allowed,
        bias=None,
        step_functions=("dot_product", "as recorded", "as recorded", "as recorded", "weighted_sum"),
        source=f"a cache, layer {number}",
    )
    count = len(query)
    return CapturedLayer(
        str(number), "", number, tuple(range(count)), tuple(head // group for head in range(count)), trace
    )


def _token_names(tokens: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if tokens is None:
        return tuple(str(place) for place in range(count))
    if len(tokens) != count:
        raise ShapeError(f"read_cache: there are {len(tokens)} tokens and {count} positions in the cache.")
    return tuple(tokens)
