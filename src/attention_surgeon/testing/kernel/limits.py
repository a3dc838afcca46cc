"""What a kernel was made for: the sizes, dtypes, strides and arguments that it takes, found by asking.

A call that raises is a limit, not a fault. One call that is answered is looked for first; from there each size is tried
alone.
"""

import dataclasses
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing.answer import Library, arrays_in, quietly, raised
from attention_surgeon.testing.kernel.call import KernelCall, Layout, Strides
from attention_surgeon.testing.kernel.right import Align, allowed_error, right_answer
from attention_surgeon.testing.kernel.signature import KernelSignature

DTYPES = ("float32", "bfloat16", "float16")
WIDTHS = (16, 32, 64, 128, 20, 80, 256)
_LENGTHS = ((5, 7), (9, 9), (64, 64), (128, 128), (256, 256))
_MULTIPLES = (1, 8, 16, 32, 64, 128, 256)
_WHOLE = 128  # tokens that fill whole tiles of nearly every kernel
_LAYOUTS: tuple[Layout, ...] = ("bhnd", "bnhd", "bnd", "nd")


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    Attributes:
        error: What it raised; None where it answered.
        output: What it answered, `(b, h, n, d)` in float64; None where it raised or the shape is another.
        distance: Of the furthest number from the right one; infinite for NaN.
        is_right: Whether that is as near as the dtype allows.
    """

    error: str | None
    output: Tensor | None = None
    distance: float = float("inf")
    is_right: bool = False


@dataclass(frozen=True)
class Way:
    """How a kernel is called, as far as its signature leaves it open.

    Attributes:
        layout: The axes of its tensors.
        library: Whose arrays it takes.
        is_always_causal: Whether it hides the future though nothing asks it to.
        align: Where its causal mask lies.
    """

    layout: Layout
    library: Library = "torch"
    is_always_causal: bool = False
    align: Align = "end"

    def as_bhnd(self, x: Tensor) -> Tensor:
        """Return a tensor of this layout as `(b, h, n, d)`."""
        if self.layout == "bhnd":
            return x
        return x.transpose(1, 2) if self.layout == "bnhd" else x[:, None] if self.layout == "bnd" else x[None, None]

    def as_given(self, x: Tensor) -> Tensor:
        """Return `(b, h, n, d)` in this layout."""
        if self.layout == "bhnd":
            return x
        return x.transpose(1, 2) if self.layout == "bnhd" else x[:, 0] if self.layout == "bnd" else x[0, 0]


@dataclass
class Asker:
    """A kernel that can be asked, with what it has cost so far.

    Attributes:
        signature: How it is called.
        way: The rest of that.
        slowest: CPU seconds that a query-key pair took in the slowest call so far.
        answered: What came of each call.
    """

    signature: KernelSignature
    way: Way
    slowest: float = 0.0
    answered: dict[KernelCall, Outcome] = field(default_factory=dict, repr=False)

    def ask(self, call: KernelCall) -> Outcome:
        """Call the kernel once for each call."""
        if call not in self.answered:
            self.answered[call] = self.ask_anew(call)
        return self.answered[call]

    def estimate(self, call: KernelCall) -> float:
        """Return how many CPU seconds a call may take, by those before it."""
        return self.slowest * pairs(call)

    def output_in(self, returned: Any, call: KernelCall) -> Any:
        """Return what has the shape of the output among what a call returned; None where nothing has."""
        shape = _shape_in(self.way.layout, (call.batch, call.heads, call.n_q, call.value_width))
        return next((x for x in arrays_in(returned) if tuple(x.shape) == shape), None)

    def right(self, call: KernelCall) -> Tensor:
        """Return the right answer `(b, h, n, d)`."""
        return right_answer(self.meant(call), self.way.align)

    def ask_anew(self, call: KernelCall) -> Outcome:
        """Call the kernel, whatever it has answered before."""
        start = time.process_time()
        try:
            with quietly():
                returned = self.signature.call(call, self.way.layout, self.way.library)
        except Exception as error:  # noqa: BLE001  somebody else's kernel may raise anything
            return Outcome(raised(error).error)
        finally:
            spent = time.process_time() - start
            if pairs(call) > _SMALL:
                self.slowest = max(self.slowest, spent / pairs(call))
        return self._outcome(returned, call)

    def meant(self, call: KernelCall) -> KernelCall:
        """Return a call with the switch that its kernel is always on, on."""
        return dataclasses.replace(call, is_causal=True) if self.way.is_always_causal else call

    def _outcome(self, returned: Any, call: KernelCall) -> Outcome:
        right, output = self.right(call), self.output_in(returned, call)
        if output is None:
            return Outcome(None if arrays_in(returned) else "it returned no tensor")
        output = self.way.as_bhnd(torch.as_tensor(output)).double()
        meant = self.meant(call)
        off = (output - right).abs()
        if meant.is_causal and call.n_q > call.n_k and self.way.align == "end":
            off = off[:, :, call.n_q - call.n_k :]  # the first queries see no key; nobody agrees on what they get
        distance = float(off.nan_to_num(float("inf")).max()) if off.numel() else 0.0
        return Outcome(None, output, distance, distance <= allowed_error(meant, self.way.align))


_SMALL = 256
"""Query-key pairs below which what a call costs says nothing of what large ones cost."""


def pairs(call: KernelCall) -> int:
    """Return how many times a query meets a key."""
    return call.batch * call.heads * call.n_q * call.n_k


@dataclass(frozen=True)
class Limits:
    """What a kernel takes.

    Attributes:
        base: A small call that it answers rightly.
        multiple: Numbers of tokens must be multiples of this.
        is_equal: Whether there must be as many keys as queries.
        widths: Of a head.
        dtypes: Of its tensors.
        causal: The values of its switch that it takes; `(False,)` where it has none.
        is_grouped: Whether keys may have fewer heads than queries.
        strides: How its tensors may lie in memory.
        refused: What it refuses, with what it raises.
        ragged: A call whose tokens fill no whole tiles, which it answers wrongly and does not refuse.
    """

    base: KernelCall
    multiple: int
    is_equal: bool
    widths: tuple[int, ...]
    dtypes: tuple[str, ...]
    causal: tuple[bool, ...]
    is_grouped: bool
    strides: tuple[Strides, ...]
    refused: dict[str, str]
    ragged: KernelCall | None = None

    def fitted(self, call: KernelCall) -> KernelCall | None:
        """Return the nearest call that it takes; None where there is none of that kind."""
        if call.dtype not in self.dtypes or call.strides not in self.strides:
            return None
        if call.kv_heads != call.heads and not self.is_grouped:
            return None
        n_q, n_k = (-(-n // self.multiple) * self.multiple for n in (call.n_q, call.n_k))
        if self.is_equal:
            n_q = n_k = max(n_q, n_k) if call.n_q > 1 and call.n_k > 1 else self.multiple
        width = call.width if call.width in self.widths else self.base.width
        is_causal = call.is_causal if call.is_causal in self.causal else self.causal[0]
        return dataclasses.replace(
            call, n_q=n_q, n_k=n_k, width=width, value_width=width, is_causal=is_causal, scale=call.scale
        )


def find_way(signature: KernelSignature) -> tuple[Asker, KernelCall]:
    """Find a call that a kernel answers, rightly if there is one.

    Raises:
        UnjudgedError: it answers none, with the error of the first.
    """
    first: tuple[Asker, KernelCall] | None = None
    errors: list[str] = []
    for way in _ways(signature):
        asker, wrong = Asker(signature, way), []
        for call in _bases(signature, way):
            outcome = asker.ask(call)
            if outcome.error is not None:
                errors.append(outcome.error)
            elif outcome.is_right:
                return asker, call
            elif outcome.output is not None:
                wrong.append(call)
            if wrong and (outcome.output is None or call.n_q >= _WHOLE):
                break  # wrong in whole tiles too, or no output of that shape
        if wrong and first is None:
            first = asker, wrong[0]
    if first is None:
        raise UnjudgedError(f"it answers no call; with {_first(signature).sentence} it raises {(errors or ['?'])[0]}")
    return first


def _first(signature: KernelSignature) -> KernelCall:
    return next(_bases(signature, Way("bhnd")))


def _ways(signature: KernelSignature) -> Iterator[Way]:
    layouts = signature.said or _LAYOUTS
    switch = signature.given_name("causal")
    for library in signature.libraries:
        for layout in layouts:
            yield Way(layout, library)
        if switch is None:
            for layout in layouts:
                yield Way(layout, library, is_always_causal=True)


def _bases(signature: KernelSignature, way: Way) -> Iterator[KernelCall]:
    switches = (False, True) if signature.given_name("causal") is not None else (False,)
    batch, heads = {"bhnd": (2, 3), "bnhd": (2, 3), "bnd": (2, 1), "nd": (1, 1)}[way.layout]
    for dtype in dtypes_of(signature, way):
        for is_causal, width in itertools.product(switches, WIDTHS[:4]):
            for n_q, n_k in _LENGTHS:
                yield KernelCall("base", n_q, n_k, batch, heads, heads, width, width, dtype, is_causal=is_causal)


def dtypes_of(signature: KernelSignature, way: Way) -> tuple[str, ...]:
    """Return the dtypes to try: NumPy has no low ones, and Triton's interpreter no bfloat16."""
    if way.library == "numpy":
        return DTYPES[:1]
    return tuple(dtype for dtype in DTYPES if dtype != "bfloat16" or not signature.is_triton)


