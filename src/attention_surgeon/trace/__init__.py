"""One frozen record of what attention did: made by `record`, looked at by everything else, saved and loaded exactly."""

from attention_surgeon.trace.as_json import trace_from_json
from attention_surgeon.trace.check import Check
from attention_surgeon.trace.record import record
from attention_surgeon.trace.storage import load_trace
from attention_surgeon.trace.strongest import StrongestPair
from attention_surgeon.trace.summary import StepSummary
from attention_surgeon.trace.trace import TENSOR_NAMES, AttentionTrace

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
