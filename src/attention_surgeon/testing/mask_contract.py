"""The contract of a mask that follows from positions: `f(n)`, or `f(n_q, n_k)`, causal or its mirror image."""

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.faults import Family, Fault
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.signatures import parameters_of
from attention_surgeon.testing.answer import Answer, Array, quietly, raised
from attention_surgeon.testing.contract import Case, Contract, Subject
from attention_surgeon.testing.mask_reading import Declared, MaskForm, as_added, form_of, how_read, mask_in
from attention_surgeon.verdict import Behaviour

_SIZES = (((5, 5), (7, 7), (3, 5), (2, 7), (2, 2), (1, 1)), ((3, 3), (11, 11), (5, 11), (1, 3)))
"""Queries and keys of each probe; never fewer keys than queries, where nobody agrees on what a causal mask is."""

_ELSEWHERE = ("device", "dtype")


@dataclass(frozen=True)
class MaskContract(Contract):
    """A causal mask (key j is seen by query i where j <= i) or a reverse one (j >= i).

    Attributes:
        is_reverse: Whether it is the mirror image, a mistake on purpose.
        mask: What its numbers mean: `keep` (True or 1 = may attend), `hide`, `additive`; `auto` reads it from them.
        align: Where the causal mask lies when n_q != n_k: `end` (the last query sees every key) or `start`.
    """

    is_reverse: bool = dataclasses.field(default=False, repr=False)
    mask: Declared = "auto"
    align: Literal["end", "start"] = "end"

    name: ClassVar[str] = "mask"
    value_names: ClassVar[tuple[str, ...]] = ("mask",)

    @property
    def registered_name(self) -> str:
        """`causal_mask` or `reverse_mask`."""
        return "reverse_mask" if self.is_reverse else "causal_mask"

    def bind(self, target: Any) -> "MaskSubject":
        """Find the sizes that the function takes, and how its mask is to be read.

        Raises:
            UnjudgedError: it gives no mask, with the error of the first call.
        """
        return MaskSubject(self, target)


@dataclass(frozen=True)
class MaskCase(Case):
    """One call: how many queries, how many keys.

    Attributes:
        name: `n = 5`, or `n_q, n_k = 3, 5`.
        n_q: Rows of the mask.
        n_k: Columns.
    """

    name: str
    n_q: int
    n_k: int

    @property
    def sentence(self) -> str:
        """As the name."""
        return self.name


