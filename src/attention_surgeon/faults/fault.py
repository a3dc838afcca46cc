"""What a fault is: one part of attention replaced by another, with the words that lead a person to it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from attention_surgeon.faults.parts import Part
from attention_surgeon.ops import Circuit

Stage: TypeAlias = Literal[
    "projection",
    "heads",
    "operands",
    "score",
    "scale",
    "mask",
    "normalise",
    "combine",
    "merge",
    "output",
    "state",
    "statistics",
]
"""Where in the pipeline a fault sits; in this order mistakes are spoken of."""

STAGES: tuple[Stage, ...] = get_args(Stage)

Family: TypeAlias = Literal[
    "softmax", "attention", "causal", "mask", "padding", "layer", "cross", "grouped", "statistics", "modern"
]
"""What can have a fault: a function of one kind, or a layer (`cross` and `grouped` have more to get wrong).

`modern`: attention as it is written today, with positions, caps, windows, sinks, caches and kernels.
"""

Operation: TypeAlias = Callable[[Circuit], Circuit]
Wrapping: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Sighting:
    """Where it really happened: a public issue or pull request.

    Attributes:
        repository: `owner/name` on GitHub.
        number: Of the issue or pull request.
        kind: `issues` or `pull`, as in the address.
    """

    repository: str
    number: int
    kind: Literal["issues", "pull"] = "issues"

    @property
    def url(self) -> str:
        """The address."""
        return f"https://github.com/{self.repository}/{self.kind}/{self.number}"

    def __str__(self) -> str:
        """As it is cited: `owner/name #7`, or `owner/name PR #7`."""
        return f"{self.repository} {'PR ' if self.kind == 'pull' else ''}#{self.number}"


@dataclass(frozen=True)
class Fault:
    """One mistake, as data.

    Attributes:
        name: Stable, the field's words, `snake_case`.
        stage: Which step it replaces, or what stands around the steps: `projection`, `heads`, `operands` before them,
            `merge`, `output` after them, `state` and `statistics` beside them.
        families: What can have it.
        summary: What it is, in one sentence that speaks of the code.
        in_training: What somebody who trains with it sees.
        in_numbers: What somebody who prints numbers sees.
        question: Leads there without saying it.
        pointer: Says where to look.
        fix: The line, as code.
        sightings: Where it really happened.
        operate: Puts it into a circuit, around whatever is there already. None for a fault that no circuit can have.
        wrap: Puts it into a callable, for what a circuit cannot express: what happens to the caller's tensors, to the
            dtype, between two calls.
        tune: For a fault with a number in it (a hard-coded scale, a fill): the operation for another number.
        wraps: Whether it stands around what its own stage does, and so goes in after the faults that replace the stage.
        needs: What a circuit must have for the fault to be possible. None: every circuit can have it.
    """

    name: str
    stage: Stage
    families: frozenset[Family]
    summary: str
    in_training: str
    in_numbers: str
    question: str
    pointer: str
    fix: str
    sightings: tuple[Sighting, ...] = ()
    operate: Operation | None = None
    wrap: Wrapping | None = None
    tune: Callable[[float], Operation] | None = None
    wraps: bool = False
    needs: Part[Any] | None = None


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


def operate(circuit: Circuit, faults: Iterable[Fault]) -> Circuit:
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
