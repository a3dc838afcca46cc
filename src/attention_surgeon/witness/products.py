"""A product of two arrays, whatever it was written as, in letters: which axes are summed over, which stay.

>>> import numpy as np
>>> p = as_product("matmul", (np.ones((2, 5, 3)), np.ones((3, 7))), {})
>>> p.left, p.right, p.out, p.summed
('abc', 'cd', 'abd', 'c')
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from attention_surgeon.witness.record import Array


@dataclass(frozen=True)
class Product:
    """Two arrays and the letters of their axes, as in `einsum`."""

    a: Array
    b: Array
    left: str
    right: str
    out: str

    @property
    def summed(self) -> str:
        """The letters that are summed over: in both, and not in the result."""
        return "".join(c for c in self.left if c in self.right and c not in self.out)

    @property
    def alone(self) -> str:
        """The letters of one operand that are summed over without the other."""
        return "".join(c for c in set(self.left) ^ set(self.right) if c not in self.out)

    @property
    def sizes(self) -> dict[str, int]:
        """How long each axis is."""
        return dict(zip(self.left + self.right, self.a.shape + self.b.shape, strict=True))

    def value(self) -> Array:
        """What comes out."""
        return np.einsum(f"{self.left},{self.right}->{self.out}", self.a, self.b)

    def turned(self) -> "Product":
        """The same with the operands in the other order."""
        return Product(self.b, self.a, self.right, self.left, self.out)

    def rows(self, side: str, without: str) -> tuple[str, Array]:
        """Return the letters of an operand but for some, and its numbers with those moved to the end, flattened.

        Args:
            side: `a` or `b`.
            without: Letters that are no rows: what is summed over in the scores, the size of a value.
        """
        letters, array = (self.left, self.a) if side == "a" else (self.right, self.b)
        kept = "".join(c for c in letters if c not in without)
        order = [letters.index(c) for c in kept] + [letters.index(c) for c in letters if c in without]
        moved = array.transpose(order)
        return kept, moved.reshape(*moved.shape[: len(kept)], -1)


def as_product(name: str, inputs: tuple[Array, ...], options: Mapping[str, Any]) -> Product | None:
    """Return a product in letters; None where it is none of two arrays."""
    if name == "einsum":
        return _of_einsum(inputs, options)
    if name not in ("matmul", "bmm", "mm", "baddbmm", "dot") or len(inputs) < 2:
        return None
    a, b = inputs[-2:]
    if a.ndim < 2 or b.ndim < 2 or (name == "dot" and b.ndim > 2):
        return None
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    letters = string.ascii_lowercase
    if b.ndim > 2 or a.ndim == 2:
        a, b = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
        shared = letters[: len(batch)]
        i, j, k = letters[len(batch) : len(batch) + 3]
        return Product(a, b, shared + i + j, shared + j + k, shared + i + k)
    left = letters[: a.ndim]
    return Product(a, b, left, left[-1] + letters[a.ndim], left[:-1] + letters[a.ndim])


def _of_einsum(inputs: tuple[Array, ...], options: Mapping[str, Any]) -> Product | None:
    equation = options.get("equation")
    if not isinstance(equation, str) or len(inputs) != 2:
        return None
    equation = equation.replace(" ", "")
    before, _, out = equation.partition("->")
    parts = before.split(",")
    if len(parts) != 2:
        return None
    if "..." in equation:
        parts, out = _spelled_out(parts, out, inputs)
    if "->" not in equation:
        both = "".join(parts)
        out = "".join(sorted(c for c in set(both) if both.count(c) == 1))
    if any(len(set(part)) < len(part) for part in parts):
        return None
    return Product(inputs[0], inputs[1], parts[0], parts[1], out)


def _spelled_out(parts: list[str], out: str, inputs: tuple[Array, ...]) -> tuple[list[str], str]:
    """Write letters for the dots of an equation."""
    used = set("".join(parts))
    free = [c for c in string.ascii_letters if c not in used]
    count = max(x.ndim - len(part.replace("...", "")) for part, x in zip(parts, inputs, strict=True) if "..." in part)
    dots = "".join(free[:count])
    spelled = [
        part.replace("...", dots[count - (x.ndim - len(part) + 3) :]) for part, x in zip(parts, inputs, strict=True)
    ]
    return spelled, out.replace("...", dots)