class MaskSubject(Subject):
    """A function that makes masks and can be asked.

    A reverse mask turned over along both axes is a causal one, with the ends exchanged. So a circuit answers for it
    with its causal mask turned over, and the same faults speak of both.
    """

    def __init__(self, contract: MaskContract, function: Any) -> None:
        """Bind."""
        self.contract = self._declared = contract
        self.base = Circuit(pattern=_causal_from_the_end if contract.align == "end" else _causal_from_the_start)
        self.families: frozenset[Family] = frozenset({"mask"})
        self.remarks: list[str] = []
        self._function: Callable[..., Any] = function
        self._named, self._needs_two, may_take_two = _sizes_taken(function)
        self._takes_two = not contract.is_reverse and may_take_two and self._is_rectangular()
        self._form: MaskForm = form_of(self._masks(), contract.mask)

    @property
    def key(self) -> Hashable:
        """The contract and the cases."""
        return self.contract, self._takes_two

    def cases(self, probe: int) -> tuple[MaskCase, ...]:
        """Return the calls of one probe."""
        return tuple(_case(*sizes) for sizes in _SIZES[probe % len(_SIZES)] if self._takes_two or len({*sizes}) == 1)

    def small_cases(self) -> Iterator[MaskCase]:
        """Yield one to four positions."""
        for n_q, n_k in ((1, 1), (2, 2), (3, 3), (1, 2), (2, 3), (4, 4)):
            if self._takes_two or n_q == n_k:
                yield _case(n_q, n_k)

    def ask(self, case: MaskCase) -> Answer:
        """Call the function; what it raises becomes its answer."""
        try:
            mask = self._call(case)
        except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
            return raised(error)
        return Answer((_without_batch(as_added(mask, self._form)),), dtype=str(mask.dtype).removeprefix("torch."))

    def as_code(self, case: MaskCase) -> str:
        """Return the name of the call, which is an assignment."""
        return case.name

    def answer(self, circuit: Circuit, case: MaskCase) -> Answer:
        """Run a circuit's mask step on scores of zero."""
        position = torch.zeros(max(case.n_q, case.n_k), 1, dtype=torch.float64)
        query, key = position[: case.n_q], position[: case.n_k]
        try:
            masked = circuit.steps(Operands(query, key, key, None, None, torch.float64)).masked
        except (SurgeonError, RuntimeError, IndexError) as error:  # a faulty circuit may not fit these shapes
            return raised(error)
        return Answer((as_added(masked.flip(-2, -1) if self._declared.is_reverse else masked, "additive"),))

    def steps(self, circuit: Circuit, case: MaskCase) -> None:
        """Return None: a mask is one step."""
        return None

    def behaviour(self, circuit: Circuit | None) -> list[Behaviour]:
        """Say how the mask was read, where that might be the whole mistake."""
        if circuit is self.base or self._declared.mask != "auto":
            return []
        return [Behaviour(None, how_read(self._form), is_fault=False)]

    def faults(self, offered: tuple[Fault, ...]) -> tuple[Fault, ...]:
        """Put what speaks of the future first, and leave it out for a reverse mask."""
        of_the_future = [fault for fault in offered if fault.name.startswith("causal_")]
        others = [fault for fault in offered if fault not in of_the_future]
        return tuple(others if self._declared.is_reverse else of_the_future + others)

    def _call(self, case: MaskCase) -> Any:
        sizes = (case.n_q, case.n_k) if self._needs_two or case.n_q != case.n_k else (case.n_q,)
        with quietly():
            return mask_in(self._function(*sizes, **self._named))

    def _is_rectangular(self) -> bool:
        """Whether a second size is the number of keys, and not an offset or a batch."""
        try:
            return tuple(self._call(_case(3, 5)).shape[-2:]) == (3, 5)
        except Exception:  # noqa: BLE001  somebody else's function may raise anything
            return False

    def _masks(self) -> Sequence[Any]:
        masks, errors = [], []
        for case in self.cases(0):
            try:
                masks.append(self._call(case))
            except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
                errors.append(f"with {case.sentence} it raises {raised(error).error}")
        if not masks:
            raise UnjudgedError(f"it gives no mask; {errors[0]}")
        return masks


def _case(n_q: int, n_k: int) -> MaskCase:
    return MaskCase(f"n = {n_q}" if n_q == n_k else f"n_q, n_k = {n_q}, {n_k}", n_q, n_k)


def _sizes_taken(function: Any) -> tuple[dict[str, Any], bool, bool]:
    """Return what must be given by name, and whether two sizes are needed, and whether two are possible.

    Raises:
        UnjudgedError: it cannot be called with one size or two.
    """
    if not callable(function):
        raise UnjudgedError(f"it is a {type(function).__name__}, expected a function that makes a mask.")
    parameters = parameters_of(function)
    if parameters is None:
        return {}, False, False
    own = [p for p in parameters if p.name.lower() not in _ELSEWHERE]
    positional = [p for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p.name for p in own if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    may_take_two = len(positional) > 1 or any(p.kind is p.VAR_POSITIONAL for p in own)
    if not positional and not may_take_two:
        raise UnjudgedError("it takes no size, expected f(n) or f(n_q, n_k).")
    if len(needed) > 2:
        raise UnjudgedError(f"it needs the argument {needed[2]!r}, whose meaning the contract does not know.")
    named = {p.name: "cpu" for p in parameters if p.name.lower() == "device" and p.default is p.empty}
    return named, len(needed) == 2, may_take_two


def _without_batch(mask: Array) -> Array:
    """Return it without leading axes of size 1, those of batch and heads."""
    while mask.ndim > 2 and mask.shape[0] == 1:
        mask = mask[0]
    return mask


def _causal_from_the_end(n_q: int, n_k: int) -> Tensor:
    return causal_mask(n_q, n_k).dense()


def _causal_from_the_start(n_q: int, n_k: int) -> Tensor:
    return causal_mask(n_q, n_k, align="start").dense()
