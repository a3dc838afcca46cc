"""Functions that make or apply positions, judged by what their name says: rotary, ALiBi, the buckets of T5.

A function is called with whatever its parameters' names ask for, in the forms that people use. It is right if in one of
them it gives what the papers say; in which pairs of features turn together is its author's choice.
"""

import inspect
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.diagnose.diagnosis import Diagnosis, Difference, diagnosed
from attention_surgeon.faults import find_fault
from attention_surgeon.ops.positions import Layout, quarter_turn, spread_angles
from attention_surgeon.testing.answer import arrays_in, quietly, to_array
from attention_surgeon.verdict import Array, Behaviour

_B, _H, _N, _D = 2, 3, 5, 8
_BASES = (10_000.0, 500_000.0, 1_000_000.0)  # of RoFormer, Llama 3 and Qwen 2.5
_NEAR = 2e-4
_LAYOUTS: tuple[Layout, ...] = ("halves", "pairs")


def diagnose_positions(target: Any) -> Diagnosis | None:
    """Judge a function of positions; None where its name does not say that it is one, or it cannot be called.

    >>> def rotate_half(x):
    ...     first, second = x.chunk(2, dim=-1)
    ...     return torch.cat([second, -first], dim=-1)
    >>> diagnose_positions(rotate_half).names
    ('rotary_direction',)
    """
    if not inspect.isroutine(target):
        return None
    name = target.__name__.lower()
    for pattern, judge in _KINDS.items():
        if re.search(pattern, name):
            with quietly():
                return judge(target)
    return None


# Rotary.


@dataclass(frozen=True)
class _Turned:
    """One way of calling a rotary function: what it was given, in words, and what was turned.

    Attributes:
        words: Of the call.
        given: The arguments by name.
        tokens: The names of what is turned.
        axis: Of the tokens in it.
        layout: For which pairing the angles are laid out that it was given.
        is_made_here: Whether the function makes the angles, from positions.
    """

    words: str
    given: Mapping[str, Any]
    tokens: tuple[str, ...]
    axis: int
    layout: Layout | None
    is_made_here: bool


def _judge_rotary(target: Any) -> Diagnosis | None:
    """Judge `apply_rotary(x, positions)`, `apply_rotary_pos_emb(q, k, cos, sin)` and their like.

    Wrong is what turns exactly as a known mistake does; what is merely not understood may want to be called otherwise.
    """
    answered: list[tuple[_Turned, list[Tensor]]] = []
    for call in _rotary_calls(target):
        try:
            returned = [torch.as_tensor(x) for x in arrays_in(target(**_copied(call.given)))]
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            continue
        shapes = [call.given[name].shape for name in call.tokens]
        if [x.shape for x in returned[: len(shapes)]] != shapes:
            continue
        answered.append((call, returned))
        bases = _BASES if call.is_made_here and "base" not in call.given else _BASES[:1]
        for layout, base in itertools.product(_LAYOUTS, bases):
            if call.layout in (None, layout) and _is_turned(call, returned, layout, base):
                return diagnosed(
                    "right", "rotary positions", called_with=call.words, kind=(f"rotary positions ({layout})",)
                )
    if not answered:
        return None
    found = next((wrong for call, returned in answered if (wrong := _wrong_rotary(call, returned))), None)
    return found or Diagnosis("unjudged", "rotary positions", reason=_NOT_UNDERSTOOD)


_NOT_UNDERSTOOD = "none of the usual calls turns each pair of features by position · base^(-2i/d)."


def _rotary_calls(target: Any) -> Iterator[_Turned]:
    """Yield the calls that the parameters' names allow, the usual forms first."""
    roles = {p.name: _rotary_role(p) for p in inspect.signature(target).parameters.values() if _is_needed(p)}
    if "tokens" not in roles.values() and "t" in roles:  # `apply_rotary_pos_emb(pos, t)`
        roles |= {name: "freqs" if role == "positions" else role for name, role in roles.items()} | {"t": "tokens"}
    tokens = tuple(name for name, role in roles.items() if role == "tokens")
    if not tokens or None in roles.values():
        return
    options = [_forms(role) for role in roles.values()]
    is_made_here = not {"cos", "sin", "freqs"} & set(roles.values())
    for axis, chosen in itertools.product((-2, -3), itertools.product(*options)):
        layouts: set[Layout] = {layout for _, layout in chosen if layout is not None}
        if len(layouts) > 1:
            continue
        source = torch.Generator().manual_seed(3)
        given = {
            name: _value(role, form, axis, source)
            for (name, role), (form, _) in zip(roles.items(), chosen, strict=True)
        }
        words = ", ".join(f"{name} {tuple(value.shape)}" for name, value in given.items() if isinstance(value, Tensor))
        yield _Turned(words, given, tokens, axis, next(iter(layouts), None), is_made_here)


