"""A cache changes nothing: the whole at once equals the prompt and then one token at a time, and the prompt in pieces.

How a cache is handed over is found by trying: a value that is returned and given back, a dictionary or an object that
is filled, or buffers inside the layer with a start position.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.witness.cache_objects import cache_makers, empty_place
from attention_surgeon.witness.findings import Claim
from attention_surgeon.witness.flow import Plan
from attention_surgeon.witness.record import Array, record, to_numbers

_LENGTH = 7
_ROOM = 12  # tokens that a cache of a fixed length holds
_PIECES = {
    "a prompt and then one token at a time": (5, 1, 1),
    "the prompt in pieces": (3, 4),
    "one token at a time": (1,) * _LENGTH,
}
_ROTARY = ("cos", "sin", "freqs", "rotary")
_PLACES = ("start", "positions")


@dataclass(frozen=True)
class _Way:
    """One way of handing a cache on: what it begins as, whether it comes back, where in the layer it is put."""

    start: Callable[[], Any]
    is_returned: bool = False
    place: str = ""


def try_cache(plan: Plan, *, is_causal: bool, says: str = "", hiding: frozenset[str] = frozenset()) -> Claim | None:
    """Return what came of feeding a sequence in pieces; None where the target has no cache.

    Args:
        plan: How the target is called.
        is_causal: Whether the future is hidden without a mask.
        says: The text around it, which may say that only one token at a time is taken.
        hiding: The masks in which True hides.
    """
    names = {role: [a.name for a in plan.arguments if a.role == role] for role in ("cache", "use_cache", *_PLACES)}
    asked = [*names["cache"], *names["use_cache"]]
    if not asked:  # a start position means a cache only where the layer keeps something
        made = plan.make()
        asked = [*names["start"], *names["positions"]] if empty_place(made) or _has_buffers(made) else []
    if not asked:
        return None
    is_cross = any(a.axes and a.role == "context" for a in plan.arguments)
    tokens = [a.name for a in plan.arguments if a.axes and a.role in ("x", "query", "key", "value")]
    if not tokens:
        return Claim(asked[0])
    pieces = [p for p in _PIECES if not _SINGLE.search(says) or set(_PIECES[p]) == {1}]
    found = [_tried(_Trier(plan, names, tokens, is_causal, hiding), asked[0], pieces)]
    if is_cross:
        given = plan.giving(*(a.name for a in plan.arguments if a.axes and a.role == "context"))
        over = _tried(_Trier(given, names, tokens[:1], True, hiding), asked[0], pieces)
        if not found[0].tried:  # a cache that raises without a context is not covered up by one that works with it
            over = replace(over, tried=tuple(f"{words} over a context" for words in over.tried))
        found.append(over)
    return next((claim for claim in found if claim.fault), next((c for c in found if c.tried), found[0]))


def _has_buffers(made: Any) -> bool:
    """Whether a layer keeps keys and values in tensors of its own."""
    if not isinstance(made, nn.Module):
        return False
    tensors = [*made.named_buffers(), *((n, v) for n, v in vars(made).items() if isinstance(v, Tensor))]
    return any("cache" in name.lower() or "past" in name.lower() for name, _ in tensors)


_SINGLE = re.compile(r"\b(a single|one|1) (new )?(token|query|step)\b(?! of)", re.IGNORECASE)


def _tried(trier: "_Trier", name: str, ways: Sequence[str]) -> Claim:
    outcomes: dict[str, bool] = {}
    for words in ways:
        if len(_PIECES[words]) == _LENGTH and outcomes:
            continue
        outcome = trier.outcome(_PIECES[words])
        if outcome is not None:
            outcomes[words] = outcome
    tried = tuple(outcomes)
    for words in (words for words, is_same in outcomes.items() if not is_same):
        fault, sentence, place = trier.what_is_wrong(_PIECES[words])
        said = f"fed as {words}, the output is another than at once: {sentence}"
        return Claim(name, tried, fault, said, place=place)
    if any(trier.keeps_mask(_PIECES[words]) is False for words in outcomes):
        said = "with kept keys, the mask of the whole sequence is cut at its first rows, not at those of the new tokens"
        return Claim(name, tried, "causal_aligned_at_start", said)
    return Claim(name, tried)


class _Trier:
    def __init__(
        self,
        plan: Plan,
        names: dict[str, list[str]],
        tokens: Sequence[str],
        is_causal: bool,
        hiding: frozenset[str],
    ) -> None:
        self.plan, self.names, self.tokens, self.is_causal, self.hiding = plan, names, tokens, is_causal, hiding
        self.inputs = plan.draw(batch=2, n_q=_LENGTH, n_k=_LENGTH, seed=4)
        self.inputs |= {name: self.inputs[tokens[0]] for name in tokens[1:]}
        self.way: _Way | None = None

    def outcome(self, pieces: Sequence[int]) -> bool | None:
        """Whether the pieces give what the whole gives; None where no way of handing the cache on works."""
        best: bool | None = None
        for way in self._ways() if self.way is None else [self.way]:
            if self._is_cross and best is not None and not (way.is_returned or way.place or way.start() is not None):
                break  # nothing kept is right in cross-attention, too, and says nothing of what is
            try:
                whole = self._whole(is_masked=bool(way.place))
                parts = [self._output(part) for part in self._fed(way, pieces)]
            except Exception:  # noqa: BLE001
                continue
            if (
                not parts
                or self._is_forgotten(parts, pieces)
                or any(part.shape[self._axis] != size for part, size in zip(parts, pieces, strict=True))
            ):
                continue
            is_causal = self.is_causal or bool(way.place)
            joined = np.concatenate(parts if is_causal else parts[-1:], self._axis)
            expected = whole if is_causal else np.take(whole, range(_LENGTH - pieces[-1], _LENGTH), self._axis)
            size = float(np.abs(expected).max())
            is_same = joined.shape == expected.shape and bool(np.abs(joined - expected).max() < 1e-4 * size)
            if best is None or is_same:
                best, self.way = is_same, way
            if is_same:
                return True
        return best

    def _whole(self, *, is_masked: bool) -> Array:
        """Return the output of the whole sequence at once; with the causal mask of a cache of a fixed length."""
        given = self._given(0, _LENGTH, "")
        if is_masked:
            seen = torch.ones(_LENGTH, _LENGTH, dtype=torch.bool).tril()[None, None]
            given |= {a.name: seen for a in self.plan.arguments if a.role == "mask"}
        with torch.no_grad():
            return self._output(self.plan.call(self.plan.make(), given))

    def _is_forgotten(self, parts: Sequence[Array], pieces: Sequence[int]) -> bool:
        """Whether the last piece alone gives the same: then nothing was kept, and this is no way to hand a cache on."""
        if self._is_cross or self.names["start"]:
            return False  # each query sees the whole context, or the layer was told that it has seen tokens
        try:
            with torch.no_grad():
                output = self._output(self.plan.call(self.plan.make(), self._given(sum(pieces[:-1]), pieces[-1], "")))
        except Exception:  # noqa: BLE001
            return False
        return output.shape == parts[-1].shape and bool(np.abs(output - parts[-1]).max() < 1e-6)

    @property
    def _is_cross(self) -> bool:
        return any(a.role == "context" and a.name in self.inputs for a in self.plan.arguments)

    @property
    def _axis(self) -> int:
        return self.plan.output_axes.index("n")

    def _output(self, returned: Any) -> Array:
        return to_numbers(self.plan.arrays(returned)[max(self.plan.output, 0)])

    def _ways(self) -> Iterator[_Way]:
        if self.names["cache"]:
            yield _Way(lambda: None, is_returned=True)
            yield _Way(dict)
            for maker in cache_makers(self.plan, _LENGTH):
                yield _Way(maker)
        place = empty_place(self.plan.make())
        if place is not None:
            for maker in cache_makers(self.plan, _ROOM):
                yield _Way(maker, place=place)
        if not self.names["cache"] or place is not None or _has_buffers(self.plan.make()):
            yield _Way(lambda: None)

    def keeps_mask(self, pieces: Sequence[int]) -> bool | None:
        """Whether a causal mask of the whole sequence, given with every piece, gives what it gives at once.

        None where it takes no such mask: most want the rows of the new queries only.
        """
        names = [a.name for a in self.plan.arguments if a.role == "mask" and a.name not in self.inputs]
        if self.way is None or self.is_causal or self.plan.library != "torch" or not names:
            return None
        mask = {names[0]: torch.full((_LENGTH, _LENGTH), -torch.inf).triu(1)}
        try:
            with torch.no_grad():
                whole = self._output(self.plan.call(self.plan.make(), self._given(0, _LENGTH, "") | mask))
            parts = [self._output(part) for part in self._fed(self.way, pieces, mask)]
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            return None
        if any(part.shape[self._axis] != size for part, size in zip(parts, pieces, strict=True)):
            return None
        joined = np.concatenate(parts, self._axis)
        return joined.shape == whole.shape and bool(np.abs(joined - whole).max() < 1e-4 * float(np.abs(whole).max()))

    def _fed(self, way: _Way, pieces: Sequence[int], extra: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Yield what each piece gives, the cache handed on as `way` says, with more arguments in every call."""
        made, state, first = self.plan.make(), way.start(), 0
        if way.place:
            setattr(made, way.place, state)
        for size in pieces:
            given = self._given(first, size, way.place)
            given |= {name: True for name in self.names["use_cache"]} | dict(extra or {})
            if self.names["cache"] and not way.place:
                given[self.names["cache"][0]] = state
            with torch.no_grad():
                returned = self.plan.call(made, given)
            if way.is_returned:
                state = self._cache_in(returned)
                if state is None:
                    raise ValueError("nothing like a cache was returned")
            elif not way.place and state is None and empty_place(made) is not None:
                raise ValueError("the layer keeps nothing: its cache is still None")
            yield returned
            first += size

    def _given(self, first: int, size: int, place: str) -> dict[str, Any]:
        """Return the arguments of one piece; with a cache of a fixed length a mask has as many columns."""
        given = {name: self._piece(name, value, first, size) for name, value in self.inputs.items()}
        for argument in self.plan.arguments:
            value = self.inputs.get(argument.name)
            if argument.role == "start" and argument.name not in given:
                given[argument.name] = first  # how many tokens went before may be left out at the start only
            if argument.role == "positions" and argument.name not in given and place:
                given[argument.name] = torch.arange(first, first + size)
            is_boolean = isinstance(value, Tensor) and value.dtype == torch.bool and value.ndim >= 2
            if argument.role == "mask" and (place or is_boolean):
                seen = (
                    torch.arange(_ROOM if place else first + size)[None] <= torch.arange(first, first + size)[:, None]
                )
                axes = value.ndim - 2 if isinstance(value, Tensor) and is_boolean else 2
                given[argument.name] = (~seen if argument.name in self.hiding else seen)[(None,) * axes]
        return given

    def _piece(self, name: str, value: Any, first: int, size: int) -> Any:
        argument = next(a for a in self.plan.arguments if a.name == name)
        if argument.name in self.tokens:
            axis = next(argument.axes.index(c) for c in argument.axes if c in "nm")
            return _cut(value, axis, first, size)
        if argument.role in _ROTARY or (argument.role == "positions" and not isinstance(value, int)):
            return _cut_tables(value, first, size)
        return first if argument.role in _PLACES else value

    def _cache_in(self, returned: Any) -> Any:
        """Return what among the returned values can be handed on: several tensors together, or an object with some."""
        if not isinstance(returned, tuple | list):
            return None
        for part in reversed(returned):
            if isinstance(part, Tensor) or part is None:
                continue
            if (isinstance(part, tuple | list | dict) and len(part)) or hasattr(part, "__dict__"):
                return part
        rest = [part for part in returned[1:] if isinstance(part, Tensor)]
        return tuple(rest) if len(rest) == 2 else (rest[0] if len(rest) == 1 else None)

    def what_is_wrong(self, pieces: Sequence[int]) -> tuple[str, str, Any]:
        """Say what differs, from what entered the last softmax."""
        assert self.way is not None
        way = self.way
        found: list[Any] = []

        def run() -> None:
            found.extend(self._fed(way, pieces))

        trace = record(run, with_places=True)
        softs = [op for op in trace.ops if op.name == "softmax" and op.inputs[0].shape[-1] == _LENGTH]
        if softs:
            hidden = softs[-1].inputs[0][(0,) * (softs[-1].inputs[0].ndim - 2)] < -1e3
            n_q = hidden.shape[0]
            right = np.arange(_LENGTH)[None] > np.arange(_LENGTH - n_q, _LENGTH)[:, None]
            if (
                self.is_causal
                and (hidden == (np.arange(_LENGTH)[None] > np.arange(n_q)[:, None])).all()
                and (hidden != right).any()
            ):
                return (
                    "causal_aligned_at_start",
                    "the mask is laid at the start, so the newest query sees the oldest keys only",
                    softs[-1].place,
                )
            if self.is_causal and not hidden.any() and right.any():
                return (
                    "cache_future_seen",
                    "nothing is hidden, so tokens of one piece see those after them",
                    softs[-1].place,
                )
        return (
            "cache_changes_output",
            "the keys, values or positions that are kept are not those of the whole sequence",
            softs[-1].place if softs else None,
        )


def _cut(value: Any, axis: int, first: int, size: int) -> Any:
    place = (slice(None),) * axis + (slice(first, first + size),)
    return value[place]


def _cut_tables(value: Any, first: int, size: int) -> Any:
    """Cut rotary tables or positions along the axis that is as long as the sequence."""
    if isinstance(value, tuple | list):
        return type(value)(_cut_tables(part, first, size) for part in value)
    if hasattr(value, "shape") and _LENGTH in value.shape:
        return _cut(value, list(value.shape).index(_LENGTH), first, size)
    return value
