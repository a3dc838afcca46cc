"""What the exercises of this unit ask: the right function, a few calls, and the mistakes that the catalogue knows."""

import torch
from attention_surgeon.course.exercises import FunctionCheck, known, known_fault, promises_of
from attention_surgeon.course.exercises.examples import example

PROMISES = promises_of("modern")


def _draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _angles(x, positions, base, speed_of=lambda d, base: base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)):
    return positions.double()[:, None] * speed_of(x.shape[-1], base)


def _turned(x, angles):
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _right_rotate(x, positions, base=10000.0):
    return _turned(x, _angles(x, positions, base))


def _mixed(x, positions, base=10000.0):
    angles = _angles(x, positions, base).repeat_interleave(2, dim=-1)
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


def _pairs(x, positions, base=10000.0):
    first, second = x[..., 0::2], x[..., 1::2]
    cos, sin = _angles(x, positions, base).cos(), _angles(x, positions, base).sin()
    return torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1).flatten(-2)


_ROTATE = FunctionCheck(
    right=_right_rotate,
    probes=[
        (_draw(5, 6), torch.arange(5)),
        (_draw(2, 3, 8, seed=1), torch.tensor([7, 2, 0])),
        (_draw(3, 4, seed=2), torch.arange(3), 100.0),
    ],
    names=["rotated"],
    mistakes=[
        known_fault("rotary_direction", lambda x, positions, base=10000.0: _right_rotate(x, -positions, base)),
        known_fault("rotary_positions_wrong", lambda x, positions, base=10000.0: _right_rotate(x, positions + 1, base),
                    "Your first position is turned already: position 0 must stay as it is."),
        known_fault("rotary_positions_wrong", lambda x, positions, base=10000.0: _right_rotate(
                    x, torch.arange(len(positions)), base), "You count the tokens; the positions are given."),
        known_fault("rotary_layouts_mixed", _mixed),
        known("pairs_are_neighbours", _pairs, "You turn neighbours, entries 0 and 1, as one pair.",
              "Which entry is the partner of entry 0 of 6?",
              "The partner of entry i stands half a vector further: here halves are paired, not neighbours.",
              "first, second = x.chunk(2, dim=-1)"),
        known("base_ignored", lambda x, positions, base=10000.0: _right_rotate(x, positions),
              "Your base is always 10000.",
              "What should change when base is 100?", "Use the argument base in the speeds.",
              "speeds = base ** (-torch.arange(0, d, 2) / d)"),
    ],
)  # fmt: skip


def check_rotate(function):
    """Judge `rotate(x, positions, base)`."""
    _ROTATE(function)


