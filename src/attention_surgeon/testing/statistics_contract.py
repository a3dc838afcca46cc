"""The contract of statistics: `analyze_attention_patterns(weights) -> dict` of four numbers."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.faults import Family
from attention_surgeon.ops import MEASURES, Circuit, softmax
from attention_surgeon.testing.answer import (
    Answer,
    Array,
    Library,
    as_code,
    quietly,
    raised,
    same_answer,
    same_numbers,
    to_array,
    to_library,
)
from attention_surgeon.testing.contract import Case, Contract, Subject
from attention_surgeon.testing.draw import causal, generator, numbers
from attention_surgeon.testing.steadiness import find_locality, windows_of
from attention_surgeon.verdict import Behaviour

_DIAGONAL, _LOCAL = MEASURES.index("diagonal_mass"), MEASURES.index("local_vs_global")
_SIZES = ((7, 11), (13, 5))
_BATCH = (3, 2)
_CERTAIN = 17


@dataclass(frozen=True)
class StatisticsContract(Contract):
    """Four numbers about weights `(n, n)`, by name.

    `max_attention`, the largest weight; `entropy`, in nats, the mean over rows; `diagonal_mass`, the mean weight on the
    own position, as a share or in percent; `local_vs_global`, the weight on near keys against that on far ones, with
    any meaning of near.
    """

    name: ClassVar[str] = "statistics"
    value_names: ClassVar[tuple[str, ...]] = MEASURES

    def bind(self, target: Any) -> "StatisticsSubject":
        """Find the library that the function takes, and what it means by local.

        Raises:
            UnjudgedError: it gives none of the four numbers, with what it gives instead.
        """
        if not callable(target):
            raise UnjudgedError(f"it is a {type(target).__name__}, expected a function of attention weights.")
        return StatisticsSubject(self, target)


@dataclass(frozen=True, eq=False)
class StatisticsCase(Case):
    """One call: weights `(n, n)`, or `(heads, n, n)`, or `(batch, heads, n, n)`, rows that sum to 1."""

    name: str
    weights: Tensor

    @property
    def is_square(self) -> bool:
        """Whether there are as many keys as queries, so that every query has a key of its own."""
        return self.weights.shape[-1] == self.weights.shape[-2]

    @property
    def sentence(self) -> str:
        """`plain: weights (7, 7)`."""
        return f"{self.name}: weights {tuple(self.weights.shape)}"

    def with_other_numbers(self) -> "StatisticsCase":
        """The same sizes, the weights halfway to uniform."""
        return StatisticsCase(self.name, (self.weights + 1 / self.weights.shape[-1]) / 2)


@lru_cache(maxsize=8)
def statistics_cases(num_axes: int, probe: int) -> tuple[StatisticsCase, ...]:
    """Return the calls of one probe: all weights above 0, some of them 0, all but one of every row; and not square.

    No two of them have the same shape, so that an answer remembered by shape does not spoil the next.
    """
    source, batch = generator(7000 + probe), _BATCH[4 - num_axes :]
    small, large = _SIZES[probe % len(_SIZES)]
    plain = numbers(source, *batch, small, small)
    hidden = numbers(source, *batch, large, large).masked_fill(~causal(large, large), float("-inf"))
    certain = torch.eye(_CERTAIN, dtype=torch.float64)[[(5 * row + 1) % _CERTAIN for row in range(_CERTAIN)]]
    drawn = {"plain": softmax(plain), "causal": softmax(hidden), "one key each": certain.expand(*batch, -1, -1)}
    drawn["more keys than queries"] = softmax(numbers(source, *batch, 3, large))
    return tuple(StatisticsCase(name, weights.float().double()) for name, weights in drawn.items())


class StatisticsSubject(Subject):
    """A function that measures weights and can be asked."""

    def __init__(self, contract: StatisticsContract, function: Callable[..., Any]) -> None:
        """Bind."""
        self.contract = contract
        self.base = Circuit()
        self.families: frozenset[Family] = frozenset({"statistics"})
        self.remarks: list[str] = []
        self._function = function
        self.library: Library = "torch"
        self.num_axes = self._find_layout()
        answers = [
            (case, values) for case in statistics_cases(self.num_axes, 0) if (values := self._values_or_none(case))
        ]
        self._any_shape = any(not case.is_square for case, _ in answers)
        answers = [(case, values) for case, values in answers if case.is_square]
        self._missing = [name for place, name in enumerate(MEASURES) if all(v[place] is None for _, v in answers)]
        self._is_percent = all(_is_percent(case, values[_DIAGONAL]) for case, values in answers)
        self._locality = find_locality([case.weights.numpy() for case, _ in answers], [v[_LOCAL] for _, v in answers])
        if self._is_percent:
            self.remarks.append("diagonal_mass is in percent")
        if self._locality:
            self.remarks.append(self._locality.sentence)

    @property
    def key(self) -> Hashable:
        """The contract and the cases."""
        return self.contract, self.num_axes, self._any_shape

    def cases(self, probe: int) -> tuple[StatisticsCase, ...]:
        """Return the calls of one probe; weights that are not square only for a function that takes them."""
        cases = statistics_cases(self.num_axes, probe)
        return tuple(case for case in cases if case.is_square or self._any_shape)

    def small_cases(self) -> Iterator[StatisticsCase]:
        """Yield two and three positions with simple fractions, and with zeros."""
        for rows in (
            [[0.5, 0.5], [0.25, 0.75]],
            [[1.0, 0.0], [0.5, 0.5]],
            [[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [0.125, 0.375, 0.5]],
            [[0.5, 0.25, 0.25]],
        ):
            weights = torch.tensor(rows, dtype=torch.float64)
            case = StatisticsCase("small", weights.expand(*(1,) * (self.num_axes - 2), *weights.shape))
            if case.is_square or self._any_shape:
                yield case

    def as_code(self, case: StatisticsCase) -> str:
        """Return the assignment of the weights."""
        return as_code("weights", to_library(case.weights, self.library))

    def ask(self, case: StatisticsCase) -> Answer:
        """Call the function, and bring what it means by percent and by local to the usual meaning."""
        try:
            values = self._values(case)
        except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
            return raised(error)
        if not case.is_square:
            values[_DIAGONAL] = values[_LOCAL] = None  # which key is a query's own is not agreed upon
        diagonal, local = values[_DIAGONAL], values[_LOCAL]
        if self._is_percent and diagonal is not None:
            values[_DIAGONAL] = np.asarray(diagonal / 100)
        if self._locality is None:
            values[_LOCAL] = None  # told by its behaviour; the other three can still be recognised
        elif local is not None and windows_of(self._locality.ratio, case.weights.numpy(), local):
            values[_LOCAL] = self.answer(self.base, case).values[_LOCAL]
        return Answer(tuple(values))

    def answer(self, circuit: Circuit, case: StatisticsCase) -> Answer:
        """Measure the same weights with a circuit."""
        try:
            measured = circuit.measure(case.weights)
        except (SurgeonError, RuntimeError, IndexError) as error:  # a faulty circuit may not fit these shapes
            return raised(error)
        return Answer(tuple(to_array(measured[name]) for name in MEASURES))

    def steps(self, circuit: Circuit, case: StatisticsCase) -> None:
        """Return None: the weights are there already."""
        return None

    def behaviour(self, circuit: Circuit | None) -> list[Behaviour]:
        """Look for what is missing, at the caller's tensor, and at several heads at once."""
        seen = [Behaviour(None, f"it returns no {name!r}") for name in self._missing]
        if circuit is not None and self._is_remembered():
            seen.append(Behaviour("shares_state", "other weights of the same shape get the numbers of the call before"))
        if self._locality is None and MEASURES[_LOCAL] not in self._missing:
            seen.append(Behaviour(None, "local_vs_global is no ratio of near to far weight, whatever is near"))
        if any(self._changes(case) for case in self.cases(0)):
            seen.append(Behaviour("mutates_inputs", "after the call the caller's weights held other numbers"))
        return [*seen, *(self._look_at_heads() if circuit is self.base else ())]

    def _is_remembered(self) -> bool:
        """Whether other weights give the same four numbers: no faulty circuit does that."""
        case = self.cases(0)[0]
        return same_answer(self.ask(case), self.ask(case.with_other_numbers()))

    def _changes(self, case: StatisticsCase) -> bool:
        given = to_library(case.weights, self.library)
        kept = to_array(given).copy()
        try:
            with quietly():
                self._function(given)
        except Exception:  # noqa: BLE001  what it raises is told elsewhere
            return False
        return not np.array_equal(to_array(given), kept)

    def _look_at_heads(self) -> Iterator[Behaviour]:
        if self.num_axes > 2:
            return
        case = statistics_cases(3, 0)[0]
        given = self.ask(case)
        if given.error is None and not same_answer(given, self.answer(self.base, case)):
            yield Behaviour(None, f"of weights {tuple(case.weights.shape)} it gives other numbers", is_fault=False)

    def _values_or_none(self, case: StatisticsCase) -> list[Array | None] | None:
        try:
            return self._values(case)
        except Exception:  # noqa: BLE001  somebody else's function may raise anything
            return None

    def _values(self, case: StatisticsCase) -> list[Array | None]:
        """Call the function and return its numbers in the order of `MEASURES`.

        Raises:
            TypeError: it returns none of them.
        """
        with quietly():
            returned = self._function(to_library(case.weights, self.library))
        if not isinstance(returned, Mapping):
            raise TypeError(f"it returned {type(returned).__name__}, expected a dict with {', '.join(MEASURES)}")
        values = [to_array(returned[name]) if name in returned else None for name in MEASURES]
        if all(value is None for value in values):
            raise TypeError(f"it returned {sorted(map(str, returned))}, expected {', '.join(MEASURES)}")
        return values

    def _find_layout(self) -> int:
        errors: list[str] = []
        for num_axes, library in product((2, 3, 4), ("torch", "numpy")):
            self.library = library
            for case in statistics_cases(num_axes, 0)[:1]:
                try:
                    self._values(case)
                except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
                    errors.append(str(raised(error).error))
                else:
                    return num_axes
        raise UnjudgedError(f"it answers no call; with weights (n, n): {errors[0]}")


def _is_percent(case: StatisticsCase, diagonal: Array | None) -> bool:
    share = case.weights.diagonal(dim1=-2, dim2=-1).mean().numpy()
    return diagonal is not None and same_numbers(diagonal, np.asarray(100 * share))
