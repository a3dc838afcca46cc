"""How each fault of today's attention is put in; its words are in `modern`.

What turns, caps or hides by construction is a part of a `Circuit` (`parts`), and a fault changes that part or leaves it
out. What is about an argument or a cache is a wrapping of the callable.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults.fault import Operation, Wrapping
from attention_surgeon.faults.mask_content import change_allowed, read_mask_as
from attention_surgeon.faults.parts import ALIBI, CAP, NORM, RELATIVE, ROTARY, SINK, WINDOW, Part
from attention_surgeon.ops import Alibi, Circuit, Linears, Operands, RelativeBias, Rotary, Sink, Steps, Window, softmax
from attention_surgeon.ops.circuit import Three
from attention_surgeon.ops.positions import num_heads_of, positions_of

BLOCK = 4
"""Keys that a kernel takes at once, small enough for small examples; real ones take 16 to 128."""

_P = 0.1
_SWITCHES = ("is_causal", "causal", "use_causal_mask")
_CACHES = ("cache", "kv_cache", "past", "layer_past", "past_key_value", "past_key_values")
_PAD_IDS = ("pad_id", "padding_id", "pad_token_id", "pad_idx", "padding_idx")

Turn: TypeAlias = Callable[[Rotary, Tensor, Tensor], Tensor]
"""`(rotary, x, positions) -> x`, how one turns queries and keys."""


@dataclass(frozen=True)
class Way:
    """How a fault is put in; attributes as those of `Fault`."""

    operate: Operation | None = None
    wrap: Wrapping | None = None
    wraps: bool = False
    needs: Part[Any] | None = None


def _leave_out(part: Part[Any]) -> Way:
    """Return the way that puts what is usual, nothing, in the place of the part."""

    def operate(circuit: Circuit) -> Circuit:
        part.of(circuit)
        return circuit.replace(**{part.place: getattr(Circuit(), part.place)})

    return Way(operate, needs=part)


def _change(part: Part[Any], change: Callable[[Any], Any]) -> Way:
    return Way(lambda circuit: circuit.replace(**{part.place: change(part.of(circuit))}), needs=part)


def _turn_by(turn: Turn) -> Way:
    """Return the way that turns queries and keys otherwise."""

    def change(rotary: Rotary) -> Callable[[Tensor, Tensor, Tensor], Three]:
        def position(query: Tensor, key: Tensor, value: Tensor) -> Three:
            for_query, for_key = positions_of(query.shape[-2], key.shape[-2], query)
            return turn(rotary, query, for_query), turn(rotary, key, for_key), value

        return position

    return _change(ROTARY, change)


def _mix_layouts(rotary: Rotary, x: Tensor, positions: Tensor) -> Tensor:
    return rotary.rotate(x, positions, angles="pairs" if rotary.layout == "halves" else "halves")


def _turn_back(rotary: Rotary, x: Tensor, positions: Tensor) -> Tensor:
    return rotary.rotate(x, -positions)


def _two_at_a_step(rotary: Rotary, x: Tensor, positions: Tensor) -> Tensor:
    return rotary.rotate(x, positions.div(2, rounding_mode="floor"))


def _over_heads(rotary: Rotary, x: Tensor, positions: Tensor) -> Tensor:
    if x.ndim < 3:
        raise ShapeError(f"rotary_over_heads: query or key has shape {tuple(x.shape)}, without an axis of heads.")
    by_head = x.transpose(-3, -2)  # (..., heads, n, d) -> (..., n, heads, d)
    heads = torch.arange(by_head.shape[-2], dtype=x.dtype, device=x.device)
    return rotary.rotate(by_head, heads).transpose(-3, -2)


def _turn_one_side(rotary: Rotary) -> Callable[[Tensor, Tensor, Tensor], Three]:
    return lambda query, key, value: (rotary(query, key, value)[0], key, value)


def _turn_values(circuit: Circuit) -> Circuit:
    usual = circuit.position

    def position(query: Tensor, key: Tensor, value: Tensor) -> Three:
        query, key, value = usual(query, key, value)
        return query, key, usual(value, value, value)[1]

    return circuit.replace(position=position)


def _turn_before_split(circuit: Circuit) -> Circuit:
    rotary, usual = ROTARY.of(circuit), circuit.project

    def project(x: Tensor, role: str, linears: Linears) -> Tensor:
        projected = usual(x, role, linears)
        if role not in ("query", "key"):
            return projected
        return rotary.rotate(projected, torch.arange(x.shape[-2], dtype=projected.dtype, device=x.device))

    return circuit.replace(project=project, position=Circuit().position)


def _grow_with_distance(alibi: Alibi) -> Callable[[Operands], Tensor]:
    return lambda operands: -alibi(operands)


def _last_head_steepest(alibi: Alibi) -> Callable[[Operands], Tensor]:
    return lambda operands: alibi(operands) * _ratio(alibi, operands)


def _ratio(alibi: Alibi, operands: Operands) -> Tensor:
    """Return what turns the slope of each head into that of its mirror image."""
    slopes = torch.tensor(alibi.slopes(num_heads_of(operands))).to(operands.query)
    return (slopes.flip(0) / slopes)[:, None, None]


def _reshape_table(bias: RelativeBias) -> Callable[[Operands], Tensor]:
    def reshaped(operands: Operands) -> Tensor:
        rows = bias.looked_up(operands)
        return rows.reshape(rows.shape[-1], *rows.shape[:2])  # (q, k, heads) is not permuted

    return reshaped


def _one_more(window: Window) -> Window:
    return dataclasses.replace(window, size=window.size + 1)


def _everything_before(window: Window) -> Callable[[int, int], Tensor]:
    return lambda num_queries, num_keys: Window(max(num_keys, 1))(num_queries, num_keys)


def _scale_sink(sink: Sink) -> Callable[[Tensor, Tensor, Operands], Tensor]:
    def scaled(weights: Tensor, masked: Tensor, operands: Operands) -> Tensor:
        return Sink(sink.scores / operands.key_size**0.5)(weights, masked, operands)

    return scaled


def _cap_after_mask(circuit: Circuit) -> Circuit:
    cap, usual = CAP.of(circuit), circuit.mechanism.mask

    def mask_and_cap(scaled: Tensor, operands: Operands) -> Tensor:
        return cap(usual(scaled, operands), operands)

    return circuit.replace(cap=Circuit().cap, mask=mask_and_cap)


def _norm_queries_only(circuit: Circuit) -> Circuit:
    norm = NORM.of(circuit)
    return circuit.replace(norm=lambda query, key: (norm(query, key)[0], key))


def _hide_only_without_cache(circuit: Circuit) -> Circuit:
    usual = circuit.pattern
    return circuit.replace(pattern=lambda n_q, n_k: usual(n_q, n_k) if n_q == n_k else None)


def _tile_masks(operands: Operands, scores: Tensor) -> Operands:
    allowed = operands.allowed
    if allowed is None or allowed.ndim < 4 or scores.ndim != 4:
        return operands
    batch, heads = scores.shape[:2]
    tiled = allowed[:, 0].expand(batch, *allowed.shape[2:]).repeat(heads, 1, 1)  # (batch, ...) -> (heads * batch, ...)
    return dataclasses.replace(operands, allowed=tiled.unflatten(0, (batch, heads)))


def _drop_tail(operands: Operands, scores: Tensor) -> Operands:
    n_k = scores.shape[-1]
    seen = torch.arange(n_k, device=scores.device) < n_k // BLOCK * BLOCK
    return dataclasses.replace(operands, allowed=seen if operands.allowed is None else operands.allowed & seen)


def _without_rescaling(masked: Tensor, operands: Operands) -> Tensor:
    blocks = masked.split(BLOCK, dim=-1)
    peaks = torch.cat([block.amax(-1, keepdim=True) for block in blocks], dim=-1).cummax(-1).values
    peaks = peaks.masked_fill(peaks == -torch.inf, 0.0)  # exp(-inf - 0) is 0, too
    parts = [(block - peak).exp() for block, peak in zip(blocks, peaks.split(1, dim=-1), strict=True)]
    exponentials = torch.cat(parts, dim=-1)
    total = exponentials.sum(-1, keepdim=True)
    return exponentials / total.masked_fill(total == 0, 1.0)


def _maximum_from_zero(masked: Tensor, operands: Operands) -> Tensor:
    exponentials = (masked - masked.amax(-1, keepdim=True).clamp(min=0.0)).exp()
    return exponentials / exponentials.sum(-1, keepdim=True)


def _sum_in_bfloat16(masked: Tensor, operands: Operands) -> Tensor:
    exponentials = (masked - masked.amax(-1, keepdim=True)).exp()
    total = torch.zeros(*masked.shape[:-1], 1, dtype=torch.bfloat16)
    for key in exponentials.split(1, dim=-1):
        total = total + key.bfloat16()
    return exponentials / total.to(masked.dtype)


def _ask_for_all(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.score

    def score_for_all(operands: Operands) -> Tensor:
        query = operands.query.mean(-2, keepdim=True).expand_as(operands.query)
        return usual(dataclasses.replace(operands, query=query))

    return circuit.replace(score=score_for_all)


def _drop_scores(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise

    def drop_and_normalise(masked: Tensor, operands: Operands) -> Tensor:
        keep = torch.empty_like(masked).bernoulli_(1 - _P).bool()
        return usual((masked / (1 - _P)).masked_fill(~keep, 0.0), operands)

    return circuit.replace(normalise=drop_and_normalise)


def _shift_values(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.combine

    def combine_with_others(weights: Tensor, operands: Operands) -> Tensor:
        return usual(weights, dataclasses.replace(operands, value=operands.value.roll(1, -2)))

    return circuit.replace(combine=combine_with_others)


def _merge_by_feature(circuit: Circuit) -> Circuit:
    return circuit.replace(
        merge=lambda x: x.movedim(-3, -1).flatten(-2)
    )  # (..., heads, n, size) -> (..., n, size * heads)


def _report_weights(change: Callable[[Tensor], Tensor]) -> Way:
    def operate(circuit: Circuit) -> Circuit:
        usual = circuit.report

        def report(steps: Steps) -> tuple[Tensor, Tensor]:
            return usual(steps._replace(weights=change(steps.weights)))

        return circuit.replace(report=report)

    return Way(operate, wraps=True)


def _leave_unprojected(left: str) -> Operation:
    """Return the operation that leaves out the projection of one role."""

    def operate(circuit: Circuit) -> Circuit:
        usual = circuit.project

        def project(x: Tensor, role: str, linears: Linears) -> Tensor:
            return x if role == left else usual(x, role, linears)

        return circuit.replace(project=project)

    return operate


def _project_output_twice(circuit: Circuit) -> Circuit:
    usual = circuit.project

    def project(x: Tensor, role: str, linears: Linears) -> Tensor:
        projected = usual(x, role, linears)
        return usual(projected, role, linears) if role == "output" else projected

    return circuit.replace(project=project)


def _ignore_causal(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute_without_switch(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{name: False if name in _SWITCHES else value for name, value in kwargs.items()})

    return compute_without_switch


def _lose_newest(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute_with_short_cache(*args: Any, **kwargs: Any) -> Any:
        return function(
            *args, **{name: _without_newest(value) if name in _CACHES else value for name, value in kwargs.items()}
        )

    return compute_with_short_cache


def _without_newest(cache: Any) -> Any:
    if isinstance(cache, Tensor):
        return cache[..., :-1, :]
    if isinstance(cache, dict):
        return {name: _without_newest(part) for name, part in cache.items()}
    return type(cache)(_without_newest(part) for part in cache) if isinstance(cache, (tuple, list)) else cache


def _next_pad_id(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute_with_other_id(tokens: Any, *args: Any, **kwargs: Any) -> Any:
        shifted = (value + 1 if type(value) is int else value for value in args[:1])
        named = {name: value + 1 if name in _PAD_IDS else value for name, value in kwargs.items()}
        return function(tokens, *shifted, *args[1:], **named)

    return compute_with_other_id


WAYS: dict[str, Way] = {
    "rotary_layouts_mixed": _turn_by(_mix_layouts),
    "rotary_over_heads": _turn_by(_over_heads),
    "rotary_on_values": Way(_turn_values, wraps=True, needs=ROTARY),
    "rotary_on_one_side": _change(ROTARY, _turn_one_side),
    "rotary_direction": _turn_by(_turn_back),
    "rotary_positions_wrong": _turn_by(_two_at_a_step),
    "rotary_before_split": Way(_turn_before_split, needs=ROTARY),
    "alibi_sign": _change(ALIBI, _grow_with_distance),
    "alibi_slopes": _change(ALIBI, _last_head_steepest),
    "relative_bias_misplaced": _change(RELATIVE, _reshape_table),
    "window_off_by_one": _change(WINDOW, _one_more),
    "window_ignored": _change(WINDOW, _everything_before),
    "cap_after_mask": Way(_cap_after_mask, wraps=True, needs=CAP),
    "cap_missing": _leave_out(CAP),
    "sink_missing": _leave_out(SINK),
    "sink_scaled": _change(SINK, _scale_sink),
    "norm_missing_on_keys": Way(_norm_queries_only, needs=NORM),
    "mask_batch_order": Way(read_mask_as(_tile_masks), wraps=True),
    "mask_misread": Way(change_allowed(lambda allowed: allowed.roll(1, -1)), wraps=True),
    "causal_ignored": Way(wrap=_ignore_causal, wraps=True),
    "cache_future_seen": Way(_hide_only_without_cache, wraps=True),
    "cache_changes_output": Way(wrap=_lose_newest, wraps=True),
    "weights_returned_differ": _report_weights(softmax),
    "weights_returned_transposed": _report_weights(lambda weights: weights.mT),
    "dropout_before_softmax": Way(_drop_scores, wraps=True),
    "heads_merged_by_feature": Way(_merge_by_feature),
    "values_out_of_order": Way(_shift_values, wraps=True),
    "values_not_projected": Way(_leave_unprojected("value"), wraps=True),
    "projection_unused": Way(_leave_unprojected("query"), wraps=True),
    "output_projected_twice": Way(_project_output_twice, wraps=True),
    "online_softmax_not_rescaled": Way(lambda circuit: circuit.replace(normalise=_without_rescaling)),
    "running_maximum_finite": Way(lambda circuit: circuit.replace(normalise=_maximum_from_zero)),
    "sums_in_low_precision": Way(lambda circuit: circuit.replace(normalise=_sum_in_bfloat16)),
    "query_ignored": Way(_ask_for_all, wraps=True),
    "tail_dropped": Way(read_mask_as(_drop_tail), wraps=True),
    "pad_id_wrong": Way(wrap=_next_pad_id, wraps=True),
}
"""By the name of the fault."""