def _rotary_role(parameter: inspect.Parameter) -> str | None:
    name = parameter.name.lower()
    for role, pattern in _ROTARY_ROLES.items():
        if re.fullmatch(pattern, name):
            return role
    return None


_ROTARY_ROLES: Mapping[str, str] = {
    "cos": r".*cos.*",
    "sin": r".*sin.*",
    "freqs": r".*(freq|theta|angle|cis|rope|rotary|pos_emb).*",
    "positions": r"(pos|position|positions|position_ids|t|offsets?|m|idx)",
    "base": r"base",
    "size": r"(dim|d|head_dim|d_head)",
    "tokens": r"x|q|k|x?q_?|x?k_?|query|key|queries|keys|t|tensor|.*states?|v|inputs?|xq|xk",
}


_TABLES = ("n d", "1 n d", "1 1 n d", "n 1 d", "1 n 1 d")
_FREQUENCIES = (
    "turn n e", "turn 1 n 1 e", "turn 1 1 n e", "angles n e", "angles n d halves", "angles n d pairs", "stacked n e"
)  # fmt: skip


def _forms(role: str | None) -> list[tuple[str, Layout | None]]:
    """Return the forms of an argument, each with the pairing that it is laid out for."""
    if role in ("cos", "sin"):
        full: list[tuple[str, Layout | None]] = [
            (f"{axes} {layout}", layout) for layout in _LAYOUTS for axes in _TABLES
        ]
        return [*full, *((f"{axes} half", None) for axes in ("n e", "1 n e", "1 1 n e", "n 1 e"))]
    if role == "freqs":
        return [(form, _named_layout(form)) for form in _FREQUENCIES]
    if role == "positions":
        return [("n", None), ("b n", None)]
    return [("", None)]


def _value(role: str | None, form: str, axis: int, source: torch.Generator) -> Any:
    if role == "tokens":
        shape = (_B, _H, _N, _D) if axis == -2 else (_B, _N, _H, _D)
        return torch.randn(*shape, generator=source)
    if role == "base":
        return _BASES[0]
    if role == "size":
        return _D
    if role == "positions":
        return torch.arange(_N) if form == "n" else torch.arange(_N).expand(_B, _N)
    angles = _angles()
    kind, axes, layout = _parts(form)
    if layout:
        angles = spread_angles(angles, layout)
    table = {"cos": angles.cos, "sin": angles.sin}.get(str(role), lambda: angles)()
    if kind == "turn":
        table = torch.polar(torch.ones_like(angles), angles)
    if kind == "stacked":
        table = torch.stack([angles.cos(), angles.sin()], -1)
    lengths = iter(table.shape)
    return table.reshape([1 if letter == "1" else next(lengths) for letter in axes] + list(lengths))


def _parts(form: str) -> tuple[str, list[str], Layout | None]:
    """Take a form apart: `angles n d halves` into what it is, its axes, and the pairing."""
    words = form.split()
    kind = words.pop(0) if words[0] in ("turn", "angles", "stacked") else ""
    layout = _named_layout(form)
    return kind, [word for word in words if len(word) == 1], layout


def _named_layout(form: str) -> Layout | None:
    return next((layout for layout in _LAYOUTS if layout in form), None)


def _angles(base: float = _BASES[0]) -> Tensor:
    return torch.arange(_N)[:, None] * base ** (-torch.arange(0, _D, 2) / _D)


def _turn(
    x: Tensor,
    axis: int,
    layout: Layout,
    *,
    sign: float = 1.0,
    angles: Layout | None = None,
    base: float = _BASES[0],
    speeds: Tensor | None = None,
) -> Tensor:
    turned = _angles(base) if speeds is None else torch.arange(_N)[:, None] * speeds
    spread = spread_angles(turned, angles or layout)
    if axis == -3:
        spread = spread[:, None]
    return x * spread.cos() + quarter_turn(x, layout) * spread.sin() * sign


