"""The contract of a padding mask: `f(lengths, n)` or `f(tokens, pad_id)`, True where there is a token."""

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.faults import Family, Fault
from attention_surgeon.faults.mask_content import change_allowed
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.signatures import parameters_of
from attention_surgeon.testing.answer import Answer, Array, Library, as_code, quietly, raised, to_library
from attention_surgeon.testing.contract import Case, Contract, Subject
from attention_surgeon.testing.draw import generator
from attention_surgeon.testing.mask_reading import Declared, MaskForm, as_added, form_of, how_read, mask_in
from attention_surgeon.verdict import Behaviour

Source: TypeAlias = Literal["lengths", "tokens"]

_CASES = (
    (
        ("ragged", (4, 7, 2), 7, 0),
        ("all shorter than the longest place", (3, 2), 5, 3),
        ("one sequence", (2,), 3, 9),
    ),
    (
        ("ragged", (5, 3, 11, 8), 11, 0),
        ("all shorter than the longest place", (2, 6, 4), 13, 5),
    ),
)
"""Name, lengths, places and padding token of each call. The first sequence is never the longest, and in some calls 0 is
a token like others."""

_NUM_TOKENS = 23


@dataclass(frozen=True)
class PaddingContract(Contract):
    """Who may be attended to: tokens, and no padding.

    Attributes:
        source: What the function is called with: `lengths` and the number of places, or `tokens` and the padding token.
        mask: What its numbers mean: `keep` (True or 1 = a token), `hide`, `additive`; `auto` reads it from them.
    """

    source: Source = "lengths"
    mask: Declared = "auto"

    name: ClassVar[str] = "padding_mask"
    value_names: ClassVar[tuple[str, ...]] = ("mask",)

    def bind(self, target: Any) -> "PaddingSubject":
        """Find the library that the function takes, and how its mask is to be read.

        Raises:
            UnjudgedError: it gives no mask, with the error of the first call.
        """
        return PaddingSubject(self, target)


@dataclass(frozen=True, eq=False)
class PaddingCase(Case):
    """One batch of padded sequences.

    Attributes:
        name: `ragged`.
        source: Which of the two it is told as.
        lengths: Of the sequences.
        n: Places in each.
        pad_id: The token that pads.
        tokens: `(batch, n)`, whole numbers.
    """

    name: str
    source: Source
    lengths: Tensor
    n: int
    pad_id: int
    tokens: Tensor

    @property
    def first(self) -> Tensor:
        """What the function is given first."""
        return self.lengths if self.source == "lengths" else self.tokens

    @property
    def second(self) -> int:
        """What it is given next."""
        return self.n if self.source == "lengths" else self.pad_id

    @property
    def sentence(self) -> str:
        """`ragged: lengths [4, 7, 2], n = 7`."""
        if self.source == "lengths":
            return f"{self.name}: lengths {self.lengths.tolist()}, n = {self.n}"
        return f"{self.name}: tokens {tuple(self.tokens.shape)}, pad_id = {self.pad_id}"

    def with_other_numbers(self) -> "PaddingCase":
        """The same number of sequences and places, the sequences in another order."""
        return dataclasses.replace(self, lengths=self.lengths.roll(1), tokens=self.tokens.roll(1, 0))