def _right_repeat(shared, num_heads):
    return shared.repeat_interleave(num_heads // shared.shape[1], dim=1)


_REPEAT = FunctionCheck(
    right=_right_repeat,
    probes=[(_draw(2, 2, 3, 5), 6), (_draw(1, 3, 2, 4, seed=1), 3), (_draw(2, 1, 4, 3, seed=2), 5)],
    names=["heads"],
    mistakes=[
        known_fault("heads_tiled", lambda shared, num_heads: shared.repeat(1, num_heads // shared.shape[1], 1, 1)),
        known("first_head_for_all", lambda shared, num_heads: shared[:, :1].expand(-1, num_heads, -1, -1),
              "All your query heads read shared head 0.", "Who reads shared head 1?",
              "Each shared head has query heads of its own.",
              "shared.repeat_interleave(num_heads // shared.shape[1], dim=1)"),
    ],
)  # fmt: skip


def check_repeat_heads(function):
    """Judge `repeat_heads(shared, num_heads)`."""
    _REPEAT(function)


def _attend(query, key, value, cache=None, *, hides=True, at_start=False, order=1, keeps=True, scales=True):
    parts = ([cache[0], key], [cache[1], value]) if cache is not None else ([key], [value])
    keys, values = (torch.cat(part[::order], dim=1) for part in parts)
    m, n = query.shape[1], keys.shape[1]
    hidden = torch.ones(m, n, dtype=torch.bool).triu(1 if at_start else n - m + 1) & hides
    scores = query @ keys.transpose(-2, -1) / (query.shape[-1] ** 0.5 if scales else 1.0)
    weights = torch.softmax(scores.masked_fill(hidden, float("-inf")), dim=-1)
    return weights @ values, *((keys, values) if keeps else (key, value))


def _nested(attend):
    """Return it with its cache as a pair, as the exercise asks."""

    def nested(query, key, value, cache=None):
        output, keys, values = attend(query, key, value, cache)
        return output, (keys, values)

    return nested


def _flat(attend):
    """Return it with three values in a row, which can be compared one by one."""

    def flat(query, key, value, cache=None):
        returned = attend(query, key, value, cache)
        if not isinstance(returned, tuple) or len(returned) != 2:
            return returned
        output, kept = returned
        if not isinstance(kept, tuple | list) or len(kept) != 2:
            return output, kept, None
        return output, kept[0], kept[1]

    return flat


def _with(**changes):
    return lambda query, key, value, cache=None: _attend(query, key, value, cache, **changes)


def _three(*shape):
    return _draw(*shape), _draw(*shape, seed=1), _draw(*shape, seed=2)


_NEXT = FunctionCheck(
    right=_attend,
    probes=[
        (*_three(2, 1, 4), (_draw(2, 3, 4, seed=3), _draw(2, 3, 4, seed=4))),
        (*_three(1, 3, 5), (_draw(1, 2, 5, seed=3), _draw(1, 2, 5, seed=4))),
        _three(1, 3, 4),
    ],
    names=["output", "keys", "values"],
    mistakes=[
        known_fault("cache_future_seen", _with(hides=False)),
        known_fault("causal_aligned_at_start", _with(at_start=True)),
        known_fault("scale_missing", _with(scales=False)),
        known("new_before_old", _with(order=-1), "Your new tokens stand before the old ones.",
              "Which position has the first new token when three came before?", "The old keys come first in torch.cat.",
              "keys = torch.cat([cache[0], key], dim=1)"),
        known("cache_forgets", _with(keeps=False), "Your new cache holds only the new tokens.",
              "What will the next token find in the cache?", "Return the keys and values of all tokens.",
              "return output, (keys, values)"),
    ],
)  # fmt: skip


def check_attend_next(function):
    """Judge `attend_next(query, key, value, cache)`."""
    _NEXT(_flat(function))


def _window(n_q, n_k, window, *, wider=0, start=None, sees_ahead=False):
    first = n_k - n_q if start is None else start
    back = torch.arange(first, first + n_q)[:, None] - torch.arange(n_k)
    return ((back >= 0) | sees_ahead) & (back < window + wider)


_WINDOW = FunctionCheck(
    right=_window,
    probes=[(7, 7, 3), (2, 6, 3), (1, 5, 2), (4, 4, 1)],
    names=["may attend"],
    mistakes=[
        known_fault("window_off_by_one", lambda n_q, n_k, window: _window(n_q, n_k, window, wider=1)),
        known_fault("window_off_by_one", lambda n_q, n_k, window: _window(n_q, n_k, window, wider=-1)),
        known_fault("window_ignored", lambda n_q, n_k, window: _window(n_q, n_k, n_k)),
        known_fault("causal_aligned_at_start", lambda n_q, n_k, window: _window(n_q, n_k, window, start=0)),
        known_fault("causal_missing", lambda n_q, n_k, window: _window(n_q, n_k, window, sees_ahead=True)),
        known_fault("mask_inverted", lambda n_q, n_k, window: ~_window(n_q, n_k, window)),
    ],
)


def check_window_mask(function):
    """Judge `window_mask(n_q, n_k, window)`."""
    _WINDOW(function)


_ALLOWED = torch.ones(3, 5, dtype=torch.bool).tril(2)


def _right_cap(scores, cap, allowed):
    return (cap * torch.tanh(scores / cap)).masked_fill(~allowed, float("-inf"))


_CAP = FunctionCheck(
    right=_right_cap,
    probes=[(8 * _draw(3, 5), 5.0, _ALLOWED), (30 * _draw(3, 5, seed=1), 20.0, _ALLOWED)],
    names=["scores"],
    mistakes=[
        known_fault("cap_missing", lambda scores, cap, allowed: scores.masked_fill(~allowed, float("-inf"))),
        known_fault("cap_after_mask", lambda scores, cap, allowed: cap * torch.tanh(
                    scores.masked_fill(~allowed, float("-inf")) / cap)),
        known_fault("mask_inverted", lambda scores, cap, allowed: _right_cap(scores, cap, ~allowed)),
        known_fault("mask_ignored", lambda scores, cap, allowed: cap * torch.tanh(scores / cap)),
        known("clamped", lambda scores, cap, allowed: scores.clamp(-cap, cap).masked_fill(~allowed, float("-inf")),
              "You cut scores off at the cap.", "How large is the slope of a score that was cut off?",
              "tanh bends softly: a slope is left everywhere.", "cap * torch.tanh(scores / cap)"),
        known("not_multiplied_back", lambda scores, cap, allowed: torch.tanh(scores / cap).masked_fill(
              ~allowed, float("-inf")), "Your scores lie between -1 and 1.", "How large may a score be with cap 5?",
              "tanh gives -1 to 1: multiply by the cap afterwards.", "cap * torch.tanh(scores / cap)"),
    ],
)  # fmt: skip


def check_cap_scores(function):
    """Judge `cap_scores(scores, cap, allowed)`."""
    _CAP(function)


def _right_sink(scores, sink):
    sinks = sink[:, None, None].expand(-1, scores.shape[1], 1)
    return torch.softmax(torch.cat([scores, sinks], dim=-1), dim=-1)[..., :-1]


_SINK = FunctionCheck(
    right=_right_sink,
    probes=[
        (_draw(2, 3, 5), torch.tensor([0.5, -1.0]).double()),
        (_draw(3, 1, 4, seed=1), torch.tensor([2.0, 0.0, 1.0]).double()),
    ],
    names=["weights"],
    mistakes=[
        known_fault("sink_missing", lambda scores, sink: torch.softmax(scores, dim=-1)),
        known("sink_kept", lambda scores, sink: torch.softmax(torch.cat(
              [scores, sink[:, None, None].expand(-1, scores.shape[1], 1)], dim=-1), dim=-1),
              "Your rows have one weight more than there are keys.", "Which value belongs to the last weight?",
              "Drop the sink's own column after the softmax.", "weights[..., :-1]"),
        known_fault("softmax_plus_one", lambda scores, sink: _right_sink(scores, torch.zeros_like(sink)),
                    "Your sink always has the score 0."),
        known_fault("sink_scaled", lambda scores, sink: _right_sink(scores, sink / scores.shape[-1] ** 0.5)),
    ],
)  # fmt: skip


def check_weights_with_sink(function):
    """Judge `weights_with_sink(scores, sink)`."""
    _SINK(function)


_TABLES = {
    "check_rotate": _ROTATE,
    "check_repeat_heads": _REPEAT,
    "check_window_mask": _WINDOW,
    "check_cap_scores": _CAP,
    "check_weights_with_sink": _SINK,
}
WRONG = {name: [example(each.words.name, each.does) for each in table.mistakes] for name, table in _TABLES.items()} | {
    "check_attend_next": [example(each.words.name, _nested(each.does)) for each in _NEXT.mistakes]
}
RIGHT = {name: [example("right", table.right)] for name, table in _TABLES.items()} | {
    "check_attend_next": [example("right", _nested(_attend))]
}
