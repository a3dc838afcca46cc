"""The second witness: what a target really does, read from its own operations, with the line of each."""

from attention_surgeon.witness.findings import Expected, Finding, Reading
from attention_surgeon.witness.flow import Flow
from attention_surgeon.witness.observation import Observation
from attention_surgeon.witness.observe import observe
from attention_surgeon.witness.reading import read
from attention_surgeon.witness.record import Op, Trace, record, watched

__all__ = [
    "Expected",
    "Finding",
    "Flow",
    "Observation",
    "Op",
    "Reading",
    "Trace",
    "observe",
    "read",
    "record",
    "watched",
]
