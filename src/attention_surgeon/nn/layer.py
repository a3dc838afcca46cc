"""The layer that every attention layer is: projections, heads, mask and the five steps between them.

    Q = x W_query    K = context W_key    V = context W_value        split into heads
    heads = mechanism(Q, K, V, mask)                                 `ops`, five replaceable steps
    output = merged heads W_output

The layers differ in their sizes only: how many heads there are, how many of them keys and values have, and where
keys and values come from. So the final classes hold signatures, and this one holds the work.
"""

from abc import ABC, abstractmethod
from typing import Any, NoReturn, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_surgeon.errors import DeviceError, DTypeError, OptionError, ShapeError
from attention_surgeon.kernels import Implementation, attention_named
from attention_surgeon.masks import Mask
from attention_surgeon.masks.foreign import known_mask
from attention_surgeon.nn.autocast import under_autocast
from attention_surgeon.nn.mechanism import require_mechanism, with_dropout
from attention_surgeon.nn.torch_convert import to_torch
from attention_surgeon.ops import (
    Circuit,
    LazyMask,
    Linears,
    MaskLike,
    Mechanism,
    check_operands,
    leave_unscaled,
)
from attention_surgeon.require import (
    refuse_torchscript,
    require_count,
    require_floating,
    require_probability,
    require_switch,
)

Attended: TypeAlias = (
    Float[Tensor, "*batch n_q embed"] | tuple[Float[Tensor, "*batch n_q embed"], Float[Tensor, "*_heads n_q n_k"]]
)
"""What a layer returns: the output, or `(output, weights)` with `return_weights=True`."""


