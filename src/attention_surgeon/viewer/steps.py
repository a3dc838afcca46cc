"""The five steps of each call, number by number, where they are known and small enough for a page."""

from typing import Any

import numpy as np
from torch import Tensor

from attention_surgeon.trace import AttentionTrace
from attention_surgeon.viewer.codes import packed
from attention_surgeon.viewer.detail import BASE64
from attention_surgeon.viewer.subject import Subject

_TENSORS = ("query", "key", "value", "scores", "scaled", "masked", "output")


def steps_of(subject: Subject, room: float) -> list[dict[str, Any] | None]:
    """Return for each map the tensors of its call as float32, or None for all where they do not fit into `room`."""
    traces = subject.traces
    size = sum(getattr(trace, name).numel() * 4 * BASE64 for trace in traces for name in _TENSORS)
    if not traces or size > room:
        return [None] * len(subject.maps)
    return [_entry(trace) for trace in traces]


def _entry(trace: AttentionTrace) -> dict[str, Any]:
    tensors = {name: _packed(getattr(trace, name)) for name in _TENSORS}
    return {
        "keySize": trace.key_size,
        "valueSize": trace.value.shape[-1],
        "functions": list(trace.step_functions),
        "formulas": [step.formula for step in trace.steps()],
        **tensors,
        "bytes": sum(len(data) for data in tensors.values()),
    }


def _packed(tensor: Tensor) -> str:
    return packed(np.ascontiguousarray(tensor.float().numpy(), dtype="<f4").tobytes())
