"""Attention over packed sequences: one row of tokens, and numbers that say where each sequence begins.

q (total_q, h, d), k and v (total_k, g, d), cu_seqlens_q and cu_seqlens_k (sequences + 1,)
"""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise, product
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.diagnose.diagnosis import Diagnosis, Difference, diagnosed
from attention_surgeon.faults import find_fault
from attention_surgeon.signatures import parameters_of
from attention_surgeon.testing.answer import arrays_in, quietly, to_array
from attention_surgeon.testing.kernel.right import Align, causal_of
from attention_surgeon.testing.words import role_of
from attention_surgeon.verdict import Behaviour

_D = 16
_NEAR = 1e-4
_BOUNDS = r"cu_?seq_?len.*|.*offsets?.*|.*indptr.*"


@dataclass(frozen=True)
class _Call:
    """One call: how long the sequences are, how many heads there are, and whether the future is hidden."""

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    heads: int = 2
    kv_heads: int = 2
    is_causal: bool = False

    @property
    def words(self) -> str:
        causal = ", causal" if self.is_causal else ""
        groups = f", {self.heads} heads sharing {self.kv_heads}" if self.heads != self.kv_heads else ""
        return f"sequences of {_listed(self.queries)} queries and {_listed(self.keys)} keys{groups}{causal}"

    def operands(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k and v."""
        source = torch.Generator().manual_seed(5)
        shapes = ((sum(self.queries), self.heads), (sum(self.keys), self.kv_heads), (sum(self.keys), self.kv_heads))
        q, k, v = (torch.randn(*shape, _D, generator=source) for shape in shapes)
        return q, k, v


_CALLS = (
    _Call((3, 5, 4), (3, 5, 4)),
    _Call((3, 5, 4), (6, 5, 7)),
    _Call((3, 5, 4), (3, 5, 4), is_causal=True),
    _Call((3, 5, 4), (6, 5, 7), is_causal=True),
    _Call((3, 5, 4), (3, 5, 4), heads=6, kv_heads=3),
    _Call((1, 70, 33), (1, 70, 33), is_causal=True),
    _Call((2, 1, 40), (130, 9, 65)),
)


def diagnose_packed(target: Any, says: str) -> Diagnosis | None:
    """Judge a function of packed sequences; None for any other, and for one that answers no call.

    Args:
        target: The function.
        says: Its text, which may say where its causal mask lies.
    """
    roles = _roles(target)
    if roles is None:
        return None
    align: Align = "start" if re.search(r"top[- ]left|upper[- ]left", says, re.IGNORECASE) else "end"
    tried, refused, wrong = [], [], []
    for call in _calls(target, roles, align):
        output = _answer(target, roles, call)
        if output is None:
            refused.append(call.words)
        elif _is(output, _right(call, align)):
            tried.append(call.words)
        else:
            wrong.append((call, output))
    if wrong:
        return _wrong(wrong, align)
    if not tried:
        return None
    kind = ("attention over packed sequences",)
    return diagnosed("right", kind[0], kind=kind, called_with=tried[0], calls=tuple(tried[1:]), untried=tuple(refused))


def _calls(target: Any, roles: dict[str, str], align: Align) -> list[_Call]:
    """Return the calls to make; where no argument says so, one sequence shows whether the future is hidden."""
    if "causal" in roles.values():
        return list(_CALLS)
    alone = _Call((5,), (5,), is_causal=True)  # it has no borders to get wrong, but one
    output = _answer(target, roles, alone)
    is_causal = output is not None and any(_is(output, _right(alone, align, cut=cut)) for cut in ("", "one late"))
    return [replace(call, is_causal=is_causal) for call in _CALLS if not call.is_causal]


def _roles(target: Any) -> dict[str, str] | None:
    """Return what each parameter is; None where it is no function of packed sequences, or needs something unknown."""
    if not inspect.isroutine(target):
        return None
    parameters = parameters_of(target)
    if parameters is None:
        return None
    roles: dict[str, str] = {}
    for parameter in parameters:
        role = _role(parameter.name.lower())
        if role is not None:
            roles[parameter.name] = role
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            return None
    return roles if {"q", "k", "v"} <= set(roles.values()) and "bounds" in "".join(roles.values()) else None


def _role(name: str) -> str | None:
    if re.fullmatch(_BOUNDS, name):
        return "bounds of keys" if re.search(r"_(k|kv|key)s?$", name) else "bounds of queries"
    if re.fullmatch(r"max_?(seq_?)?len.*", name):
        return "longest of keys" if re.search(r"_(k|kv|key)s?$", name) else "longest of queries"
    if "causal" in name:
        return "causal"
    return {"query": "q", "key": "k", "value": "v"}.get(role_of(name) or "")


def _answer(target: Any, roles: dict[str, str], call: _Call) -> Tensor | None:
    q, k, v = call.operands()
    if call.queries != call.keys and "bounds of keys" not in roles.values():
        return None  # one list of bounds serves for both
    values = {
        "q": q,
        "k": k,
        "v": v,
        "causal": call.is_causal,
        "bounds of queries": _bounds(call.queries),
        "bounds of keys": _bounds(call.keys),
        "longest of queries": max(call.queries),
        "longest of keys": max(call.keys),
    }
    try:
        with quietly():
            return arrays_in(target(**{name: values[role] for name, role in roles.items()}))[0]
    except Exception:  # noqa: BLE001  somebody else's code may raise anything
        return None


def _bounds(lengths: Sequence[int]) -> Tensor:
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)


def _one_late(bounds: Tensor) -> Tensor:
    """Return bounds that leave the first token of every sequence to the one before; the first of all stays alone."""
    return torch.cat([bounds[:1], bounds[:-1] + 1, bounds[-1:]])


def _right(call: _Call, align: Align, *, cut: str = "", is_tiled: bool = False) -> Tensor:
    """Return the answer `(total_q, h, d)`; `cut` is a way of cutting the keys that is wrong."""
    q, k, v = call.operands()
    shared = call.heads // call.kv_heads
    k, v = (x.repeat(1, shared, 1) if is_tiled else x.repeat_interleave(shared, 1) for x in (k, v))
    parts = []
    bounds = [_one_late(_bounds(n)) if cut == "one late" else _bounds(n) for n in (call.queries, call.keys)]
    for (start, end), (first, last) in zip(*map(pairwise, bounds), strict=True):
        first, last = {
            "": (first, last),
            "one late": (first, last),
            "nothing": (0, len(k)),
            "from the first": (0, last),
            "one more": (first, min(int(last) + 1, len(k))),
            "as the queries": (start, end),
        }[cut]
        scores = torch.einsum("qhd,khd->hqk", q[start:end], k[first:last]) * _D**-0.5
        if call.is_causal:
            scores = scores.masked_fill(~causal_of(*scores.shape[-2:], align), -torch.inf)
        parts.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1).nan_to_num(0.0), v[first:last]))
    return torch.cat(parts)


_CUTS = {
    "nothing": "every sequence sees the keys of all",
    "from the first": "every sequence sees the keys of those before it",
    "one more": "every sequence sees the first key of the next",
    "one late": "the first token of every sequence counts as one of the sequence before it",
    "as the queries": "the keys are cut where the queries begin and end",
}


def _wrong(wrong: Sequence[tuple[_Call, Tensor]], align: Align) -> Diagnosis:
    call, output = wrong[0]
    seen: dict[str | None, Behaviour] = {}
    for each, answer in wrong:
        for name, words in _mistakes_of(each, answer, align):
            seen.setdefault(name, Behaviour(name, f"{words}, in {each.words}"))
    named = tuple(find_fault(name) for name in seen if name is not None)
    right, step = _right(call, align), None
    if output.shape == right.shape:
        step = Difference("output", (), call.words, to_array(output[:, 0]), to_array(right[:, 0]))
    return diagnosed(
        "wrong",
        "attention over packed sequences",
        explanations=(named,) if named else (),
        behaviour=tuple(seen.values()) or (Behaviour(None, f"the output is another, in {call.words}"),),
        difference=step,
        called_with=call.words,
    )


def _mistakes_of(call: _Call, output: Tensor, align: Align) -> list[tuple[str, str]]:
    """Return the fewest mistakes that answer as the function does; none where they are not known."""
    other: Align = "start" if align == "end" else "end"
    causal = ("as it is", "other side", "ignored") if call.is_causal else ("as it is",)
    tiled = (False, True) if call.heads != call.kv_heads else (False,)
    found: list[list[tuple[str, str]]] = []
    for cut, is_tiled, future in product(("", *_CUTS), tiled, causal):
        asked = replace(call, is_causal=False) if future == "ignored" else call
        answer = _right(asked, other if future == "other side" else align, cut=cut, is_tiled=is_tiled)
        if not _is(output, answer):
            continue
        mistakes = [(("mask_ignored" if cut == "nothing" else "mask_misread"), _CUTS[cut])] if cut else []
        if is_tiled:
            mistakes.append(("heads_tiled", "key heads are shared in the wrong order"))
        if future == "other side":
            mistakes.append((f"causal_aligned_at_{other}", f"the causal mask lies at the {other}"))
        if future == "ignored":
            mistakes.append(("causal_ignored", "the future is seen"))
        found.append(mistakes)
    return min(found, key=len, default=[])


def _is(output: Tensor, answer: Tensor) -> bool:
    return output.shape == answer.shape and bool((output - answer).abs().max() < _NEAR)


def _listed(numbers: Sequence[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
