"""One call of attention inside a model: what it was given, what it does when healthy, what it does operated."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import final

from torch import Tensor

from attention_surgeon.errors import SurgeonError, SurgeryError
from attention_surgeon.ops import Circuit, MaskLike, Operands, Steps, working_dtype
from attention_surgeon.surgery.layers import Layer


@final
@dataclass(frozen=True, eq=False)
class AttentionCall:
    """What a model handed to its attention in one call, ready to be computed by any circuit.

    Attributes:
        layer: Which layer called.
        query: `(batch, heads, n_q, d)` as the attention function gets it, after any rotation by position.
        key: `(batch, kv_heads, n_k, d)`, heads not yet shared.
        value: `(batch, kv_heads, n_k, d_v)`.
        mask: Who may attend to whom, as a boolean tensor or a mask that is not written out; None: everybody.
        bias: What the model's mask adds to visible scores; None: nothing.
        circuit: The healthy circuit: the layer's own scale, its cap, its bias by position, its sinks.
        own: The model's own function of query, key and value, which gives `(batch, n_q, heads, d_v)`.
        scaling: What the scores are multiplied by; None where the circuit alone knows.
    """

    layer: Layer
    query: Tensor
    key: Tensor
    value: Tensor
    mask: MaskLike | None
    bias: Tensor | None
    circuit: Circuit
    own: Callable[[Tensor, Tensor, Tensor], Tensor]
    scaling: float | None = None

    @cached_property
    def operands(self) -> Operands:
        """The operands in working precision, heads not yet shared; writes the mask out."""
        dtype = working_dtype(self.query.dtype, self.query.device)
        mask = self.mask
        allowed = mask if mask is None or isinstance(mask, Tensor) else mask.dense(self.query.device)
        return Operands(
            query=self.query.to(dtype),
            key=self.key.to(dtype),
            value=self.value.to(dtype),
            allowed=allowed,
            bias=None if self.bias is None else self.bias.to(dtype),
            dtype=self.query.dtype,
            model_size=self.num_heads * self.query.shape[-1],
        )

    @property
    def position_bias(self) -> Tensor | None:
        """What the healthy circuit adds to the scores by position, `(..., heads, n_q, n_k)`; None: nothing."""
        return self.circuit.bias(self.operands)

    @property
    def has_sinks(self) -> bool:
        """Whether a part of each row goes to no key at all."""
        return self.circuit.sink is not Circuit().sink

    @property
    def num_heads(self) -> int:
        """Query heads."""
        return self.query.shape[-3]

    @property
    def num_kv_heads(self) -> int:
        """Key and value heads."""
        return self.key.shape[-3]

    def shared(self, circuit: Circuit) -> Operands:
        """Return the operands with every key and value head repeated for its query heads, as the circuit does it."""
        given = self.operands
        if self.num_kv_heads == self.num_heads:
            return given
        key, value = (circuit.share(part, self.num_heads) for part in (given.key, given.value))
        return dataclasses.replace(given, key=key, value=value)

    def steps(self, circuit: Circuit) -> Steps:
        """Run the five steps of a circuit on this call, in working precision.

        Raises:
            SurgeryError: a replaced step cannot work on these shapes.
        """
        try:
            return circuit.steps(self.shared(circuit))
        except (SurgeonError, RuntimeError, IndexError) as error:
            raise SurgeryError(f"layer {self.layer.name}: {self._shapes()}: {error}") from error

    def output(self, circuit: Circuit, steps: Steps) -> Tensor:
        """Return what stands in front of the output projection, `(batch, n_q, heads, d_v)`, in the model's dtype.

        Raises:
            SurgeryError: the operation gives something of another shape.
        """
        gathered, operands = steps.output, self.operands
        n_q, value_size = operands.query.shape[-2], operands.value.shape[-1]
        if gathered.shape[-3:] != (self.num_heads, n_q, value_size):
            raise SurgeryError(
                f"layer {self.layer.name}: {self._shapes()}: the operation gives {tuple(gathered.shape)} where "
                f"{(*operands.query.shape[:-1], value_size)} is needed."
            )
        merged = circuit.merge(gathered)  # (..., heads, q, size) -> (..., q, heads * size)
        return merged.unflatten(-1, (self.num_heads, value_size)).to(operands.dtype)

    def rows_with_keys(self) -> Tensor | None:
        """Return which rows of the output have a key to attend to, `(batch, n_q, heads)`; None: all."""
        allowed, query = self.operands.allowed, self.operands.query
        if allowed is None:
            return None
        return allowed.any(-1).expand(query.shape[:-1]).transpose(-2, -1)  # (..., heads, q) -> (..., q, heads)

    def _shapes(self) -> str:
        parts = (("query", self.query), ("key", self.key), ("value", self.value))
        return ", ".join(f"{name} {tuple(part.shape)}" for name, part in parts)
