"""Where a kernel starts to be wrong: calls at the borders of blocks, at odd strides, in low precision, with groups.

Right in small calls says little of a kernel: it works in tiles, and a mistake in how tiles meet, in the ragged last one
or in what is carried from tile to tile shows from some size on. The calls are few and reach to 1,025 tokens.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from attention_surgeon.testing.kernel.call import IN_WORDS, KernelCall, Rows
from attention_surgeon.testing.kernel.limits import Asker, Limits, Outcome, Way
from attention_surgeon.testing.kernel.names import name_of
from attention_surgeon.testing.kernel.right import allowed_error

_BORDERS = (31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025)
_GROUPS = ((4, 2), (6, 2), (6, 3), (8, 2), (10, 5), (4, 1), (12, 3))
_RECTANGLES = ((3, 8), (20, 33), (133, 140), (300, 329))
_FAR: tuple[Rows, ...] = ("high", "low", "lowest")
"""Scores that a row keeps only if its own maximum is taken off."""
_SECONDS = 12.0
"""CPU seconds that a kernel may take for all of it; the calls that would take longer are left out and named. A slow
computer must not change a verdict: this is several times what loops over single keys take."""


@dataclass(frozen=True)
class Found:
    """Where a kernel is wrong.

    Attributes:
        sentence: From which size on, or with which strides, dtype or groups.
        call: The smallest call that shows it.
        outcome: What came of it.
        right: The right answer.
        fault: Its name in the catalogue; None where it has none there.
        is_of_size: Whether it was found where sizes are tried.
    """

    sentence: str
    call: KernelCall
    outcome: Outcome
    right: Tensor
    fault: str | None = None
    is_of_size: bool = False


@dataclass(frozen=True)
class Swept:
    """What came of all calls.

    Attributes:
        found: What is wrong.
        tried: What was tried, in words.
        untried: What could not be tried, in words.
        remarks: True and worth knowing, but no fault.
    """

    found: tuple[Found, ...]
    tried: tuple[str, ...]
    untried: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Group:
    """Calls that differ in one thing, the smallest first.

    Attributes:
        name: What is tried, in words.
        calls: The calls.
        words: Of the thing in one of them.
        axis: The field that may be made smaller until it is right; empty where nothing can.
        is_of_size: Whether what is wrong here may be what is wrong in another group of sizes.
        plain: The same call without the thing; where it is wrong too, the thing is not the reason.
    """

    name: str
    calls: Sequence[KernelCall]
    words: Callable[[KernelCall], str]
    axes: tuple[str, ...] = ()
    is_of_size: bool = False
    plain: Callable[[KernelCall], KernelCall] | None = None


def sweep(asker: Asker, limits: Limits) -> Swept:
    """Make the calls, and say where the kernel starts to be wrong.

    Args:
        asker: The kernel.
        limits: What it takes.
    """
    return _Sweep(asker, limits).result()


class _Sweep:
    def __init__(self, asker: Asker, limits: Limits) -> None:
        self.asker, self.limits = asker, limits
        self.until = time.process_time() + _SECONDS
        self.found: list[Found] = []
        self.tried: list[str] = []
        self.untried: list[str] = []
        self.slow = 0

    def result(self) -> Swept:
        self._ragged()
        for group in _groups(self.limits, self.asker):
            if group.is_of_size and any(found.is_of_size for found in self.found):
                continue
            self._try(group)
        if self.slow:
            self.untried.append(f"{self.slow} of the largest calls, which would take too long")
        faults = [each for each in self.found if self._is_promised(each.call)]
        remarks = [each.sentence for each in self.found if each not in faults]
        return Swept(tuple(faults), tuple(self.tried), tuple(dict.fromkeys(self.untried)), tuple(remarks))

    def _is_promised(self, call: KernelCall) -> bool:
        """Whether its author meant a call: code for one head is for reading, and not every kernel has groups."""
        has_heads = self.asker.way.layout in ("bhnd", "bnhd")
        is_precise = has_heads or call.dtype == self.limits.dtypes[0]
        is_grouped = call.heads == call.kv_heads or self.asker.signature.is_grouped
        is_whole = call is not self.limits.ragged or not self.asker.signature.is_whole
        return is_precise and is_grouped and is_whole

    def _ragged(self) -> None:
        """Say where it takes tokens that fill no whole tiles, and answers wrongly."""
        call = self.limits.ragged
        if call is None:
            return
        group = _Group("", [], lambda c: f"{_number(c.n_k)} tokens")
        outcome, allowed = self.asker.ask(call), allowed_error(call, self.asker.way.align)
        words = _sentence(group, call, None, outcome, allowed)
        sentence = f"{words}; with multiples of {self.limits.multiple} it is right"
        self.found.append(Found(sentence, call, outcome, self.asker.right(call), None, True))

    def _try(self, group: _Group) -> None:
        now = time.process_time()
        until = now + (self.until - now) / 2  # what comes after it is tried too
        fitted = (self.limits.fitted(call) for call in group.calls)
        calls = list(dict.fromkeys(call for call in fitted if call is not None))
        answered = 0
        for call in calls:
            if time.process_time() + self.asker.estimate(call) > until:
                self.slow += 1
                continue
            outcome = self.asker.ask(call)
            answered += outcome.error is None
            if outcome.error is None and not outcome.is_right and not self._is_wrong_anyway(group, call):
                self.found.append(self._smallest(group, call))
                return
        said = self.tried if answered else self.untried
        name = "scores that grow, fall or lie far from 0" if " scores " in f" {group.name}" else group.name
        if name not in said:
            said.append(name)

    def _is_wrong_anyway(self, group: _Group, call: KernelCall) -> bool:
        if call.rows in _FAR and any(found.call.rows in _FAR for found in self.found):
            return True
        return group.plain is not None and not self.asker.ask(group.plain(call)).is_right

    def _smallest(self, group: _Group, call: KernelCall) -> Found:
        """Return the smallest call of the kind that is wrong, with the largest below it that is right."""
        below, larger = None, call
        for axis in group.axes:
            call, lower = self._halved(call, axis)
            below = lower or below
        outcome = self.asker.ask(call)
        fault = name_of(self.asker, call, larger)
        allowed = allowed_error(call, self.asker.way.align)
        return Found(
            _sentence(group, call, below, outcome, allowed),
            call,
            outcome,
            self.asker.right(call),
            fault,
            group.is_of_size,
        )

    def _halved(self, call: KernelCall, axis: str) -> tuple[KernelCall, KernelCall | None]:
        """Bisect one size between a right call and a wrong one."""
        step = self.limits.multiple if axis.startswith("n_") else 1
        low, high, best = 0, getattr(call, axis) // step, call
        right: KernelCall | None = None
        while high - low > 1:
            middle = (low + high) // 2
            other = self._with(call, axis, middle * step)
            outcome = self.asker.ask(other)
            if outcome.error is None and not outcome.is_right:
                high, best = middle, other
            else:
                low, right = middle, other if outcome.error is None else right
        return best, right

    def _with(self, call: KernelCall, axis: str, size: int) -> KernelCall:
        if (axis == "n_k" and self.limits.is_equal) or (axis == "n_q" and call.n_q == call.n_k):
            return dataclasses.replace(call, n_q=size, n_k=size)
        if axis == "heads":
            return dataclasses.replace(call, heads=size, kv_heads=size)
        if axis == "width":
            return dataclasses.replace(call, width=size, value_width=size)
        return dataclasses.replace(call, **{axis: size})


def _groups(limits: Limits, asker: Asker) -> Iterator[_Group]:
    """Yield what is tried: first what needs no size, so that a mistake is told by what it is about."""
    base = dataclasses.replace(limits.base, rows="plain", batch=limits.base.batch)
    one = dataclasses.replace(base, batch=1, heads=1, kv_heads=1)
    has_heads, has_batch = asker.way.layout in ("bhnd", "bnhd"), asker.way.layout != "nd"
    yield _Group("one token, one query, one key", list(_single(base)), _single_in_words)
    strided = [dataclasses.replace(base, n_q=23, n_k=23, strides=s) for s in ("transposed", "sliced", "expanded")]
    yield _Group("strides", strided, lambda c: IN_WORDS[c.strides], plain=_contiguous)
    if has_batch:
        many = [dataclasses.replace(one, batch=b, heads=base.heads, kv_heads=base.heads) for b in (2, 10)]
        yield _Group("10 sequences", many, lambda c: f"{c.batch} sequences", ("batch",))
    if has_heads:
        many = [dataclasses.replace(one, heads=h, kv_heads=h) for h in (5, 18)]
        yield _Group("18 heads", many, lambda c: f"{c.heads} heads", ("heads",))
        grouped = [dataclasses.replace(base, heads=h, kv_heads=g) for h, g in _GROUPS]
        yield _Group("groups of heads", grouped, _groups_in_words, plain=_ungrouped)
    wide = [dataclasses.replace(one, n_q=9, n_k=9, width=w, value_width=w) for w in limits.widths]
    wide.sort(key=lambda c: c.width)
    yield _Group("widths of heads", wide, lambda c: f"heads of {c.width} features")
    yield from _arguments(base, one, asker)
    yield from _of_sizes(one, limits, asker)
    yield from _of_dtypes(one, limits)


def _contiguous(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, strides="contiguous")


def _ungrouped(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, kv_heads=call.heads)


def _groups_in_words(call: KernelCall) -> str:
    shared = f"{call.kv_heads} heads of keys" if call.kv_heads > 1 else "one head of keys"
    return f"{call.heads} heads that share {shared}"


def _single(base: KernelCall) -> Iterator[KernelCall]:
    yield dataclasses.replace(base, n_q=1, n_k=1)
    yield dataclasses.replace(base, n_q=1, n_k=9)
    if not base.is_causal:
        yield dataclasses.replace(base, n_q=5, n_k=1)
    yield dataclasses.replace(base, batch=1)


def _single_in_words(call: KernelCall) -> str:
    if (call.n_q, call.n_k) == (1, 1):
        return "one token"
    return "one query" if call.n_q == 1 else "one key" if call.n_k == 1 else "one sequence"


def _arguments(base: KernelCall, one: KernelCall, asker: Asker) -> Iterator[_Group]:
    """Yield what the other arguments promise: a scale multiplies the scores, a mask hides or is added."""
    scale, mask = (asker.signature.given_name(role) for role in ("scale", "mask"))
    if scale is not None:
        given = asker.signature.scale_given
        yield _Group(
            f"{scale}=", [dataclasses.replace(base, scale=0.4)], lambda c: f"{scale}={given(c.scale or 1.0):g}"
        )
    for kind in _masks(base, asker):
        masked = dataclasses.replace(base, mask=kind, is_causal=False)
        large = dataclasses.replace(one, n_q=70, n_k=130, mask=kind, is_causal=False)
        calls = [masked, dataclasses.replace(masked, rows="apart"), large]
        yield _Group(f"{mask}= ({_KINDS[kind]})", calls, lambda c: _mask_in_words(mask, c))


def _mask_in_words(name: str | None, call: KernelCall) -> str:
    special = f" and {IN_WORDS[call.rows]}" if call.rows != "plain" else ""
    return f"{name}= ({_KINDS[call.mask or '']}), {_number(call.n_k)} keys{special}"


_KINDS = {"keep": "True = may attend", "hide": "True = hidden", "added": "numbers to add"}


def _masks(base: KernelCall, asker: Asker) -> list[Any]:
    """Return what a mask is: what its name promises, or whatever a small call shows it to be."""
    name = asker.signature.given_name("mask")
    if name is None or base.is_causal:
        return []
    if asker.signature.masks:
        return list(asker.signature.masks)
    kinds = ("keep", "hide", "added")
    return [kind for kind in kinds if asker.ask(dataclasses.replace(base, mask=kind)).is_right]


def _of_sizes(one: KernelCall, limits: Limits, asker: Asker) -> Iterator[_Group]:
    few, causal = dataclasses.replace(one, n_q=5, is_causal=limits.causal[0]), True in limits.causal
    for rows in ("plain", "growing", "falling"):
        calls = [dataclasses.replace(few, n_k=n, rows=rows) for n in (_BORDERS if rows == "plain" else (300, 1025))]
        yield _keys(calls, rows)
    for rows in _FAR:
        few_wide = dataclasses.replace(few, n_k=9, width=64, value_width=64, rows=rows)
        yield _Group(IN_WORDS[rows], [few_wide], lambda c: IN_WORDS[c.rows], plain=_plain)
        yield _keys([dataclasses.replace(few_wide, n_k=1025)], rows)
    queries = [dataclasses.replace(few, n_q=n, n_k=n if few.is_causal else 20) for n in (*_BORDERS[:12], 300)]
    yield _Group("up to 300 queries", queries, lambda c: f"{_number(c.n_q)} queries", ("n_q",), is_of_size=True)
    if not causal and not asker.way.is_always_causal:
        return
    square = [dataclasses.replace(few, n_q=n, n_k=n, is_causal=causal) for n in (5, 33, 65, 129, 300, 513)]
    what = ", causal" if causal else ""
    yield _Group(
        "causal, up to 513 tokens", square, lambda c: f"{_number(c.n_q)} tokens{what}", ("n_q",), is_of_size=True
    )
    apart = dataclasses.replace(few, n_q=9, n_k=9, is_causal=causal, rows="apart")
    yield _Group("causal, scores far apart", [apart], lambda c: f"{_number(c.n_q)} tokens{what}, {IN_WORDS['apart']}")
    wider = [dataclasses.replace(few, n_q=n, n_k=m, is_causal=causal) for n, m in _RECTANGLES]
    yield _Group(
        "causal with more keys than queries",
        wider,
        lambda c: f"{_number(c.n_q)} queries and {_number(c.n_k)} keys{what}",
        is_of_size=True,
    )


def _plain(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, rows="plain")


def _keys(calls: list[KernelCall], rows: Rows) -> _Group:
    special = f" and {IN_WORDS[rows]}" if rows != "plain" else ""
    name = f"up to 1,025 keys{special}"
    return _Group(name, calls, lambda c: f"{_number(c.n_k)} keys{special}", ("n_k",), is_of_size=True)


def _of_dtypes(one: KernelCall, limits: Limits) -> Iterator[_Group]:
    """Yield calls in low precision, where sums of many keys lose what they add."""
    for dtype in limits.dtypes:
        if dtype == "float32":
            continue
        plain = None if limits.dtypes[0] != "float32" else _in_float32
        small = dataclasses.replace(one, dtype=dtype, is_causal=limits.causal[0])
        calls = [
            dataclasses.replace(small, n_q=5, n_k=7),
            dataclasses.replace(small, n_q=4, n_k=40, width=64, value_width=64, rows="high"),
            dataclasses.replace(small, n_q=4, n_k=1024),
            dataclasses.replace(small, n_q=4, n_k=1024, rows="alike"),
        ]
        yield _Group(f"{dtype} with 1,024 keys", calls, _in_dtype, ("n_k",), True, plain)


def _in_float32(call: KernelCall) -> KernelCall:
    return dataclasses.replace(call, dtype="float32")


def _in_dtype(call: KernelCall) -> str:
    special = f" and {IN_WORDS[call.rows]}" if call.rows != "plain" else ""
    return f"{call.dtype}, {_number(call.n_k)} keys{special}"


def _sentence(group: _Group, call: KernelCall, below: KernelCall | None, outcome: Outcome, allowed: float) -> str:
    """Say with what it is wrong, and with what it is still right."""
    shown = f"the output is off by {outcome.distance:.2g}"
    if call.dtype in ("float16", "bfloat16"):
        shown += f", and plain attention in {call.dtype} by at most {allowed / 2:.2g}"
    if outcome.distance == float("inf"):
        shown = "NaN or infinity comes out" if outcome.output is not None else "the output has another shape"
    still = f"; with {group.words(below)} it is right" if below is not None else ""
    return f"it is wrong with {group.words(call)}: {shown}{still}".replace(" 1 keys", " 1 key")


def _number(n: int) -> str:
    return f"{n:,}"


def lies(asker: Asker, limits: Limits) -> Way:
    """Return the way with the alignment that its causal mask has where there are more keys than queries."""
    if limits.is_equal or not (True in limits.causal or asker.way.is_always_causal):
        return asker.way
    n = limits.multiple
    call = dataclasses.replace(limits.base, n_q=2 * n + 1 * (n == 1), n_k=5 * n, is_causal=True in limits.causal)
    if asker.ask(call).is_right:
        return asker.way
    other = dataclasses.replace(asker.way, align="start")
    return other if Asker(asker.signature, other).ask(call).is_right else asker.way
