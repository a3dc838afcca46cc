"""The healthy circuit of a call, from what a model hands over: its scale, its cap, its bias by position, its sinks."""

from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from attention_surgeon.ops import (
    Circuit,
    Operands,
    Sink,
    SoftCap,
    divide_by_root_key_size,
    leave_unscaled,
    multiply_by,
)

_SAME_SCALE = 1e-12  # relative: what two ways of writing 1/√d differ by


def healthy_circuit(
    scaling: float,
    size: int,
    *,
    cap: float | None = None,
    bias: Tensor | None = None,
    sinks: Tensor | None = None,
) -> Circuit:
    """Return the circuit that a model's attention is, between its projections.

    Args:
        scaling: What the scores are multiplied by.
        size: Numbers of one key, d.
        cap: The soft cap of the scaled scores; None: none.
        bias: What is added to them by position, `(batch or 1, heads or 1, n_q, n_k)`; None: nothing.
        sinks: Scores beside the keys, `(heads,)` or `(batch, heads, n_q, 1)`; None: none.
    """
    scale = leave_unscaled if scaling == 1 else multiply_by(scaling)
    if abs(scaling * size**0.5 - 1) < _SAME_SCALE:
        scale = divide_by_root_key_size
    parts: dict[str, Any] = {"scale": scale}
    if cap is not None:
        parts["cap"] = SoftCap(float(cap))
    if bias is not None:
        parts["bias"] = GivenBias(bias)
    if sinks is not None:
        parts["sink"] = Sink(sinks if sinks.ndim == 4 else sinks.flatten())
    return Circuit().replace(**parts)


@final
@dataclass(frozen=True, eq=False)
class GivenBias:
    """The bias by position that a model hands over, already worked out.

    Attributes:
        bias: `(batch or 1, heads or 1, n_q, n_k)`.
    """

    bias: Tensor

    def __call__(self, operands: Operands) -> Tensor:
        """Return it in the dtype of the operands."""
        return self.bias.to(operands.query.dtype)
