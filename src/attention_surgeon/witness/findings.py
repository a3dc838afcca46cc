"""What is found in an attention and its arguments, what was promised, and the notes that a reading's parts share."""

from dataclasses import dataclass, field
from typing import Any, final

from attention_surgeon.verdict import Location
from attention_surgeon.witness.core import Core
from attention_surgeon.witness.flow import Flow
from attention_surgeon.witness.norms import norm_mistake
from attention_surgeon.witness.record import Array
from attention_surgeon.witness.scores import Pattern, Scaling

UNNAMED = ""
"""The fault of what is wrong and has no name in the catalogue; its sentence says what it is."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        fault: Its name in the catalogue, or `UNNAMED`.
        step: The step that differs: `projections`, `scores`, `scaled`, `masked`, `weights`, `output`.
        sentence: What was seen, with its numbers.
        place: The line that does it.
        yours: One matrix of that step, where there is one.
        expected: The same, right.
        argument: What had to be given to see it: an argument of the call, or a switch of the constructor.
    """

    fault: str
    step: str
    sentence: str
    place: Location | None = None
    yours: Array | None = field(default=None, repr=False)
    expected: Array | None = field(default=None, repr=False)
    argument: str = ""


@dataclass(frozen=True)
class Claim:
    """What came of trying one argument.

    Attributes:
        argument: Its name.
        tried: How it was given, in words: `(n, n) boolean, True = may attend`; empty where it could not be tried.
        fault: What is wrong, by its name in the catalogue; None for nothing.
        sentence: What was seen.
        meaning: For a mask: `keep`, `hide` or `additive`.
        place: The line that shows it.
        unknown: What about it is for its author to say.
    """

    argument: str
    tried: tuple[str, ...] = ()
    fault: str | None = None
    sentence: str = ""
    meaning: str = ""
    place: Location | None = None
    yours: Array | None = field(default=None, repr=False)
    expected: Array | None = field(default=None, repr=False)
    unknown: str = ""


@dataclass
class Reading:
    """What was read.

    Attributes:
        is_causal: Whether the future is hidden by construction.
        kind: What it is, in words: `causal attention`, `8 heads sharing 2 key heads`, ...
        findings: What is wrong, in the order of the pipeline.
        unknown: What could not be read, each a sentence; where there is any, nothing is right or wrong.
        remarks: True and worth knowing.
        factor: What the scores were multiplied with in all, and the size of a head; None where heads differ.
    """

    kind: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    pattern: Pattern = field(default_factory=lambda: Pattern("nothing"))
    scaling: Scaling | None = None
    heads: int = 1
    key_heads: int = 1
    factor: tuple[float, int] | None = None

    @property
    def is_right(self) -> bool:
        """Whether everything was read and nothing is wrong."""
        return not self.findings and not self.unknown


@dataclass(frozen=True)
class Expected:
    """What the target's names and words promise; None: nothing is promised.

    Attributes:
        is_causal: The future is hidden.
        window: How many keys a query sees, itself included.
        is_unscaled: No scale is wanted.
        may_be_unscaled: A scale is as good as none.
        heads: How many heads.
        cap: The soft cap that it was made with.
        has_sink: A score beside the keys is among its parameters.
        has_output_projection: Its name says that the merged heads are projected.
        step: The dilation of its window.
        reach: How many keys a window sees to each side, in steps.
        base: Of the rotary frequencies.
        has_residual: Its text says that the input is added to the output.
        rotates_values: Its name says that positions turn the values, too.
        is_local: It was made as the kind that has a window.
        has_plain_bias: A switch of it, now off, says that what each query adds for a distance is scaled, too.
    """

    is_causal: bool | None = None
    window: int | None = None
    is_unscaled: bool = False
    may_be_unscaled: bool = False
    heads: int | None = None
    cap: float | None = None
    has_sink: bool = False
    has_output_projection: bool = False
    step: int | None = None
    reach: int | None = None
    base: float | None = None
    has_residual: bool = False
    rotates_values: bool = False
    is_local: bool = False
    has_plain_bias: bool = False


_CALLERS_FAULT = frozenset(("rotary_over_heads", "rotary_on_values", "rotary_on_one_side", "rotary_direction"))
"""Faults of the line that calls a helper, not of the helper's own."""


def is_one(one: Array | None, two: Array | None) -> bool:
    """Whether two projections have one matrix."""
    return one is not None and two is not None and one.shape == two.shape and bool((one == two).all())


@final
class Notes:
    """What has been found so far, which every part of a reading adds to.

    Attributes:
        flow: What was recorded.
        expects: What the target promises.
        reading: What was read.
        own_weights: The matrices of its projections.
        order: Of the heads, by the features of the queries that they take; None: as they lie.
        has_one_value: All heads share one value, and not one key.
        num_products: How many products its scores are a sum of.
        is_latent: Each head makes its output of what the weights gave, by a matrix of its own.
    """

    def __init__(self, flow: Flow, expects: Expected) -> None:
        """Begin with nothing found."""
        self.flow, self.expects, self.reading = flow, expects, Reading()
        self.own_weights: list[Array] = []
        self.order: Array | None = None
        self.has_one_value = False
        self.num_products = 1
        self.is_latent = False

    def wrong(
        self, fault: str, step: str, sentence: str, op: int | None, yours: Any = None, expected: Any = None
    ) -> None:
        """Note a mistake, once; its line is that of the operation `op`."""
        if any((found.fault or found.sentence) == (fault or sentence) for found in self.reading.findings):
            return
        place = None if op is None else self.flow.ops[op].place
        if op is not None and fault in _CALLERS_FAULT:
            place = self.flow.ops[op].outer
        self.reading.findings.append(Finding(fault, step, sentence, place, yours, expected))

    def norm(self, core: Core) -> bool:
        """Whether a wrong norm of queries or keys was seen."""
        found = norm_mistake(self.flow, core.scores[0])
        if found is not None:
            fault, words, op = found
            self.wrong(fault, "scores", words, op)
        return found is not None

    def weight(self, op: int | None) -> Array | None:
        """Return the matrix of a projection."""
        if op is None:
            return None
        recorded = self.flow.ops[op]
        places = [
            i for i in range(len(recorded.inputs)) if self.flow.is_constant(op, i) and recorded.inputs[i].ndim >= 2
        ]
        return recorded.inputs[places[0]] if places else None

    def is_own(self, op: int | None) -> bool:
        """Whether a projection has the matrix of the queries, keys or values."""
        return any(is_one(self.weight(op), own) for own in self.own_weights)

    def last_op(self, before: int, names: frozenset[str], after: int = -1) -> int | None:
        """Return the last operation of one of these names between two others."""
        return next((k for k in range(before - 1, after, -1) if self.flow.ops[k].name in names), None)

    @property
    def is_normed(self) -> bool:
        """Whether queries and keys are normed."""
        return any("normed" in words for words in self.reading.kind)

    def table_names(self) -> list[str]:
        """Return the names of the target's parameters."""
        made = self.flow.made
        return [name for name, _ in made.named_parameters()] if hasattr(made, "named_parameters") else []
