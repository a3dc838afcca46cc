"""A cache changes nothing: the whole at once equals the prompt and then one token at a time, and the prompt in pieces.

How a cache is handed over is found by trying: a value that is returned and given back, a dictionary or an object that
is filled, or buffers inside the layer with a start position.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.witness.claims import Claim
from attention_surgeon.witness.flow import Plan
from attention_surgeon.witness.record import Array, record, to_numbers

_LENGTH = 7
_PIECES = {"a prompt and then one token at a time": (5, 1, 1), "the prompt in pieces": (3, 4)}
_ROTARY = ("cos", "sin", "freqs", "positions")


@dataclass(frozen=True)
class _Way:
    """One way of handing a cache on."""

    start: Callable[[], Any]
    is_returned: bool


def try_cache(plan: Plan, *, is_causal: bool) -> Claim | None:
    """Return what came of feeding a sequence in pieces; None where the target has no cache."""
    names = {role: [a.name for a in plan.arguments if a.role == role] for role in ("cache", "use_cache")}
    if not names["cache"] and not names["use_cache"]:
        return None
    name = (names["cache"] or names["use_cache"])[0]
    tokens = [a.name for a in plan.arguments if a.axes and a.role in ("x", "query", "key", "value")]
    if not tokens or any("n" not in a.axes and "m" in a.axes for a in plan.arguments if a.name in tokens[:1]):
        return Claim(name)
    trier = _Trier(plan, names, tokens, is_causal)
    outcomes = {words: trier.outcome(pieces) for words, pieces in _PIECES.items()}
    tried = tuple(words for words, outcome in outcomes.items() if outcome is not None)
    for words in tried:
        if not outcomes[words]:
            fault, sentence, place = trier.what_is_wrong(_PIECES[words])
            said = f"fed as {words}, the output is another than at once: {sentence}"
            return Claim(name, tried, fault, said, place=place)
    return Claim(name, tried)


class _Trier:
    def __init__(self, plan: Plan, names: dict[str, list[str]], tokens: Sequence[str], is_causal: bool) -> None:
        self.plan, self.names, self.tokens, self.is_causal = plan, names, tokens, is_causal
        self.inputs = plan.draw(batch=2, n_q=_LENGTH, n_k=_LENGTH, seed=4)
        self.inputs |= {name: self.inputs[tokens[0]] for name in tokens[1:]}
        self.way: _Way | None = None

    def outcome(self, pieces: Sequence[int]) -> bool | None:
        """Whether the pieces give what the whole gives; None where no way of handing the cache on works."""
        try:
            with torch.no_grad():
                whole = self._output(self.plan.call(self.plan.make(), dict(self.inputs)))
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            return None
        best: bool | None = None
        for way in self._ways() if self.way is None else [self.way]:
            try:
                parts = [self._output(part) for part in self._fed(way, pieces)]
            except Exception:  # noqa: BLE001
                continue
            if (
                not parts
                or self._is_forgotten(parts, pieces)
                or any(part.shape[self._axis] != size for part, size in zip(parts, pieces, strict=True))
            ):
                continue
            joined = np.concatenate(parts if self.is_causal else parts[-1:], self._axis)
            expected = whole if self.is_causal else np.take(whole, range(_LENGTH - pieces[-1], _LENGTH), self._axis)
            size = float(np.abs(expected).max())
            is_same = joined.shape == expected.shape and bool(np.abs(joined - expected).max() < 1e-4 * size)
            if best is None or is_same:
                best, self.way = is_same, way
            if is_same:
                return True
        return best

    def _is_forgotten(self, parts: Sequence[Array], pieces: Sequence[int]) -> bool:
        """Whether the last piece alone gives the same: then nothing was kept, and this is no way to hand a cache on."""
        first = sum(pieces[:-1])
        alone = {name: self._piece(name, value, first, pieces[-1]) for name, value in self.inputs.items()}
        try:
            with torch.no_grad():
                output = self._output(self.plan.call(self.plan.make(), alone))
        except Exception:  # noqa: BLE001
            return False
        return output.shape == parts[-1].shape and bool(np.abs(output - parts[-1]).max() < 1e-6)

    @property
    def _axis(self) -> int:
        return self.plan.output_axes.index("n")

    def _output(self, returned: Any) -> Array:
        return to_numbers(self.plan.arrays(returned)[max(self.plan.output, 0)])

    def _ways(self) -> Iterator[_Way]:
        yield _Way(lambda: None, is_returned=True)
        yield _Way(dict, is_returned=False)
        yield _Way(lambda: None, is_returned=False)

    def _fed(self, way: _Way, pieces: Sequence[int]) -> Iterator[Any]:
        """Yield what each piece gives, the cache handed on as `way` says."""
        made, state, first = self.plan.make(), way.start(), 0
        for size in pieces:
            given = {name: self._piece(name, value, first, size) for name, value in self.inputs.items()}
            given |= {name: True for name in self.names["use_cache"]}
            if self.names["cache"]:
                given[self.names["cache"][0]] = state
            with torch.no_grad():
                returned = self.plan.call(made, given)
            if way.is_returned:
                state = self._cache_in(returned)
                if state is None:
                    raise ValueError("nothing like a cache was returned")
            yield returned
            first += size

    def _piece(self, name: str, value: Any, first: int, size: int) -> Any:
        argument = next(a for a in self.plan.arguments if a.name == name)
        if argument.name in self.tokens:
            axis = next(argument.axes.index(c) for c in argument.axes if c in "nm")
            return _cut(value, axis, first, size)
        if argument.role in _ROTARY:
            return _cut_tables(value, first, size)
        if argument.role == "positions" or (isinstance(value, int) and "pos" in name):
            return first
        return value

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
