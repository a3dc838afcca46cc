"""What a fault is: one part of attention replaced by another, with the words that lead a person to it."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from attention_surgeon.faults.parts import Part
from attention_surgeon.ops import Circuit
from attention_surgeon.verdict import STAGES, Mistake, Sighting, Stage

__all__ = ["STAGES", "Family", "Fault", "Operation", "Sighting", "Stage", "Wrapping", "with_faults"]

Family: TypeAlias = Literal[
    "softmax", "attention", "causal", "mask", "padding", "layer", "cross", "grouped", "statistics", "modern"
]
"""What can have a fault: a function of one kind, or a layer (`cross` and `grouped` have more to get wrong).

`modern`: attention as it is written today, with positions, caps, windows, sinks, caches and kernels.
"""

Operation: TypeAlias = Callable[[Circuit], Circuit]
Wrapping: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Fault:
    """One mistake of the catalogue: its words, and how it is put into a circuit.

    Attributes:
        words: Its name, its stage and what leads to it, as every verdict says it.
        families: What can have it.
        in_training: What somebody who trains with it sees.
        operate: Puts it into a circuit, around whatever is there already. None for a fault that no circuit can have.
        wrap: Puts it into a callable, for what a circuit cannot express: what happens to the caller's tensors, to the
            dtype, between two calls.
        tune: For a fault with a number in it (a hard-coded scale, a fill): the operation for another number.
        wraps: Whether it stands around what its own stage does, and so goes in after the faults that replace the stage.
        needs: What a circuit must have for the fault to be possible. None: every circuit can have it.
    """

    words: Mistake
    families: frozenset[Family]
    in_training: str
    operate: Operation | None = None
    wrap: Wrapping | None = None
    tune: Callable[[float], Operation] | None = None
    wraps: bool = False
    needs: Part[Any] | None = None

    @property
    def name(self) -> str:
        """Stable, the field's words, `snake_case`."""
        return self.words.name

    @property
    def stage(self) -> Stage:
        """Which step it replaces, or what it stands around: see `STAGES`."""
        assert self.words.stage
        return self.words.stage

    @property
    def summary(self) -> str:
        """What it is, in one sentence that speaks of the code."""
        return self.words.summary

    @property
    def in_numbers(self) -> str:
        """What somebody who prints numbers sees."""
        return self.words.symptom

    @property
    def question(self) -> str:
        """Leads there without saying it."""
        return self.words.question

    @property
    def pointer(self) -> str:
        """Says where to look."""
        return self.words.pointer

    @property
    def fix(self) -> str:
        """The line, as code."""
        return self.words.fix

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """Where it really happened."""
        return self.words.sightings

    def reworded(self, **words: Any) -> "Fault":
        """Return the same fault with some of its words exchanged: `reworded(summary="It divides by 8.")`."""
        return dataclasses.replace(self, words=dataclasses.replace(self.words, **words))


# Faults that wrap a step must be put in after those that replace it: `mask_after_softmax` and `scale_after_softmax`
# wrap whatever normalises.
_ORDER: tuple[Stage, ...] = (
    "projection",
    "operands",
    "score",
    "normalise",
    "scale",
    "mask",
    "combine",
    "heads",
    "merge",
    "output",
    "state",
    "statistics",
)


def with_faults(circuit: Circuit, faults: Iterable[Fault]) -> Circuit:
    """Return the circuit with every one of the faults in it, whatever order they are given in.

    Faults without an `operate` (those of `wrap`) leave it as it is.

    Raises:
        OptionError: a fault needs a part that the circuit does not have.
    """
    faults = tuple(faults)
    for fault in faults:
        if fault.needs is not None:
            fault.needs.of(circuit, fault.name)
    for fault in sorted(faults, key=lambda fault: (_ORDER.index(fault.stage), fault.wraps)):
        if fault.operate is not None:
            circuit = fault.operate(circuit)
    return circuit