def _is_turned(call: _Turned, returned: list[Tensor], layout: Layout, base: float) -> bool:
    pairs = zip(call.tokens, returned, strict=False)
    return all(_apart(out, _turn(call.given[name], call.axis, layout, base=base)) < _NEAR for name, out in pairs)


def _apart(one: Tensor, two: Tensor) -> float:
    return float((one.double() - two.double()).abs().max()) if one.shape == two.shape else float("inf")


def _wrong_rotary(call: _Turned, returned: list[Tensor]) -> Diagnosis | None:
    """Return what is wrong with a call, where it turns as a known mistake does."""
    x, out = call.given[call.tokens[0]], returned[0]
    found = _known_mistake(x, out, call)
    if found is None:
        return None
    fault, seen, layout = found
    right = _turn(x, call.axis, layout)
    return _wrong("rotary positions", fault, seen, call.words, _rows(out, call.axis), _rows(right, call.axis))


def _known_mistake(x: Tensor, out: Tensor, call: _Turned) -> tuple[str, str, Layout] | None:
    axis = call.axis
    for layout, other in (_LAYOUTS, _LAYOUTS[::-1]):
        if _apart(out, _turn(x, axis, layout, sign=-1.0)) < _NEAR:
            return "rotary_direction", "the features turn by minus the angle: a sign is exchanged", layout
        if _is_without_sign(x, out, axis, layout):
            return "rotary_direction", "both sines have the same sign, so nothing is turned", layout
        if call.is_made_here and _apart(out, _turn(x, axis, layout, angles=other)) < _NEAR:
            seen = f"the angles are laid out for {other} and the features turn in {layout}"
            return "rotary_layouts_mixed", seen, layout
        if _apart(out, _exchanged_layout(_turn(x, axis, layout), layout)) < _NEAR:
            return "rotary_layouts_mixed", f"the features turn in {layout} and are laid out as {other}", layout
    if call.is_made_here:
        for layout, (seen, speeds) in itertools.product(_LAYOUTS, _wrong_speeds("base" in call.given)):
            if _apart(out, _turn(x, axis, layout, speeds=speeds)) < _NEAR:
                return "rotary_positions_wrong", f"{seen}; expected base^(-2i/d)", layout
    return None


