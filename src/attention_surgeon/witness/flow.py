"""What depends on what in a target: found by changing one token, or one result, and watching what changes.

A `Flow` is one target, made and called at one size, run again and again: once as it is, once with other numbers, and
with halves of the tokens changed. From that every element of every recorded array gets its tokens: the element of the
scores that belongs to query 3 of sequence 1 is the one that changes with that token, whatever the layout.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.calls import Plan
from attention_surgeon.errors import UnjudgedError
from attention_surgeon.witness.record import PRODUCTS, PROJECTIONS, Array, Bump, Op, Trace, record, watched
from attention_surgeon.witness.tokenwise import make_tokenwise

TOKEN_ROLES = frozenset(("x", "query", "key", "value", "context"))
NONE, SEVERAL = -1, -2
"""Labels of elements that depend on no token, or on more than one."""

_APART = 1e-6  # what counts as a change, of the largest number around; float32 noise is a tenth of that


@dataclass(frozen=True)
class Token:
    """One token of one argument."""

    argument: str
    batch: int
    position: int


class Flow:
    """A target at one size, and what its operations depend on."""

    def __init__(
        self, plan: Plan, made: Any, inputs: Mapping[str, Any], others: Mapping[str, Any], *, is_wide: bool = True
    ) -> None:
        """Run the target twice, with different numbers.

        Args:
            plan: How it is called.
            made: The object.
            inputs: The arguments of the call.
            others: The same with other numbers.
            is_wide: Whether float64 is worked in, as far as the target can.

        Raises:
            UnjudgedError: it does different things with different numbers.
            Exception: whatever the target raises.
        """
        self.plan = plan
        self.left_out = make_tokenwise(made)
        fitted = _in_double if is_wide else _in_single
        self.made, self.inputs = fitted(plan, made, dict(inputs))
        _, others = fitted(plan, made, dict(others))
        self._others = self.inputs | {name: others[name] for name in self.arguments}  # weights and masks stay
        self._labels: dict[tuple[int, int | None], Array] = {}
        self._disturbed: dict[tuple[int, ...], Trace] = {}
        self.layouts: dict[tuple[str, int], Any] = {}
        self._source: Flow | None = None
        self.base = self.run(with_places=True)
        self.other = self._run_with(self._others)
        if [op.name for op in self.base.ops] != [op.name for op in self.other.ops]:
            raise UnjudgedError("it does other operations on other numbers")

    def echo(self, inputs: Mapping[str, Any], others: Mapping[str, Any], *, is_wide: bool = True) -> "Flow":
        """Return the flow of the same object with more arguments, whose tokens are known from this one.

        Args:
            inputs: The arguments of the call.
            others: The same with other numbers.
            is_wide: Whether float64 is worked in; where not, the object is left in float32.

        Raises:
            UnjudgedError: it does different things with different numbers.
            Exception: whatever the target raises.
        """
        found = Flow(self.plan, self.made, inputs, others, is_wide=is_wide)
        found._source = self
        return found

    def twin(self, op: int) -> int | None:
        """Return the operation of the flow that this one echoes that stands in the same place among its kind."""
        if self._source is None:
            return op
        mine, theirs = self.ops[op], self._source.ops
        before = sum(other.name == mine.name and _alike(other, mine) for other in self.ops[:op])
        same = [k for k, other in enumerate(theirs) if other.name == mine.name and _alike(other, mine)]
        return same[before] if before < len(same) else None

    @property
    def ops(self) -> tuple[Op, ...]:
        """The operations of the plain run."""
        return self.base.ops

    def run(self, bumps: Mapping[int, Bump] | None = None, *, with_places: bool = False) -> Trace:
        """Run it with the plain inputs, disturbed or not."""
        return self._run_with(self.inputs, bumps, with_places=with_places)

    def run_with_one_token(self) -> Trace:
        """Run it with the first token of every sequence in the place of all others."""
        alike = {}
        for name, axes in self.arguments.items():
            value = self.inputs[name].clone() if isinstance(self.inputs[name], Tensor) else self.inputs[name].copy()
            for axis in (axes.index(letter) for letter in "nmyx" if letter in axes):
                first = (*[slice(None)] * axis, slice(0, 1))
                value[...] = value[first]
            alike[name] = value
        return self._run_with(self.inputs | alike)

    def _run_with(
        self, inputs: Mapping[str, Any], bumps: Mapping[int, Bump] | None = None, *, with_places: bool = False
    ) -> Trace:
        given = {name: _fresh(value, self.plan.library) for name, value in inputs.items()}

        def run() -> Any:
            with torch.no_grad():
                return self.plan.call(self.made, given)

        return record(run, bumps=bumps, with_places=with_places)

    @cached_property
    def arguments(self) -> dict[str, str]:
        """The axes of the arguments that hold tokens, by name."""
        return {a.name: a.axes for a in self.plan.arguments if a.axes and a.name in self.inputs and _holds_tokens(a)}

    @cached_property
    def tokens(self) -> list[Token]:
        """Every token of every argument."""
        found = []
        for name, axes in self.arguments.items():
            sizes = dict(zip(axes, self.inputs[name].shape, strict=True))
            n = sizes["y"] * sizes["x"] if "y" in axes else sizes.get("n", sizes.get("m", 1))
            found += [Token(name, b, i) for b in range(sizes.get("b", 1) * sizes.get("s", 1)) for i in range(n)]
        return found

    @cached_property
    def _token_runs(self) -> list[tuple[Trace, Trace]]:
        """For each binary digit of a token's number: the runs in which those with it, and those without it, change.

        What depends on one token changes in one run of each pair, and the pairs spell its number; what depends on
        several changes in both runs of some pair. So a few runs say what one run a token would.
        """
        numbers = range(len(self.tokens))
        digits = range(max(1, (len(numbers) - 1).bit_length()))
        halves = [[[n for n in numbers if n >> digit & 1 == has] for has in (1, 0)] for digit in digits]
        return [(self._run_with(self._bumped(with_it)), self._run_with(self._bumped(rest))) for with_it, rest in halves]

    def _bumped(self, numbers: list[int]) -> dict[str, Any]:
        """Return the inputs with other numbers in these tokens."""
        changed = dict(self.inputs)
        for argument, axes in self.arguments.items():
            value = changed[argument]
            changed[argument] = value = value.clone() if isinstance(value, Tensor) else value.copy()
            noise = np.random.default_rng(7).normal(size=tuple(value.shape))
            across = value.shape[axes.index("x")] if "x" in axes else 1
            beside = value.shape[axes.index("s")] if "s" in axes else 1
            for token in (self.tokens[number] for number in numbers if self.tokens[number].argument == argument):
                where = {
                    "b": token.batch // beside,
                    "s": token.batch % beside,
                    "n": token.position,
                    "m": token.position,
                }
                where |= {"y": token.position // across, "x": token.position % across}
                place = tuple(where.get(axis, slice(None)) for axis in axes)
                if isinstance(value, Tensor):
                    value[place] += torch.as_tensor(noise[place]).to(value.dtype)
                else:
                    value[place] += noise[place]
        return changed

    def _changed(self, trace: Trace, op: int, operand: int | None) -> Array:
        before = self._array(self.base, op, operand)
        if len(trace.ops) <= op or self._array(trace, op, operand).shape != before.shape:
            raise UnjudgedError("it does other operations when one token changes")
        return apart(before, self._array(trace, op, operand))

    def labels(self, op: int, operand: int | None = None) -> Array:
        """Return for each element of an array the number of its token, `NONE` or `SEVERAL`."""
        key = op, operand
        if self._source is not None:
            twin = self.twin(op)
            if twin is None:
                raise UnjudgedError("with this argument it does other operations")
            return self._source.labels(twin, operand)
        if key not in self._labels:
            pairs = [[self._changed(trace, op, operand) for trace in pair] for pair in self._token_runs]
            number = sum((one.astype(int) << digit for digit, (one, _) in enumerate(pairs)), start=np.array(0))
            is_several = np.any([one & two for one, two in pairs], axis=0)
            depends = np.any([one | two for one, two in pairs], axis=0)
            self._labels[key] = np.where(is_several, SEVERAL, np.where(depends, number, NONE))
        return self._labels[key]

    def is_constant(self, op: int, operand: int | None = None) -> bool:
        """Whether an array is the same for other inputs."""
        one, two = self._array(self.base, op, operand), self._array(self.other, op, operand)
        return one.shape == two.shape and not apart(one, two).any()

    def _array(self, trace: Trace, op: int, operand: int | None) -> Array:
        value = trace.ops[op].value if operand is None else trace.ops[op].inputs[operand]
        assert value is not None
        return value

    @cached_property
    def projections(self) -> list[int]:
        """The operations that multiply tokens with weights, in order."""
        return [i for i, op in enumerate(self.ops) if self._is_projection(i, op)]

    @cached_property
    def products(self) -> list[int]:
        """The operations that multiply tokens with tokens, in order."""
        two = (i for i, op in enumerate(self.ops) if op.name in PRODUCTS and len(op.inputs) >= 2)
        return [i for i in two if not any(self.is_constant(i, n) for n in (-2, -1))]

    def _is_projection(self, i: int, op: Op) -> bool:
        if op.name in PROJECTIONS:
            return not self.is_constant(i)
        return op.name in PRODUCTS and len(op.inputs) >= 2 and self.is_constant(i, -2) != self.is_constant(i, -1)

    def disturbed(self, op: int) -> Trace:
        """Return the run in which the result of an operation was disturbed."""
        return self._kept((op,), disturb)

    def disturbed_at(self, op: int, places: Array) -> Trace:
        """Return the run in which some elements of a result, by their place in it, were disturbed."""

        def bump(value: Array) -> Array:
            flat = value.reshape(-1).copy()
            flat[places.reshape(-1)] += np.random.default_rng(3).normal(size=places.size)
            return flat.reshape(value.shape)

        return self._kept((op, *places.reshape(-1).tolist()), bump)

    def _kept(self, key: tuple[int, ...], bump: Bump) -> Trace:
        if key not in self._disturbed:
            self._disturbed[key] = self.run({key[0]: bump})
        return self._disturbed[key]

    def reaches(self, op: int, other: int, operand: int | None = None) -> bool:
        """Whether a result (or an operand) depends on the result of an earlier operation."""
        trace = self.disturbed(op)
        if other <= op or other >= len(trace.ops):
            return False
        return bool(apart(self._array(self.base, other, operand), self._array(trace, other, operand)).any())


def _alike(one: Op, two: Op) -> bool:
    """Whether two operations take arrays of the same shapes."""
    return [x.shape for x in one.inputs[:2]] == [x.shape for x in two.inputs[:2]]


def disturb(value: Array) -> Array:
    """Return other numbers near these."""
    return value + np.random.default_rng(11).normal(size=value.shape)


def apart(one: Array, two: Array) -> Array:
    """Return where two arrays differ by more than noise."""
    if one.shape != two.shape:
        return np.ones(one.shape, dtype=bool)
    if one.dtype.kind == "b":
        return one != two
    same = one == two
    if same.all():
        return ~same
    with np.errstate(invalid="ignore"):
        finite = np.abs(one[np.isfinite(one)])
        high = 9 * (finite.size - 1) // 10
        scale = max(1e-30, float(np.partition(finite, high)[high]) if finite.size else 1.0)
        near = np.abs(one - two) <= _APART * np.maximum(scale, np.abs(one))
        return ~(same | near | (np.isnan(one) & np.isnan(two)))


def _holds_tokens(argument: Any) -> bool:
    return argument.role in TOKEN_ROLES and any(axis in argument.axes for axis in "nmy")


def _fresh(value: Any, library: str) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, np.ndarray):
        return watched(value) if library == "numpy" else value.copy()
    if isinstance(value, tuple | list):
        return type(value)(_fresh(part, library) for part in value) if not hasattr(value, "_fields") else value
    if isinstance(value, dict):
        return {key: _fresh(part, library) for key, part in value.items()}
    return value


def _in_double(plan: Plan, made: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the object and its inputs in float64 where it can work so; otherwise as they are."""
    if plan.library != "torch":
        return made, inputs
    wide = {name: _widened(value) for name, value in inputs.items()}
    kept = None
    try:
        if isinstance(made, nn.Module):
            kept = [p.dtype for p in made.parameters()]
            made.double()
        with torch.no_grad():
            plan.call(made, {name: _fresh(value, "torch") for name, value in wide.items()})
        return made, wide
    except Exception:  # noqa: BLE001  somebody else's code may insist on float32
        if isinstance(made, nn.Module) and kept:
            made.to(kept[0])
        return made, inputs


def _in_single(plan: Plan, made: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the object and its inputs in float32, the precision that their author works in."""
    if isinstance(made, nn.Module):
        made.float()
    return made, {
        name: value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
        for name, value in inputs.items()
    }


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.double()
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return type(value)(_widened(part) for part in value)
    if isinstance(value, dict):
        return {key: _widened(part) for key, part in value.items()}
    return value
