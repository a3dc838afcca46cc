"""What a fault may need to be there: a part of today's attention that the usual circuit does not have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.ops import Alibi, Circuit, QKNorm, RelativeBias, Rotary, Sink, SoftCap, Window

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """A part of a circuit that some have and others have not.

    Attributes:
        place: Where in the circuit: `position`, `norm`, `cap`, `bias`, `sink` or `pattern`.
        kind: What stands there.
        words: What it is called.
        usual: Makes one for so many heads.
    """

    place: str
    kind: type[T]
    words: str
    usual: Callable[[int], T]

    def is_in(self, circuit: Circuit) -> bool:
        """Whether the circuit has it."""
        return isinstance(getattr(circuit, self.place), self.kind)

    def of(self, circuit: Circuit, name: str = "this fault") -> T:
        """Return it.

        Raises:
            OptionError: the circuit does not have it; `name` starts the message.

        >>> ROTARY.of(Circuit(), "rotary_direction")
        Traceback (most recent call last):
        attention_surgeon.errors.OptionError: rotary_direction needs rotary positions, and this attention has none \
(position=leave_in_place); Circuit(position=Rotary(...)) has them.
        """
        part: Any = getattr(circuit, self.place)
        if not isinstance(part, self.kind):
            there = getattr(part, "__name__", repr(part))
            raise OptionError(
                f"{name} needs {self.words}, and this attention has none ({self.place}={there}); "
                f"Circuit({self.place}={self.kind.__name__}(...)) has them."
            )
        return part

    def put_into(self, circuit: Circuit, num_heads: int = 1) -> Circuit:
        """Return the circuit with a usual one in it, or as it is where it has one already."""
        return circuit if self.is_in(circuit) else circuit.replace(**{self.place: self.usual(num_heads)})


_REACH = 8


def _table(num_heads: int) -> Tensor:
    """Return a table of relative biases as training leaves them: near is more, and every head is different."""
    distance = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64)[:, None]
    head = torch.arange(num_heads, dtype=torch.float64)
    return torch.cos(distance / (2.0 + head)) - distance.abs() / (4.0 + head)


ROTARY = Part("position", Rotary, "rotary positions", lambda num_heads: Rotary())
ALIBI = Part("bias", Alibi, "ALiBi biases", lambda num_heads: Alibi())
RELATIVE = Part("bias", RelativeBias, "relative biases", lambda num_heads: RelativeBias(_table(num_heads)))
NORM = Part("norm", QKNorm, "norms of queries and keys", lambda num_heads: QKNorm())
CAP = Part("cap", SoftCap, "soft caps", lambda num_heads: SoftCap(2.0))
SINK = Part("sink", Sink, "sinks", lambda num_heads: Sink(torch.linspace(1.0, 2.0, num_heads, dtype=torch.float64)))
WINDOW = Part("pattern", Window, "windows", lambda num_heads: Window(3))

PARTS: tuple[Part[Any], ...] = (ROTARY, ALIBI, RELATIVE, NORM, CAP, SINK, WINDOW)
"""All of them."""