class AttentionLayer(nn.Module, ABC):
    """Projections around a `Mechanism`; batch first, with any number of batch axes, also none.

    Attributes:
        query: Linear, `embed_dim -> embed_dim`.
        key: Linear, `context_dim -> num_kv_heads * head_dim`.
        value: Linear, as `key`.
        output: Linear, `embed_dim -> embed_dim`, or Identity in a layer without an output projection.
        circuit: The whole layer as data, an `ops.Circuit`: the five steps and how heads are cut, shared and merged.
        mechanism: The five steps of the circuit, an `ops.Mechanism`. Assign another one to change how the layer
            attends, with the same parameters: `layer.mechanism = Mechanism(scale=leave_unscaled)`.
        dropout: Probability with which a weight is dropped while training; read at every call.
        embed_dim: Width of the input and of the output.
        context_dim: Width of what keys and values are made from.
        num_heads: Query heads.
        num_kv_heads: Key and value heads; each serves `num_heads // num_kv_heads` neighbouring query heads.
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        num_heads: int = 1,
        num_kv_heads: int | None = None,
        context_dim: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        use_output: bool = True,
        mechanism: Mechanism | None = None,
    ) -> None:
        """Make the projections, initialised as `nn.Linear` does.

        Raises:
            ArgumentTypeError, OptionError, ShapeError: a size that is no count, a dropout that is no probability,
                heads that do not divide.
        """
        super().__init__()
        num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        context_dim = embed_dim if context_dim is None else context_dim
        _check_sizes(type(self).__name__, embed_dim, num_heads, num_kv_heads, context_dim)
        require_probability(dropout, "dropout", type(self).__name__)
        require_switch(bias, "bias", type(self).__name__)
        self.embed_dim, self.context_dim = embed_dim, context_dim
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
        self.dropout = dropout
        self.circuit = Circuit()
        if mechanism is not None:
            self.mechanism = mechanism
        shared_width = embed_dim // num_heads * num_kv_heads
        self.query = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.key = nn.Linear(context_dim, shared_width, bias=bias)
        self.value = nn.Linear(context_dim, shared_width, bias=bias)
        self.output = nn.Linear(embed_dim, embed_dim, bias=bias) if use_output else nn.Identity()

    @property
    def mechanism(self) -> Mechanism:
        """The five steps between the projections."""
        return self.circuit.mechanism

    @mechanism.setter
    def mechanism(self, mechanism: Mechanism) -> None:
        require_mechanism(mechanism, type(self).__name__)
        self.circuit = self.circuit.replace(mechanism=mechanism)

    @property
    def linears(self) -> Linears:
        """The projections by role, as a circuit asks for them."""
        return {"query": self.query, "key": self.key, "value": self.value, "output": self.output}

    @property
    def head_dim(self) -> int:
        """Width of one head, the d_k of the scale."""
        return self.embed_dim // self.num_heads

    @abstractmethod
    def forward(self, *args: Any, **kwargs: Any) -> Attended:
        """Attend; each layer says from what to what."""

    def project(
        self,
        x: Float[Tensor, "*batch n_q embed"],
        context: Float[Tensor, "*rest n_k width"] | None = None,
        *,
        share_heads: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return Q, K and V as the mechanism gets them, `(*batch, num_heads, n, head_dim)`.

        Args:
            x: What asks, `(*batch, n_q, embed_dim)`.
            context: What answers, `(*batch, n_k, context_dim)`; None: `x` itself.
            share_heads: Whether shared heads are repeated, so that every query head finds its own.

        Returns:
            Q `(*batch, num_heads, n_q, head_dim)`, K and V `(*batch, num_heads, n_k, head_dim)`, or with `num_kv_heads`
            heads where they are not repeated.

        Raises:
            ArgumentTypeError, DTypeError, DeviceError, ShapeError: `x` or `context` does not fit the projections.
        """
        self._check_input("x", x, self.query)
        if context is None:
            context = x
        self._check_input("context" if context is not x else "x, as its own context,", context, self.key)
        counts = {"num_heads": self.num_heads, "num_kv_heads": self.num_kv_heads}
        circuit = self.circuit if share_heads else self.circuit.replace(share=_leave_shared)
        return circuit.heads(x, context, self.linears, **counts)

    def attend(
        self,
        x: Tensor,
        context: Tensor,
        mask: MaskLike | None,
        return_weights: bool,
        implementation: Implementation = "readable",
    ) -> Attended:
        """Project, run the mechanism, merge the heads: the `forward` of every layer.

        Args:
            x: What asks, `(*batch, n_q, embed_dim)`.
            context: What answers, `(*batch, n_k, context_dim)`.
            mask: As for `ops.attention` (boolean: True = may attend; floating: added), and here without a head axis:
                `(n_q, n_k)` for all, `(*batch, n_q, n_k)` per sequence, or with one, `(*batch, heads, n_q, n_k)`.
            return_weights: Whether to return `(output, weights)` in place of the output alone.
            implementation: "readable", the circuit; "tiled" or "triton", a kernel that computes what a usual circuit
                does and never forms the weights (`kernels`). In training each draws its dropout in its own way.

        Returns:
            output `(*batch, n_q, embed_dim)`; weights `(*batch, heads, n_q, n_k)`, those that were used: in training
            after dropout, as in PyTorch.

        Raises:
            ArgumentTypeError, DTypeError, DeviceError, MaskError, ShapeError: each with the way out.
            OptionError: no implementation of that name, or one that cannot do what is asked.
        """
        caller = type(self).__name__
        require_switch(return_weights, "return_weights", caller)
        if implementation != "readable":
            return self._attend_by_kernel(x, context, mask, return_weights, implementation)
        Q, K, V = self.project(x, context)
        if mask is not None:
            mask = _with_head_axis(mask, max(x.ndim, context.ndim), x.device, caller)
        given = check_operands(Q, K, V, mask, caller=caller, model_size=self.embed_dim)
        dropped = with_dropout(self.mechanism, self.dropout if self.training else 0.0, caller)
        attended, weights = self.circuit.replace(mechanism=dropped).run(given)
        output = self.circuit.finish(x, attended.to(Q.dtype), self.linears)  # (..., heads, q, size) -> (..., q, embed)
        return (output, weights.to(Q.dtype)) if return_weights else output

    def _attend_by_kernel(
        self, x: Tensor, context: Tensor, mask: MaskLike | None, return_weights: bool, implementation: Implementation
    ) -> Tensor:
        caller = type(self).__name__
        kernel = attention_named(implementation, caller)
        if return_weights:
            raise OptionError(
                f"{caller}: implementation={implementation!r} never forms the weights; "
                f"leave return_weights out, or use implementation='readable'."
            )
        use_scale = self.mechanism.scale is not leave_unscaled
        if changed := [part for part in self.circuit.changed() if part != f"scale={leave_unscaled.__name__}"]:
            raise OptionError(
                f"{caller}: implementation={implementation!r} computes the usual circuit only, and this layer has "
                f"{', '.join(changed)}; use implementation='readable'."
            )
        require_probability(self.dropout, "dropout", caller)
        Q, K, V = self.project(x, context, share_heads=False)
        if mask is not None:
            mask = _with_head_axis(mask, max(x.ndim, context.ndim), x.device, caller)
        dropout = self.dropout if self.training else 0.0
        attended = kernel(Q, K, V, mask, scale=use_scale, use_shared_heads=True, dropout=dropout)
        return self.circuit.finish(x, attended, self.linears)  # (..., heads, q, size) -> (..., q, embed)

    def to_torch(self) -> nn.MultiheadAttention:
        """Return a `torch.nn.MultiheadAttention(batch_first=True)` that computes the same, with copied parameters.

        A missing scale moves into the query projection, shared heads are repeated, a missing output projection
        becomes the identity.

        Raises:
            ConversionError: the mechanism has a step that PyTorch's does not.

        Differs in what follows: a query that may attend to no key gets NaN there (when weights are asked for).
        """
        return to_torch(self)

    def __prepare_scriptable__(self) -> NoReturn:
        """Tell `torch.jit.script` that it cannot compile this layer.

        Raises:
            ConversionError: always, with the ways out.
        """
        refuse_torchscript(type(self).__name__)()

    def extra_repr(self) -> str:
        """Say the sizes, and every step of the mechanism that is not the usual one."""
        names = ("embed_dim", "num_heads", "num_kv_heads", "dropout")
        return ", ".join([*(f"{name}={getattr(self, name)}" for name in names), *self.circuit.changed()])

    def _check_input(self, name: str, x: Tensor, projection: nn.Linear) -> None:
        caller = type(self).__name__
        require_floating(x, name, caller)
        width, weight = projection.in_features, projection.weight
        if x.ndim < 2 or x.shape[-1] != width:
            raise ShapeError(
                f"{caller}: {name} has shape {tuple(x.shape)}, expected (*batch, n, {width}): "
                f"this layer projects vectors of width {width}."
            )
        if x.device != weight.device:
            raise DeviceError(
                f"{caller}: {name} is on {x.device} and the parameters on {weight.device}; "
                f"move the layer with layer.to(x.device)."
            )
        if x.dtype != weight.dtype and not under_autocast(x):
            raise DTypeError(
                f"{caller}: {name} is {x.dtype} and the parameters are {weight.dtype}; "
                f"convert the layer with layer.to(x.dtype)."
            )


