"""A trace as one JSON object, complete with its summaries and checks, and back.

JSON knows no infinity, so a number that is not finite is written as the string "-inf", "inf" or "nan". A finite number
has as many digits as its dtype needs to come back bit for bit.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.errors import FileFormatError
from attention_surgeon.trace.document import OPTIONAL_TENSORS, check_description, describe, rebuild
from attention_surgeon.trace.trace import TENSOR_NAMES, AttentionTrace

_DIGITS = {torch.float64: 17, torch.float32: 9, torch.float16: 5, torch.bfloat16: 4}
"""Significant decimal digits from which a number of this dtype is recovered: 1 + ceil(bits * log10(2))."""

_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (*_DIGITS, torch.bool)}


def trace_to_json(trace: AttentionTrace) -> str:
    """Return the trace as JSON; `trace_from_json` and `load_trace` read it back.

    Keys: `format`, `version`, `source`, `query_tokens`, `key_tokens`, `axes`, `step_functions`; `tensors`, each with
    `dtype`, `shape` and nested `values`; and, for a reader without this package, `steps` (formula, shape, range),
    `checks`, `all_passed` and `strongest_pair`.
    """
    checks, strongest = trace.checks(), trace.strongest_pair()
    document = describe(trace) | {
        "steps": [asdict(step) for step in trace.steps()],
        "checks": [asdict(check) for check in checks],
        "all_passed": all(check.passed for check in checks),
        "strongest_pair": None if strongest is None else strongest._asdict(),
        "tensors": {
            name: _plain(getattr(trace, name))
            for name in TENSOR_NAMES + OPTIONAL_TENSORS
            if getattr(trace, name) is not None
        },
    }
    return json.dumps(document, allow_nan=False)


def trace_from_json(text: str, path: str | Path = "the text") -> AttentionTrace:
    """Return the trace that `trace_to_json` wrote.

    Args:
        text: The JSON.
        path: What the messages call it.

    Raises:
        FileFormatError: not JSON, not a trace, of a newer version, or damaged.

    >>> from attention_surgeon.trace import record
    >>> x = torch.tensor([[0.1]], dtype=torch.bfloat16)
    >>> trace_from_json(record(x, x, x).to_json()).query
    tensor([[0.1001]], dtype=torch.bfloat16)
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise FileFormatError(f"{path} is not a trace, or it was cut short: it is not valid JSON ({error}).") from None
    check_description(document, path)
    tensors = document.get("tensors")
    if not isinstance(tensors, dict):
        raise FileFormatError(f"{path} is a damaged trace: it does not say 'tensors'.")
    return rebuild(document, {name: _tensor(name, plain, path) for name, plain in tensors.items()}, path)


def _plain(tensor: Tensor) -> dict[str, Any]:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.dtype == torch.bool:
        values = tensor.tolist()
    else:
        values = _nest([_number(x, _DIGITS[tensor.dtype]) for x in tensor.double().flatten().tolist()], tensor.shape)
    return {"dtype": dtype, "shape": list(tensor.shape), "values": values}


def _number(x: float, digits: int) -> float | str:
    return float(f"{x:.{digits}g}") if math.isfinite(x) else str(x)


def _nest(flat: list[Any], shape: torch.Size) -> list[Any]:
    """Put a flat list into the nesting of `shape`."""
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)] if size else []
    return flat


def _tensor(name: str, plain: Any, path: str | Path) -> Tensor:
    try:
        dtype = _DTYPES[plain["dtype"]]
        flat = [float(value) for value in _flatten(plain["values"])]
        return torch.tensor(flat, dtype=torch.float64).to(dtype).reshape(plain["shape"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{path} is a damaged trace: tensor {name} cannot be read ({error!r}).") from None


def _flatten(values: Any) -> list[Any]:
    while values and isinstance(values[0], list):
        values = [value for row in values for value in row]
    return values
