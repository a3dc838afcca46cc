"""What is asked of an attention function: the options, what is right, and how its masks are spoken of."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.ops import Circuit, Mechanism, Operands, leave_unscaled
from attention_surgeon.testing.contract import Contract
from attention_surgeon.testing.draw import causal

MaskMeaning: TypeAlias = Literal["keep", "hide", "additive"]


@dataclass(frozen=True)
class FunctionSpec(Contract):
    """Attention as a function, in torch or NumPy: what is asked, whatever library it comes from.

    Attributes:
        mask: What a mask means to it: `keep` (True or 1 = may attend), `hide` (True or 1 = hidden), `additive`.
        returns: Whether `(output, weights)` or `(weights, output)` comes back when two values do.
        scaled: Whether scores are to be divided by √d_k.
        hides_future: Whether the function itself hides the future.
        align: Where a causal mask lies when n_q != n_k: `end` (the last query sees every key) or `start`.
    """

    mask: MaskMeaning = "keep"
    returns: Literal["output_first", "weights_first"] = "output_first"
    scaled: bool = True
    hides_future: bool = field(default=False, repr=False)
    align: Literal["end", "start"] = "end"

    name: ClassVar[str] = "attention"
    value_names: ClassVar[tuple[str, ...]] = ("output", "weights")

    @property
    def registered_name(self) -> str:
        """`attention` or `causal_attention`."""
        return f"causal_{self.name}" if self.hides_future else self.name

    def circuit(self) -> Circuit:
        """Return what is right."""
        mechanism = Mechanism() if self.scaled else Mechanism(scale=leave_unscaled)
        if not self.hides_future:
            return Circuit(mechanism)
        return Circuit(mechanism, pattern=causal if self.align == "end" else _causal_from_the_start)


def said_of_mask(mask: Any, meaning: MaskMeaning) -> str:
    """Return what a mask means, in words: `True = may attend`."""
    if meaning == "additive":
        return "is added to the scores"
    return f"{'True' if 'bool' in str(mask.dtype) else 1} = {'may attend' if meaning == 'keep' else 'hidden'}"


def fill_with_a_low_number(scaled: Tensor, operands: Operands) -> Tensor:
    """Hide with a finite number: right, but a query that may attend to no key then gets the mean of the values."""
    if operands.bias is not None:
        scaled = scaled + operands.bias
    return scaled if operands.allowed is None else scaled.masked_fill(~operands.allowed, -1e9)


def _causal_from_the_start(n_q: int, n_k: int) -> Tensor:
    return torch.arange(n_k) <= torch.arange(n_q)[:, None]
