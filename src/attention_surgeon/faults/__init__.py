"""The catalogue of mistakes: each one step of attention replaced by another, with the words that lead to it."""

from attention_surgeon.faults.catalogue import catalogue, faults_of, find_fault
from attention_surgeon.faults.fault import STAGES, Family, Fault, Operation, Sighting, Stage, Wrapping, with_faults

operate = with_faults  # its name until this release; models are operated, in `surgery`

__all__ = [
    "STAGES",
    "Family",
    "Fault",
    "Operation",
    "Sighting",
    "Stage",
    "Wrapping",
    "catalogue",
    "faults_of",
    "find_fault",
    "operate",
    "with_faults",
]