class PaddingSubject(Subject):
    """A function that makes padding masks and can be asked."""

    def __init__(self, contract: PaddingContract, function: Any) -> None:
        """Bind."""
        self.contract = self._declared = contract
        self.base = Circuit()
        self.families: frozenset[Family] = frozenset({"padding"})
        self.remarks: list[str] = []
        self._function: Callable[..., Any] = function
        self._takes_two = _takes_two(function)
        self.library: Library = "torch"
        self._form: MaskForm = form_of(self._masks(), contract.mask)

    @property
    def key(self) -> Hashable:
        """The contract and the cases."""
        return self.contract, self._takes_two

    def cases(self, probe: int) -> Sequence[PaddingCase]:
        """Return the calls of one probe."""
        cases = [self._case(*row, probe) for row in _CASES[probe % len(_CASES)]]
        return cases if self._takes_two else [case for case in cases if self._says_enough(case)]

    def small_cases(self) -> Iterator[PaddingCase]:
        """Yield one or two sequences of one or two tokens."""
        for lengths, n in (((1,), 2), ((1, 2), 2), ((2, 1), 2), ((1, 2), 3)):
            case = self._case("small", lengths, n, 0, 7)
            if self._takes_two or self._says_enough(case):
                yield case

    def ask(self, case: PaddingCase) -> Answer:
        """Call the function; what it raises becomes its answer."""
        try:
            mask = self._call(case)
        except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
            return raised(error)
        added = _over_queries(as_added(mask, self._form), len(case.lengths), case.n)
        expected = self.answer(self.base, case).values[0]
        if expected is not None and added.shape == expected.shape:
            added = _with_padding_queries_of(expected, added)
        return Answer((added,), dtype=str(mask.dtype).removeprefix("torch."))

    def as_code(self, case: PaddingCase) -> str:
        """Return assignments of the two arguments."""
        second = "n" if case.source == "lengths" else "pad_id"
        return f"{as_code(case.source, to_library(case.first, self.library))}\n{second} = {case.second}"

    def raw(self, case: PaddingCase) -> list[Any]:
        """Return the very mask that was returned."""
        return [self._call(case)]

    def answer(self, circuit: Circuit, case: PaddingCase) -> Answer:
        """Run a circuit's mask step on scores of zero."""
        vectors = torch.zeros(len(case.lengths), case.n, 1, dtype=torch.float64)
        allowed = (torch.arange(case.n) < case.lengths[:, None])[:, None, :].expand(-1, case.n, -1)
        try:
            masked = circuit.steps(Operands(vectors, vectors, vectors, allowed, None, torch.float64)).masked
        except (SurgeonError, RuntimeError, IndexError) as error:  # a faulty circuit may not fit these shapes
            return raised(error)
        return Answer((as_added(masked, "additive"),))

    def steps(self, circuit: Circuit, case: PaddingCase) -> None:
        """Return None: a mask is one step."""
        return None

    def behaviour(self, circuit: Circuit | None) -> list[Behaviour]:
        """Look at the caller's tensor; say how the mask was read, where that might be the whole mistake."""
        seen = []
        if any(self._changes(case) for case in self.cases(0)):
            seen.append(
                Behaviour("mutates_inputs", f"after a call the caller's {self._declared.source} held other numbers")
            )
        if circuit is not self.base and self._declared.mask == "auto":
            seen.append(Behaviour(None, how_read(self._form), is_fault=False))
        return seen

    def faults(self, offered: tuple[Fault, ...]) -> tuple[Fault, ...]:
        """Add that one may also be off by one in the other direction, and hide the last token."""
        shorter = change_allowed(_hide_last_token)
        return (*offered, *(dataclasses.replace(f, operate=shorter) for f in offered if f.name == "padding_off_by_one"))

    def _case(self, name: str, lengths: tuple[int, ...], n: int, pad_id: int, probe: int) -> PaddingCase:
        tokens = torch.randint(0, _NUM_TOKENS - 1, (len(lengths), n), generator=generator(6000 + probe))
        tokens += tokens >= pad_id  # no token is the padding token
        is_padding = torch.arange(n) >= torch.tensor(lengths)[:, None]
        tokens = tokens.masked_fill(is_padding, pad_id)
        return PaddingCase(name, self._declared.source, torch.tensor(lengths), n, pad_id, tokens)

    def _says_enough(self, case: PaddingCase) -> bool:
        """Whether the first argument alone determines the mask, with the usual meaning of the second."""
        return int(case.lengths.max()) == case.n if case.source == "lengths" else case.pad_id == 0

    def _changes(self, case: PaddingCase) -> bool:
        given = to_library(case.first, self.library)
        try:
            self._call_with(given, case)
        except Exception:  # noqa: BLE001  what it raises is told elsewhere
            return False
        return not np.array_equal(np.asarray(given), case.first.numpy())

    def _call(self, case: PaddingCase) -> Any:
        return self._call_with(to_library(case.first, self.library), case)

    def _call_with(self, first: Any, case: PaddingCase) -> Any:
        with quietly():
            return mask_in(self._function(first, case.second) if self._takes_two else self._function(first))

    def _masks(self) -> Sequence[Any]:
        errors: list[str] = []
        for self.library in ("torch", "numpy"):
            masks = []
            for case in self.cases(0):
                try:
                    masks.append(self._call(case))
                except Exception as error:  # noqa: BLE001  somebody else's function may raise anything
                    errors.append(f"with {case.sentence} it raises {raised(error).error}")
            if masks:
                return masks
        raise UnjudgedError(f"it gives no mask; {errors[0]}")


def _takes_two(function: Any) -> bool:
    if not callable(function):
        raise UnjudgedError(f"it is a {type(function).__name__}, expected a function that makes a mask.")
    parameters = parameters_of(function)
    if parameters is None:
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    unknown = [p.name for p in positional[2:] if p.default is p.empty]
    if unknown:
        raise UnjudgedError(f"it needs the argument {unknown[0]!r}, whose meaning the contract does not know.")
    return len(positional) > 1 or any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _hide_last_token(allowed: Tensor) -> Tensor:
    return allowed & torch.nn.functional.pad(allowed[..., 1:], (0, 1))


def _with_padding_queries_of(expected: Array, added: Array) -> Array:
    """Return `added`; a query that is padding and sees nothing sees the tokens, if its sequence is right otherwise.

    What a padding query gathers is thrown away, so that a mask over rows and columns is as good as one over columns.
    """
    is_padding, sees_nothing = np.isneginf(expected[:, 0]), np.isneginf(added).all(-1)
    is_right = (added[:, 0] == expected[:, 0]).all(-1)
    return np.where((is_padding & sees_nothing & is_right[:, None])[..., None], expected, added)


def _over_queries(mask: Array, batch: int, n: int) -> Array:
    """Return `(batch, n_q, n_k)` of what came as `(b, n)`, `(b, 1, n)`, `(b, 1, 1, n)`, or with rows for queries."""
    if mask.ndim == 2:
        mask = mask[:, None, :]
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    try:
        return np.broadcast_to(mask, (batch, n, n))
    except ValueError:
        return mask
