"""What is said of a target in the end, and the account that is kept of it until then."""

from dataclasses import dataclass, field

from attention_surgeon.witness.findings import Finding, Reading


@dataclass(frozen=True)
class Observation:
    """What was read of a target.

    Attributes:
        verdict: `right`, `wrong`, or `unjudged` where something in it could not be read.
        kind: What it is, in words.
        findings: What is wrong, in the order of the pipeline.
        unknown: What could not be read.
        remarks: True and worth knowing.
        tried: What was called: sizes, arguments, modes, in words.
        untried: The arguments that were never given a value, by name.
        reading: The reading of the plain call.
    """

    verdict: str
    kind: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    reading: Reading | None = field(default=None, repr=False)


@dataclass
class Account:
    """What has been said so far of a target, which every part of an observation adds to.

    Attributes:
        findings: What is wrong.
        unknown: What could not be read.
        remarks: True and worth knowing.
        tried: What was called, in words.
        untried: Arguments and switches that could not be tried.
    """

    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
