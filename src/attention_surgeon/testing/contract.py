"""What a contract is: which calls are made, what a right answer is, and how a target is called.

    contract.bind(target)  ->  a Subject: the target with its calling convention found
    subject.cases(probe)   ->  the calls of one probe; each probe has other sizes and other numbers
    subject.ask(case)      ->  what the target gives
    subject.answer(circuit, case)  ->  what a circuit gives; `subject.base` is the right one

So one contract serves the check (`ask` against `answer(base)`) and the diagnosis (`ask` against `answer(faulty)`).
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from attention_surgeon.errors import OptionError
from attention_surgeon.faults import Family, Fault
from attention_surgeon.ops import Circuit, Steps
from attention_surgeon.testing.answer import Answer, Array, same_answer
from attention_surgeon.verdict import Behaviour


class Case(ABC):
    """One call. Every contract has its own kind; all have a name and say in words what they are."""

    name: str

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The sizes and what is special, as a person would say it."""

    def with_other_numbers(self) -> "Case | None":
        """Return a call of the same sizes that must give another answer, or None where there is none."""
        return None


AnyContract = TypeVar("AnyContract", bound="Contract")


class Subject(ABC, Generic[AnyContract]):
    """A target bound to its contract: it can be asked, and a circuit can be asked the same."""

    contract: AnyContract
    base: Circuit
    families: frozenset[Family]
    remarks: list[str]

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Equal for subjects to whose cases every circuit gives equal answers."""

    @abstractmethod
    def cases(self, probe: int) -> Sequence[Any]:
        """Return the calls of one probe."""

    @abstractmethod
    def small_cases(self) -> Iterable[Any]:
        """Yield calls with few tokens and integers, the smallest first: where a counterexample is looked for."""

    @abstractmethod
    def ask(self, case: Any) -> Answer:
        """Call the target."""

    @abstractmethod
    def as_code(self, case: Any) -> str:
        """Return what the target is given in a call, as Python that can be pasted."""

    def raw(self, case: Any) -> list[Any]:
        """Call the target and return the very tensors or arrays that it returned, not copies."""
        return []

    @abstractmethod
    def answer(self, circuit: Circuit, case: Any) -> Answer:
        """Run a circuit on the same inputs, in float64."""

    @abstractmethod
    def steps(self, circuit: Circuit, case: Any) -> Steps | None:
        """Return what a circuit computes on the way, or None where the contract has no steps."""

    @abstractmethod
    def behaviour(self, circuit: Circuit | None) -> list[Behaviour]:
        """Look at extremes, gradients, dtypes and state; `circuit` says what the values should be meanwhile.

        With None, where what the target computes is not known, only what needs no such knowledge is looked at.
        """

    def with_mask_of(self, case: Any, mask: Literal["another", "none"]) -> Any | None:
        """Return the same call with another mask or without one; None where the call has no mask."""
        return None

    def variants(self) -> tuple[Circuit, ...]:
        """Return the circuits that are right, the base first: they may differ where a query has no key to attend to."""
        return (self.base,)

    def accepts(self, answer: Answer, case: Any) -> bool:
        """Whether an answer is what a right circuit gives."""
        return any(same_answer(answer, self.answer(circuit, case)) for circuit in self.variants())

    def faults(self, offered: tuple[Fault, ...]) -> tuple[Fault, ...]:
        """Return those of the offered faults that this target can have."""
        return offered

    def allowed(self, case: Any) -> npt.NDArray[np.bool_] | None:
        """Return who may attend to whom in a call, in the shape of the weights; None: everybody to everybody."""
        return None

    def asks_for_scale(self, case: Any) -> bool:
        """Whether the scores of this call are to be scaled."""
        return True

    def weights_of(self, answer: Answer, case: Any) -> Array | None:
        """Return the weights that were used for an answer, read from it or worked out; None where they are hidden."""
        return None


@dataclass(frozen=True)
class Contract(ABC):
    """What is asked of a target. Options are fields of the dataclass, so contracts compare and print."""

    name: ClassVar[str]
    value_names: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            OptionError: one is none of its choices.
        """
        for option, choices in _choices(type(self)).items():
            value = getattr(self, option)
            if value not in choices:
                raise OptionError(
                    f"{self.name} contract: {option}={value!r}, expected one of {', '.join(map(str, choices))}."
                )

    @property
    def registered_name(self) -> str:
        """The name under which `make_contract` makes one of its kind."""
        return self.name

    @property
    def title(self) -> str:
        """What a target is judged as, in words."""
        return self.registered_name.replace("_", " ")

    def __str__(self) -> str:
        """The title, and every option that is not the usual one."""
        options = [
            f"{option.name}={getattr(self, option.name)}"
            for option in dataclasses.fields(self)
            if option.repr and getattr(self, option.name) != option.default
        ]
        return f"{self.title} ({', '.join(options)})" if options else self.title

    @abstractmethod
    def bind(self, target: Any) -> Subject:
        """Find out how the target is called.

        Raises:
            UnjudgedError: it cannot be called as the contract says.
        """


@cache
def _choices(contract: type[Contract]) -> dict[str, tuple[Any, ...]]:
    """Return the options that have choices, as their types say."""
    hints = get_type_hints(contract)
    options = [option.name for option in dataclasses.fields(contract)]
    of_words = {name: get_args(hints[name]) for name in options if get_origin(hints[name]) is Literal}
    switches = {bool: (True, False), bool | None: (True, False, None)}
    return of_words | {name: switches[hints[name]] for name in options if hints[name] in switches}
