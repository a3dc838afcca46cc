"""The receipt of an operation: what was counted and measured while it was in place."""

from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from attention_surgeon.ops import Steps
from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.layers import Layer, OwnCode, in_classes


@final
@dataclass(frozen=True, repr=False)
class LayerReceipt:
    """What happened in one operated layer.

    Attributes:
        name: Of the layer.
        heads: The operated query heads; None until the layer was called.
        kv_heads: The key and value heads that serve them; None as `heads`.
        runs: How often the layer ran.
        calls: How often it called its attention function while it was operated.
        row_sum_error: Farthest that a row of operated weights was from 1 (rows without a key aside); None: no row.
        hidden: Cells that the operated mask hides, in all calls.
        hidden_used: How many of them had weight all the same.
        leaked: Cells hidden by the model's own mask that had weight under the operation.
        others_identical: Whether every untouched head of the layer gave the model's own numbers, bit for bit; None:
            there was no untouched head.
        change: Largest difference that the operation made to an output of its heads.
        size: Largest output of these heads without the operation, to compare `change` with.
        agreement: Largest difference between the healthy mechanism and the model's own function.
        num_not_finite: Outputs that became NaN or infinite.
        reads: Vectors (maps, for a pattern) that were read to be written elsewhere.
        writes: Vectors (maps) that were written into the layer; 0 where the mechanism itself was replaced.
    """

    name: str
    heads: tuple[int, ...] | None
    kv_heads: tuple[int, ...] | None
    runs: int
    calls: int
    row_sum_error: float | None
    hidden: int
    hidden_used: int
    leaked: int
    others_identical: bool | None
    change: float
    size: float
    agreement: float
    num_not_finite: int
    reads: int = 0
    writes: int = 0

    def __repr__(self) -> str:
        """Say in one line what happened in this layer."""
        count = "not called" if self.heads is None else f"{len(self.heads)} heads"
        return f"LayerReceipt(layer {self.name}, {count}, called {self.calls}/{self.runs}, moved by {self.change:.3g})"


@final
@dataclass(eq=False)
class Tally:
    """The receipt of one layer while it is being written."""

    layer: Layer
    runs: int = 0
    calls: int = 0
    heads: tuple[int, ...] | None = None
    kv_heads: tuple[int, ...] | None = None
    row_sum_error: float | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("hidden", "used", "leaked", "broken"), 0))
    others_identical: bool | None = None
    change: float = 0.0
    size: float = 0.0
    agreement: float = 0.0
    reads: int = 0
    writes: int = 0

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the layer ran, and its own code did nothing that could be followed."""
        return isinstance(self.layer.use, OwnCode) and self.runs > 0 and not self.calls

    def count(self, call: AttentionCall, heads: tuple[int, ...]) -> None:
        """Count a call."""
        self.calls += 1
        group = call.num_heads // call.num_kv_heads
        self.heads, self.kv_heads = heads, tuple(dict.fromkeys(head // group for head in heads))

    def weigh(self, call: AttentionCall, heads: list[int], steps: Steps) -> None:
        """Measure the rows, and what hidden cells got."""
        weights, masked = (part[..., heads, :, :].detach() for part in (steps.weights, steps.masked))
        hidden, used = masked == float("-inf"), weights != 0
        rows = ~hidden.all(-1)
        self.counts["hidden"] += int(hidden.sum())
        self.counts["used"] += int((hidden & used).sum())
        if call.operands.allowed is not None:
            self.counts["leaked"] += int((~call.operands.allowed & used).sum())
        if rows.any() and not call.has_sinks:
            error = float((weights.sum(-1) - 1.0).abs()[rows].max())
            self.row_sum_error = max(self.row_sum_error or 0.0, error)

    def compare(self, operated: Tensor, before: Tensor) -> None:
        """Measure how far the operation moved the outputs of its heads."""
        finite = torch.isfinite(operated)
        self.counts["broken"] += int((~finite).sum())
        self.change = max(self.change, _largest((operated - before)[finite]))
        if (~finite & torch.isfinite(before)).any():
            self.change = float("inf")
        self.size = max(self.size, _largest(before))

    def agree(self, healthy: Tensor, own: Tensor, rows: Tensor | None) -> None:
        """Measure how far the healthy mechanism is from the model's own function, rows without a key aside."""
        difference = (healthy - own).abs()
        self.agreement = max(self.agreement, _largest(difference if rows is None else difference[rows]))

    def written(self, own: Tensor, new: Tensor, places: Tensor, heads: tuple[int, ...] | None) -> None:
        """Measure what was written where `places` is true, and that nothing else moved."""
        self.calls, self.runs = self.calls + 1, self.runs + 1
        self.heads = self.heads if heads is None else tuple(sorted({*(self.heads or ()), *heads}))
        self.compare(new[places].detach(), own[places].detach())
        self.see_others(torch.equal(new[~places], own[~places]))

    def see_others(self, identical: bool) -> None:
        """Note whether the untouched heads gave the model's own numbers."""
        self.others_identical = identical and self.others_identical is not False

    def receipt(self) -> LayerReceipt:
        """Return what was written so far."""
        return LayerReceipt(
            name=self.layer.name,
            heads=self.heads,
            kv_heads=self.kv_heads,
            runs=self.runs,
            calls=self.calls,
            row_sum_error=self.row_sum_error,
            hidden=self.counts["hidden"],
            hidden_used=self.counts["used"],
            leaked=self.counts["leaked"],
            others_identical=self.others_identical,
            change=self.change,
            size=self.size,
            agreement=self.agreement,
            num_not_finite=self.counts["broken"],
            reads=self.reads,
            writes=self.writes,
        )


