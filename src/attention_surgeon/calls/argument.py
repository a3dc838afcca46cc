"""What a call is given: its sizes, and one parameter after the other."""

from dataclasses import dataclass, field
from typing import Any, Literal

from attention_surgeon.calls.names import Role

Library = Literal["torch", "numpy", "jax"]
TOKENS: frozenset[Role] = frozenset(("x", "query", "key", "value", "context"))


@dataclass(frozen=True)
class Sizes:
    """The sizes of a plan, all different as far as the target accepts that; None where it has no such size."""

    batch: int = 2
    n_q: int = 5
    n_k: int = 7
    width: int | None = None
    context_width: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_size: int = 8
    value_size: int = 8


@dataclass(frozen=True)
class Argument:
    """One parameter of the call.

    Attributes:
        name: As the signature spells it.
        role: What it is.
        required: Whether each call of the plan gives it.
        default: Of the signature; `inspect.Parameter.empty` for none.
        kind: Positional or by name only, as `inspect` says it.
        axes: For tensors of tokens, one letter per axis: b sequences, s more of them beside each, n queries, m keys,
            h heads, g key heads, d numbers, t and u queries and keys packed into one axis, y and x rows and columns of
            a picture.
        form: How its value is drawn, see `draw.py`.
        width: The length of its `d` axis.
        value: What is given each time, for the form `given`.
    """

    name: str
    role: Role
    required: bool
    default: Any
    kind: Any
    axes: str = ""
    form: str = ""
    width: int = 0
    value: Any = field(default=None, repr=False, compare=False)
