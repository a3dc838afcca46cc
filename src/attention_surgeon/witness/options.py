"""What an optional argument does to the steps themselves: a scale of the caller's, positions that are added, a batch.

Each is given once, and what changes in the queries, keys, values and scores is compared with what its name promises.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.witness.canon import Canon
from attention_surgeon.witness.canonical import canonical
from attention_surgeon.witness.core import find_cores
from attention_surgeon.witness.findings import Claim
from attention_surgeon.witness.flow import Flow, Plan, apart
from attention_surgeon.witness.record import Array, to_numbers

_SCALES = ("scale", "scaling", "softmax_scale", "sm_scale")
_GIVEN = 0.37  # a scale that nobody has by default
_CAP = 2.0  # small enough to be felt


def try_options(plan: Plan) -> Iterator[Claim]:
    """Yield what came of the optional arguments that are no mask, cache or switch.

    Args:
        plan: How the target is called.
    """
    for argument in plan.arguments:
        if argument.required or argument.default is not None:
            continue
        try:
            if argument.name in _SCALES:
                yield from _scale(plan, argument.name)
            elif argument.role == "cap":
                yield from _cap(plan, argument.name)
            elif _POSITIONS.fullmatch(argument.name):
                yield from _positions(plan, argument.name)
        except Exception:  # noqa: BLE001  an argument that is refused is not tried
            continue


def _run(plan: Plan, **given: Any) -> tuple[Flow, Canon]:
    flow = Flow(plan, plan.make(seed=0), plan.draw(seed=0) | given, plan.draw(seed=1) | given)
    return flow, canonical(flow, find_cores(flow)[0])


def _scale(plan: Plan, name: str) -> Iterator[Claim]:
    """Whether scores are multiplied with the scale that is given, and with nothing else."""
    _, plain = _run(plan)
    flow, given = _run(plan, **{name: _GIVEN})
    ratio = _slope(plain.masked, given.masked)
    if ratio is None:
        return
    usual, place = plain.q.shape[-1] ** -0.5, flow.ops[find_cores(flow)[0].softmax].place
    if abs(ratio - _GIVEN / usual) < 1e-3 * ratio:
        yield Claim(name, (f"{_GIVEN}",))
    elif abs(ratio - _GIVEN) < 1e-3 * _GIVEN:
        words = f"`{name}={_GIVEN}` is applied on top of the usual one"
        yield Claim(name, (f"{_GIVEN}",), "scale_twice", words, place=place)
    elif abs(ratio - 1.0) < 1e-3:
        yield Claim(name, (f"{_GIVEN}",), "scale_flag_ignored", f"`{name}={_GIVEN}` changes nothing", place=place)


def _slope(one: Array, two: Array) -> float | None:
    """Return the number that rows of scores grew by, up to a number per row; None where they did not by one."""
    if one.shape != two.shape or not (np.isfinite(one) == np.isfinite(two)).all():
        return None
    x, y = (np.where(np.isfinite(part) & (part > -1e3), part, np.nan) for part in (one, two))
    x, y = (part - np.nanmean(part, -1, keepdims=True) for part in (x, y))
    by = float(np.nansum(x * y) / max(np.nansum(x * x), 1e-30))
    return by if np.nanmax(np.abs(y - by * x)) < 1e-4 * np.nanmax(np.abs(y)) else None


def _cap(plan: Plan, name: str) -> Iterator[Claim]:
    """Whether scores are limited by the cap that is given, and what a mask hides stays hidden."""
    _, plain = _run(plan)
    flow, given = _run(plan, **{name: _CAP})
    place = flow.ops[find_cores(flow)[0].softmax].place
    if not apart(given.masked, plain.masked).any():
        yield Claim(name, (f"{_CAP}",), "cap_missing", f"`{name}={_CAP}` changes nothing", place=place)
        return
    n_q, n_k = plain.masked.shape[-2:]
    seen = torch.from_numpy(np.random.default_rng(5).random((n_q, n_k)) < 0.6)
    for mask in (a.name for a in plan.arguments if a.role == "mask" and not a.required):
        hidden, both = (_run(plan, **{mask: seen} | more)[1].masked for more in ({}, {name: _CAP}))
        with np.errstate(invalid="ignore"):
            lost = ((hidden < -1e3) & (both > -1e3)).any()
        if lost:
            words = f"with `{name}` and `{mask}` given, hidden scores are {-_CAP:g}, not -inf"
            yield Claim(name, (f"{_CAP}",), "cap_after_mask", words, place=place)
            return
    yield Claim(name, (f"{_CAP}",))


_POSITIONS = re.compile(r"(src_|x_)?(pos|positions?)(_?(emb|embs|embed|embeds|embedding|embeddings|enc|encoding))?")


def _positions(plan: Plan, name: str) -> Iterator[Claim]:
    """Whether vectors of positions that are added reach queries and keys, and values only where all of it has them."""
    tokens = [a for a in plan.arguments if a.axes and a.name in plan.draw()]
    if len(tokens) != 1 or plan.library != "torch":
        return
    x = plan.draw(seed=0)[tokens[0].name]
    added = torch.from_numpy(np.random.default_rng(6).normal(size=tuple(x.shape))).to(x.dtype)
    _, plain = _run(plan)
    flow, given = _run(plan, **{name: added})
    moved = {part: bool(apart(getattr(plain, part), getattr(given, part)).any()) for part in ("q", "k", "v")}
    place = flow.ops[find_cores(flow)[0].combine].place
    if not any(moved.values()):
        return
    if moved["q"] != moved["k"]:
        words = f"`{name}` reaches the {'queries' if moved['q'] else 'keys'} and not the other side"
        yield Claim(name, ("as vectors",), "positions_on_one_side", words, place=place)
    elif moved["v"] and _sums(flow, x, added) > 1:
        yield Claim(name, ("as vectors",), "positions_on_values", f"`{name}` reaches the values too", place=place)
    else:
        yield Claim(name, ("as vectors",))


def _sums(flow: Flow, x: Tensor, added: Tensor) -> int:
    """Return how often the positions were added to the tokens: once, for all three, is a choice."""
    total = to_numbers(x + added)
    return sum(
        op.name in ("add", "radd", "iadd") and op.value is not None and op.value.shape == total.shape
        and not apart(op.value, total).any()
        for op in flow.ops
    )  # fmt: skip


_BATCHED = re.compile(r"\.dim\(\)|\.ndim\b|\bbatch", re.IGNORECASE)


def with_batch(plan: Plan, says: str) -> Plan | None:
    """Return the plan of a function of two axes with sequences in front, where its text speaks of them."""
    axes = [a.axes for a in plan.arguments if a.required and a.axes]
    if not axes or any("b" in each or len(each) != 2 for each in axes) or not _BATCHED.search(says):
        return None
    arguments = tuple(dataclasses.replace(a, axes=f"b{a.axes}") if a.axes else a for a in plan.arguments)
    return dataclasses.replace(plan, arguments=arguments, output_axes=f"b{plan.output_axes}")