def find_limits(asker: Asker, base: KernelCall) -> Limits:
    """Find what a kernel takes, from a call that it answers.

    Raises:
        UnjudgedError: it answers the call wrongly.
    """
    if not asker.ask(base).is_right:
        raise UnjudgedError("it answers no call rightly.")
    return _Finder(asker, base).limits()


class _Finder:
    def __init__(self, asker: Asker, base: KernelCall) -> None:
        self.asker, self.base, self.refused = asker, base, {}

    def limits(self) -> Limits:
        base = self.base
        multiple, ragged = self._multiple()
        if multiple == 1:
            base = self.base = dataclasses.replace(base, **_square(1))
        two, three = 2 * multiple, 3 * multiple
        is_equal = not self._takes("another number of keys than of queries", n_q=two, n_k=three)
        heads = {"heads": 4, "kv_heads": 2}
        has_heads = self.asker.way.layout in ("bhnd", "bnhd")
        return Limits(
            base,
            multiple,
            is_equal,
            tuple(w for w in WIDTHS if self._takes(f"heads of {w}", width=w, value_width=w)),
            tuple(d for d in self._dtypes() if self._takes(d, dtype=d)),
            tuple(c for c in self._switches() if self._takes(f"causal={c}", is_causal=c)),
            has_heads and self._takes("fewer heads of keys", **heads),
            tuple(s for s in self._strides() if self._takes(f"{s} tensors", strides=s)),
            self.refused,
            ragged,
        )

    def _multiple(self) -> tuple[int, KernelCall | None]:
        """Return what numbers of tokens must be multiples of, and a call of others that it answers wrongly."""
        ragged = None
        for multiple in _MULTIPLES:
            call = dataclasses.replace(self.base, **_square(multiple))
            outcome = self.asker.ask(call)
            if outcome.is_right:
                return multiple, ragged
            if outcome.error is not None:
                self.refused[f"{call.n_q} tokens"] = outcome.error
            elif ragged is None:
                ragged = call
        return self.base.n_q, ragged

    def _switches(self) -> tuple[bool, ...]:
        return (False, True) if self.asker.signature.given_name("causal") is not None else (self.base.is_causal,)

    def _dtypes(self) -> tuple[str, ...]:
        return dtypes_of(self.asker.signature, self.asker.way)

    def _strides(self) -> tuple[Strides, ...]:
        has_heads = self.asker.way.layout in ("bhnd", "bnhd")
        usual: tuple[Strides, ...] = ("contiguous", "transposed", "sliced")
        return (*usual, "expanded") if has_heads else usual

    def _takes(self, words: str, **changes: Any) -> bool:
        outcome = self.asker.ask(dataclasses.replace(self.base, **changes))
        if outcome.error is not None:
            self.refused[words] = outcome.error
        return outcome.error is None


def _square(multiple: int) -> dict[str, int]:
    n = 3 * multiple + (4 if multiple == 1 else 0)
    return {"n_q": n, "n_k": n}


def _shape_in(layout: Layout, shape: tuple[int, ...]) -> tuple[int, ...]:
    b, h, n, d = shape
    return {"bhnd": (b, h, n, d), "bnhd": (b, n, h, d), "bnd": (b, n, d), "nd": (n, d)}[layout]