def without_heads(attended: Attended) -> Attended:
    """Drop the head axis of the weights: a layer of one head, which has no heads to speak of, returns `(..., q, k)`."""
    if isinstance(attended, Tensor):
        return attended
    output, weights = attended
    return output, weights.squeeze(-3)  # (..., 1, q, k) -> (..., q, k)


def _with_head_axis(mask: MaskLike, input_ndim: int, device: torch.device, caller: str) -> MaskLike:
    """Give a mask with batch axes the head axis that the input does not have, so that axes meet their own kind."""
    mask = known_mask(mask, caller)
    if isinstance(mask, Mask):
        return mask.with_heads() if 3 <= len(mask.shape) <= input_ndim else mask
    if not isinstance(mask, Tensor) and isinstance(mask, LazyMask):
        mask = mask.dense(device)
    if isinstance(mask, Tensor) and 3 <= mask.ndim <= input_ndim:
        return mask.unsqueeze(-3)  # (..., n_q, n_k) -> (..., 1, n_q, n_k)
    return mask


def _leave_shared(x: Tensor, num_heads: int) -> Tensor:
    """Repeat nothing: a kernel finds the head that a query head shares."""
    return x


def _check_sizes(caller: str, embed_dim: int, num_heads: int, num_kv_heads: int, context_dim: int) -> None:
    sizes = {"embed_dim": embed_dim, "num_heads": num_heads, "num_kv_heads": num_kv_heads, "context_dim": context_dim}
    for name, size in sizes.items():
        require_count(size, name, caller)
    if embed_dim % num_heads:
        raise ShapeError(
            f"{caller}: embed_dim {embed_dim} cannot be cut into {num_heads} equal heads; "
            f"use a num_heads that divides {embed_dim}."
        )
    if num_heads % num_kv_heads:
        raise ShapeError(
            f"{caller}: {num_kv_heads} key/value heads cannot be shared evenly among {num_heads} query heads; "
            f"use a num_kv_heads that divides {num_heads}."
        )