@final
class Receipt:
    """What an operation did, layer by layer; it grows while the operation is in place."""

    def __init__(self, operation: str, tallies: tuple[Tally, ...], num_other_layers: int) -> None:
        """Begin with nothing counted."""
        self.operation, self.num_other_layers = operation, num_other_layers
        self._tallies = tallies
        self.undone = False

    @property
    def layers(self) -> tuple[LayerReceipt, ...]:
        """One entry for each operated layer."""
        return tuple(tally.receipt() for tally in self._tallies)

    @property
    def bypassing(self) -> str:
        """Which layers ran and could not be reached, as they attend in a way that cannot be followed; "": none."""
        return in_classes(tally.layer for tally in self._tallies if tally.is_out_of_reach)

    @property
    def calls(self) -> int:
        """Calls of all operated layers together."""
        return sum(tally.calls for tally in self._tallies)

    @property
    def change(self) -> float:
        """Largest difference that the operation made to an output of a head."""
        return max((tally.change for tally in self._tallies), default=0.0)

    @property
    def changed(self) -> bool:
        """Whether the operation changed any output at all."""
        return self.change > 0

    def __repr__(self) -> str:
        """Say in one line what was done where, what stayed, and whether it is undone."""
        layers = [layer for layer in self.layers if layer.calls or layer.reads]
        heads = sum(len(layer.heads or ()) for layer in layers)
        parts = [f"{heads} heads in {len(layers)} layers"]
        if any(layer.reads for layer in layers):
            parts.append(f"read {sum(layer.reads for layer in layers)}, wrote {sum(one.writes for one in layers)}")
        identical = [layer.others_identical for layer in layers if layer.others_identical is not None]
        if identical:
            parts.append("the rest bit-identical" if all(identical) else "the rest CHANGED")
        parts.append(f"moved by {self.change:.3g}" if self.changed else "changed nothing")
        return f"Receipt({self.operation}: {', '.join(parts)}, {'undone' if self.undone else 'in place'})"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "operation": self.operation,
            "changed": self.changed,
            "other_layers": self.num_other_layers,
            "bypassing": self.bypassing,
            "undone": self.undone,
            "layers": [vars(layer) for layer in self.layers],
        }


def _largest(numbers: Tensor) -> float:
    return float(numbers.detach().abs().max()) if numbers.numel() else 0.0
