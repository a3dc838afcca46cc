"""What is asked of an attention layer: its kind, the options, what is right, and the sizes it is built with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from attention_surgeon.faults import Family
from attention_surgeon.ops import Circuit, Mechanism, leave_unscaled
from attention_surgeon.testing.contract import Contract
from attention_surgeon.testing.draw import causal
from attention_surgeon.testing.function_spec import MaskMeaning
from attention_surgeon.testing.layer_build import LayerSizes

Kind: TypeAlias = Literal["simple", "self", "multihead", "causal_multihead", "cross", "grouped", "multiquery"]

_TITLES: Mapping[Kind, str] = {
    "simple": "simple unscaled attention",
    "self": "single-head attention",
    "multihead": "multi-head attention",
    "causal_multihead": "causal multi-head attention",
    "cross": "cross-attention",
    "grouped": "grouped-query attention",
    "multiquery": "multi-query attention",
}


@dataclass(frozen=True)
class LayerSpec(Contract):
    """An attention layer: what is asked of it.

    Attributes:
        kind: Which layer: it decides the heads, whether there is a context, an output projection, a scale.
        mask: What a mask means to it, as for `FunctionSpec`.
        scaled: Whether scores are to be divided by √d_k; None: all but `simple`.
        allows_nan_rows: Whether a query that may attend to no key may get NaN, as in `torch.nn.MultiheadAttention`.
    """

    kind: Kind = field(default="multihead", repr=False)
    mask: MaskMeaning = "keep"
    scaled: bool | None = None
    allows_nan_rows: bool = False

    name: ClassVar[str] = "layer"
    value_names: ClassVar[tuple[str, ...]] = ("output", "weights")

    @property
    def registered_name(self) -> str:
        """The kind."""
        return "torch_mha" if self.allows_nan_rows else self.kind

    @property
    def title(self) -> str:
        """`multi-head attention layer`, and so on."""
        return f"{_TITLES[self.kind]} layer"

    def circuit(self) -> Circuit:
        """Return what is right."""
        is_scaled = self.kind != "simple" if self.scaled is None else self.scaled
        mechanism = Mechanism() if is_scaled else Mechanism(scale=leave_unscaled)
        return Circuit(mechanism, pattern=causal) if self.kind == "causal_multihead" else Circuit(mechanism)

    def sizes(self, probe: int) -> LayerSizes:
        """Return the sizes of a layer that is built for this probe."""
        if self.kind in ("simple", "self"):
            return (LayerSizes(1, 1, 11, 7, 5, 2), LayerSizes(1, 1, 13, 5, 7, 3))[probe % 2]
        if self.kind == "grouped":
            return (LayerSizes(6, 2, 5, 7, 11, 3), LayerSizes(4, 2, 7, 5, 3, 3))[probe % 2]
        if self.kind == "multiquery":
            return (LayerSizes(3, 1, 5, 7, 11, 2), LayerSizes(2, 1, 7, 5, 3, 3))[probe % 2]
        return (LayerSizes(3, 3, 5, 7, 11, 2), LayerSizes(2, 2, 7, 5, 3, 3))[probe % 2]

    @property
    def families(self) -> frozenset[Family]:
        """What can be wrong with it."""
        families: set[Family] = {"layer"}
        if self.kind == "causal_multihead":
            families.add("causal")
        if self.kind == "cross":
            families.add("cross")
        if self.kind in ("grouped", "multiquery"):
            families.add("grouped")
        return frozenset(families)