def _wrong_speeds(is_base_given: bool) -> Iterator[tuple[str, Tensor]]:
    """Yield how fast the pairs turn where the exponent is another; a base of one's own may look like the first."""
    exponents = torch.arange(0, _D, 2) / _D
    if is_base_given:
        yield "pair i turns by base^(-i/d)", _BASES[0] ** (-exponents / 2)
    yield "pair i turns by base^(2i/d), faster and faster", _BASES[0] ** exponents
    yield "all pairs turn at one speed", torch.ones(_D // 2)


def _exchanged_layout(x: Tensor, layout: Layout) -> Tensor:
    """Lay pairs out as halves: `a A b B` becomes `a b A B`; and halves as pairs."""
    if layout == "pairs":
        return torch.cat([x[..., ::2], x[..., 1::2]], -1)
    return torch.stack(x.chunk(2, -1), -1).flatten(-2)


def _is_without_sign(x: Tensor, out: Tensor, axis: int, layout: Layout) -> bool:
    """Whether it is x cos + (x with its halves, or pairs, exchanged) sin, with no minus anywhere."""
    spread = spread_angles(_angles(), layout)
    spread = spread[:, None] if axis == -3 else spread
    return _apart(out, x * spread.cos() + _exchanged(x, layout) * spread.sin()) < _NEAR


def _exchanged(x: Tensor, layout: Layout) -> Tensor:
    if layout == "halves":
        return torch.cat(x.chunk(2, -1)[::-1], -1)
    return torch.stack([x[..., 1::2], x[..., ::2]], -1).flatten(-2)


def _rows(x: Tensor, axis: int) -> Array:
    return to_array(x[0, 0] if axis == -2 else x[0, :, 0])


def _judge_quarter(target: Any) -> Diagnosis | None:
    """Judge `rotate_half(x)`: each pair of features turned by a right angle."""
    if sum(map(_is_needed, inspect.signature(target).parameters.values())) != 1:
        return None
    x = torch.randn(_B, _H, _N, _D, generator=torch.Generator().manual_seed(3))
    try:
        out = torch.as_tensor(arrays_in(target(x.clone()))[0])
    except Exception:  # noqa: BLE001  somebody else's code may raise anything
        return None
    words = f"x {tuple(x.shape)}"
    for layout in _LAYOUTS:
        if _apart(out, quarter_turn(x, layout)) < _NEAR:
            return diagnosed("right", "a quarter turn", called_with=words, kind=(f"a quarter turn ({layout})",))
    is_of_pairs = _apart(out.abs(), quarter_turn(x, "pairs").abs()) < _NEAR
    right = quarter_turn(x, "pairs" if is_of_pairs else "halves")
    seen = "(first, second) must become (-second, first)"
    return _wrong("a quarter turn", "rotary_direction", seen, words, _rows(out, -2), _rows(right, -2))


# ALiBi.


def _judge_alibi(target: Any) -> Diagnosis | None:
    """Judge slopes `f(heads)` and biases `f(heads, n)`."""
    parameters = [p for p in inspect.signature(target).parameters.values() if _is_needed(p)]
    heads, n = 8, 6
    given = {p.name: heads if "head" in p.name.lower() or p.name in ("h", "H") else n for p in parameters}
    if parameters and heads not in given.values():
        given[parameters[0].name] = heads
    if not 1 <= len(parameters) <= 3:
        return None
    found = _numbers_of(target, given)
    if found is None:
        return None
    words = ", ".join(f"{name}={value}" for name, value in given.items())
    slopes, sign = _slopes_in(found, heads, n)
    if slopes is None:
        return None
    right = _usual_slopes(heads)
    if sign > 0 and _apart(slopes, right) < 1e-5:
        return _of_twelve_heads(target, given, heads) or diagnosed(
            "right", "ALiBi", called_with=words, kind=("ALiBi slopes" if len(given) == 1 else "ALiBi bias",)
        )
    fault, seen = "alibi_slopes", "the slopes are not 2 ** (-8 h / heads) for h = 1, 2 and so on"
    if sign < 0:
        fault, seen = "alibi_sign", "the bias grows with the distance"
    elif _apart(slopes.flip(0), right) < 1e-5:
        seen = "the slopes grow from head to head; the first head must be the steepest"
    return _wrong("ALiBi", fault, seen, words, to_array(slopes[None] * sign), to_array(right[None]))


def _usual_slopes(heads: int) -> Tensor:
    return 2.0 ** (-torch.arange(1, heads + 1, dtype=torch.float64) * 8 / heads)


def _numbers_of(target: Any, given: Mapping[str, int]) -> Tensor | None:
    """Return what comes out as one tensor, None where the call is refused."""
    try:
        returned = target(**given)
        return torch.as_tensor(returned if isinstance(returned, list | tuple) else arrays_in(returned)[0]).double()
    except Exception:  # noqa: BLE001  somebody else's code may raise anything
        return None


def _of_twelve_heads(target: Any, given: Mapping[str, int], heads: int) -> Diagnosis | None:
    """Judge the slopes of a number of heads that is no power of two: those of 8, then every second of 16's."""
    if len(given) != 1:
        return None
    given = {name: 12 for name in given}
    found = _numbers_of(target, given)  # it may take powers of two only
    if found is None:
        return None
    right = torch.cat([_usual_slopes(heads), _usual_slopes(2 * heads)[::2][: 12 - heads]])
    slopes = found.flatten().abs()
    if slopes.shape != right.shape or _apart(slopes.sort().values, right.sort().values) < 1e-5:
        return None
    seen = "the slopes of 12 heads are those of 8, and then every second of those of 16"
    words = ", ".join(f"{name}=12" for name in given)
    return _wrong("ALiBi", "alibi_slopes", seen, words, to_array(slopes[None]), to_array(right[None]))


def _slopes_in(found: Tensor, heads: int, n: int) -> tuple[Tensor | None, float]:
    """Return the slopes in what was returned, and the sign: 1 where the bias falls with the distance.

    A bias is `(h, n, n)` or `(h, 1, n)` up to a number per row, in the part that a causal model sees.
    """
    shape = [size for size in found.shape if size != 1]
    if shape == [heads]:
        slopes = found.flatten()
        return slopes.abs(), 1.0  # slopes are given with either sign; the sign is that of where they are used
    if shape == [heads, n]:
        slopes = found.reshape(heads, n).diff(dim=-1)
    elif shape == [heads, n, n]:
        rows = found.reshape(heads, n, n)
        slopes = torch.stack([rows[:, i, j + 1] - rows[:, i, j] for i in range(n) for j in range(i)], -1)
    else:
        return None, 1.0
    if not slopes.isfinite().all() or float((slopes - slopes[:, :1]).abs().max()) > 1e-5:
        return None, 1.0
    sign = 1.0 if float(slopes[0, 0]) >= 0 else -1.0
    return slopes[:, 0].abs(), sign


# T5.


def _judge_bucket(target: Any) -> Diagnosis | None:
    """Judge the bucket of each relative position, key minus query, as T5 counts them."""
    names = list(inspect.signature(target).parameters)
    relative = torch.arange(-200, 201)[None, :]
    numbers = {name: 32 if "bucket" in name else 128 for name in names if "bucket" in name or "max_dist" in name}
    switch = next((name for name in names if "bidirectional" in name), None)
    answers: list[tuple[bool, Tensor]] = []
    for is_both in (True, False):
        given = numbers | ({switch: is_both} if switch else {})
        try:
            answers.append((is_both, torch.as_tensor(target(relative.clone(), **given)).long()))
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            return None
    words = "relative_position from -200 to 200, num_buckets=32, max_distance=128"
    fits = [is_both for is_both, found in answers if _is_bucketed(found, relative, is_both)]
    if fits and (switch is None or len(fits) == 2):
        kind = "T5 buckets" if switch else f"T5 buckets, {'both directions' if fits[0] else 'the past only'}"
        return diagnosed("right", "T5 buckets", called_with=words, kind=(kind,))
    is_both, found = next(
        ((b, f) for b, f in answers if not _is_bucketed(f, relative, b) and (switch or not b)), answers[-1]
    )
    right = _buckets(relative, is_both, torch.float64)
    seen = "the bucket of a distance is not the one of T5"
    if found.shape == right.shape and (found == _buckets(-relative, is_both, torch.float64)).all():
        seen = "past and future are exchanged: relative positions are key minus query, negative in the past"
    some = slice(180, 221, 5)
    yours = to_array(found.reshape(1, -1)[:, some]) if found.numel() == right.numel() else None
    return _wrong("T5 buckets", "relative_bucket_wrong", seen, words, yours, to_array(right[:, some]))


def _is_bucketed(found: Tensor, relative: Tensor, is_both: bool) -> bool:
    """Whether the buckets are T5's, at the borders in one precision or the other."""
    if found.shape != relative.shape:
        return False
    right = [_buckets(relative, is_both, dtype) for dtype in (torch.float32, torch.float64)]
    return bool(((found == right[0]) | (found == right[1])).all())


def _buckets(relative: Tensor, is_both: bool, dtype: torch.dtype) -> Tensor:
    """Return the buckets of Raffel et al. 2020: half hold one distance each, the others steps of the logarithm."""
    buckets, start = 32, torch.zeros_like(relative)
    if is_both:
        buckets //= 2
        start = (relative > 0) * buckets
        distance = relative.abs()
    else:
        distance = (-relative).clamp(min=0)
    exact = buckets // 2
    steps = torch.log(distance.to(dtype).clamp(min=1) / exact) / math.log(128 / exact) * (buckets - exact)
    large = (exact + steps.long()).clamp(max=buckets - 1)
    return start + torch.where(distance < exact, distance, large)


# What they share.


def _is_needed(parameter: inspect.Parameter) -> bool:
    is_one = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return is_one and (parameter.default is parameter.empty or parameter.name.lower() == "base")


def _copied(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in given.items()}


def _wrong(contract: str, fault: str | None, seen: str, call: str, yours: Array | None, expected: Array) -> Diagnosis:
    words = () if fault is None else ((find_fault(fault),),)
    step = None if yours is None else Difference("output", (), call, np.asarray(yours), expected)
    behaviour = (Behaviour(fault, seen),)
    return diagnosed("wrong", contract, explanations=words, behaviour=behaviour, difference=step, called_with=call)


_KINDS = {
    r"rotate_(half|every|pair|quarter)": _judge_quarter,
    r"(apply|rotate|add).*(rot|rope)|rotary|^rope$|rope_apply|apply_rope": _judge_rotary,
    r"alibi|get_slopes": _judge_alibi,
    r"bucket": _judge_bucket,
}
"""What a name says, and what judges it."""
