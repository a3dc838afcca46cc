"""One frozen record of what attention did: made by `record`, looked at by everything else, saved and loaded exactly."""

from attention_surgeon.trace.checks import Check
from attention_surgeon.trace.fields import TENSOR_NAMES, StepSummary, StrongestPair
from attention_surgeon.trace.record import record
from attention_surgeon.trace.trace import AttentionTrace, load_trace, trace_from_json

__all__ = [
    "TENSOR_NAMES",
    "AttentionTrace",
    "Check",
    "StepSummary",
    "StrongestPair",
    "load_trace",
    "record",
    "trace_from_json",
]
