"""What a call hides that is given a mask of some form: the mask, the call, and what was kept from its softmax."""

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import nn

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.verdict import Location
from attention_surgeon.witness.canon import Canon, Structure
from attention_surgeon.witness.canonical import canonical
from attention_surgeon.witness.core import Core, find_cores, same_core
from attention_surgeon.witness.flow import Flow, Plan
from attention_surgeon.witness.record import Array
from attention_surgeon.witness.scores import find_scaling

PADDING_FORMS = ("b m", "b 1 1 m", "b 1 m")  # of masks of keys alone
WINDOWS = 2  # of each picture, in the form "w n m"


@dataclass(frozen=True)
class Hidden:
    """What a call hid, in one layout, and what it added."""

    cells: Array
    bias: Array
    fill: float
    place: Location | None
    output: tuple[int, ...]
    masked: Array = field(repr=False)
    used: Array = field(repr=False)


def taken_apart(words: str) -> tuple[str, str]:
    """Return the form and the kind in the words for a mask: `b 1 m` and `boolean` of `(b, 1, m) boolean`."""
    form, _, kind = words.rpartition(" ")
    return form.strip("()").replace(",", ""), kind


@final
class Caller:
    """Calls of one target that are like its plain call, with other arguments.

    Attributes:
        plan: How it is called.
        made: The object.
        sizes: Of the calls, where they are not the plan's.
        has_extra: A score beside those of the keys stands in its softmax.
        plain: What the plain call hides.
        fills: What hidden scores were set to, each with its line, where that hides nothing.
    """

    def __init__(self, plan: Plan, made: Any, **sizes: int) -> None:
        """Make the plain call.

        Raises:
            UnjudgedError: its scores cannot be read.
        """
        self.plan, self.made, self.sizes = plan, made, sizes
        self.inputs, self.others = plan.draw(seed=0, **sizes), plan.draw(seed=1, **sizes)
        self.flow = Flow(plan, made, self.inputs, self.others)
        self.core = find_cores(self.flow)[0]
        self.has_extra = not self.core.is_fused and canonical(self.flow, self.core).extra is not None
        self.plain = self.hidden({}) or self._nothing()
        self.fills: list[tuple[float, Location | None]] = []

    def _nothing(self) -> Hidden:
        raise UnjudgedError("its scores cannot be read")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(batch, heads, n_q, n_k)` of the calls."""
        return self.plain.cells.shape  # pyright: ignore[reportReturnType]

    def hidden(self, extra: dict[str, Any]) -> Hidden | None:
        """Return what a call hides; None where it raises or cannot be read."""
        one = {**self.inputs, **extra}
        two = {**self.others, **extra}
        try:
            flow, first, canons = self._echoed(one, two)
            if np.isnan(canons[0].masked).any():  # as of `mask.float() * torch.finfo(q.dtype).min`, in float64 alone
                flow, first, canons = self._echoed(one, two, is_wide=False)
        except Structure:
            return None
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            return None
        is_written_out = not first.is_fused and flow.ops[first.softmax].name != "softmax"
        scaling = find_scaling(canons[0], canons[1], [], up_to_rows=is_written_out)
        cells, bias = scaling.hidden.copy(), scaling.bias
        used = np.nan_to_num(canons[0].used)
        cells |= (used == 0) & np.isfinite(canons[0].masked) & (canons[0].masked > -700)  # hidden after the softmax
        output = tuple(flow.plan.arrays(flow.base.returned)[max(flow.plan.output, 0)].shape)
        place = flow.ops[first.softmax].place
        return Hidden(cells, bias, scaling.fill, place, output, canons[0].masked, used)

    def _echoed(
        self, one: dict[str, Any], two: dict[str, Any], *, is_wide: bool = True
    ) -> tuple[Flow, Core, list[Canon]]:
        """Return a call like the plain one with other arguments, where its attention stands, and what that is."""
        held = [p.dtype for p in self.made.parameters()] if isinstance(self.made, nn.Module) else []
        try:
            flow = self.flow.echo(one, two, is_wide=is_wide)
            first = same_core(self.core, self.flow, flow)
            return flow, first, [canonical(flow, first), canonical(flow, first, flow.other)]
        finally:
            if held:
                self.made.to(held[0])

    def given(self, argument: Any, value: Any) -> Hidden | None:
        """Return what a call hides that is given one argument; None where it is refused or has another shape."""
        found = self.hidden({argument.name: value})
        if found is None or found.output != self.plain.output or found.cells.shape != self.plain.cells.shape:
            return None
        return found

    def note_fill(self, found: Hidden, kind: str) -> None:
        """Remember a fill that is no hiding; what is to be added was filled by us."""
        if kind != "additive" and found.cells.any() and -1e3 < found.fill < np.inf and found.fill > self.plain.fill:
            self.fills.append((found.fill, found.place))

    def allowed(self, form: str) -> Array:
        """Return who may attend, `(batch, heads, n_q, n_k)`, as this form can say it; every query sees a key."""
        b, h, n, m = self.shape
        source = np.random.default_rng(5)
        if form in PADDING_FORMS:
            lengths = [m - 1 - 2 * (i % 2) for i in range(b)]
            allowed = np.broadcast_to((np.arange(m)[None, :] < np.array(lengths)[:, None])[:, None, None], self.shape)
            return allowed.copy()
        if form == "w n m":
            allowed = np.tile(self.allowed("b n m")[:WINDOWS], (b // WINDOWS, 1, 1, 1))
            return np.broadcast_to(allowed, self.shape).copy()
        of_one = dict.fromkeys(("n m", "1 1 n m", "1 n m", "n m 1"), (1, 1))
        size = (of_one | {"b h n m": (b, h)}).get(form, (b, 1))
        allowed = source.random((*size, n, m)) < 0.55
        seen = ~np.asarray(self.plain.cells.any((0, 1)))  # what the target itself leaves visible
        for i in range(n):
            free = np.flatnonzero(seen[i])
            allowed[..., i, free[(i * 2) % len(free)] if len(free) else 0] = True
        return np.broadcast_to(allowed, self.shape).copy()

    def as_value(self, allowed: Array, form: str, kind: str) -> Any:
        """Return a mask of this form and kind (`boolean`, `additive`, `integer`) that says who may attend."""
        h = self.shape[1]
        shaped = {
            "n m": lambda a: a[0, 0],
            "1 1 n m": lambda a: a[:1, :1],
            "1 n m": lambda a: a[0, :1],
            "b 1 n m": lambda a: a[:, :1],
            "b n m": lambda a: a[:, 0],
            "b h n m": lambda a: a,
            "w n m": lambda a: a[:WINDOWS, 0],
            "n m b": lambda a: a[:, 0].transpose(1, 2, 0),
            "n m 1": lambda a: a[:1, 0].transpose(1, 2, 0),
            "B n m": lambda a: np.repeat(a[:, 0], h, 0),
            "b m": lambda a: a[:, 0, 0],
            "b 1 1 m": lambda a: a[:, :1, :1],
            "b 1 m": lambda a: a[:, 0, :1],
        }[form](allowed)
        if kind == "additive":
            shaped = np.where(shaped, 0.0, -1e9)
        elif kind == "integer":
            shaped = shaped.astype(np.int64)
        return torch.as_tensor(shaped.copy()) if self.plan.library == "torch" else shaped.copy()
