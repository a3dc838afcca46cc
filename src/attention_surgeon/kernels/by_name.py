"""The implementations of attention by name; none ever stands in for another."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.kernels.tiled import tiled_attention
from attention_surgeon.kernels.triton_attention import triton_attention

Implementation: TypeAlias = Literal["readable", "tiled", "triton"]
"""How attention is computed: as `ops.attention` spells it out, or by one of the kernels."""

IMPLEMENTATIONS: tuple[str, ...] = get_args(Implementation)


def attention_named(name: str, caller: str) -> Callable[..., Tensor]:
    """Return the kernel of that name; it takes `(query, key, value, mask, *, scale, use_shared_heads, dropout)`.

    Args:
        name: "tiled" or "triton".
        caller: Name that starts the message.

    Raises:
        OptionError: no kernel of that name.

    >>> attention_named("tiled", "example").__name__
    'tiled_attention'
    """
    kernels: dict[Any, Callable[..., Tensor]] = {"tiled": tiled_attention, "triton": triton_attention}
    if name not in IMPLEMENTATIONS:
        raise OptionError(f"{caller}: implementation is {name!r}, expected one of {', '.join(IMPLEMENTATIONS)}.")
    return kernels[name]
