"""A trace as a file: the tensors as safetensors, everything else as JSON in its header.

The header's metadata has one entry of ours, `attention_surgeon_trace`. Tokens are written as ASCII with escapes, so any
string survives, even one that is no valid Unicode. The same trace as text is one JSON object, complete with its
summaries and checks.

JSON knows no infinity, so a number that is not finite is written as the string "-inf", "inf" or "nan". A finite number
has as many digits as its dtype needs to come back bit for bit.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, FileAccessError, FileFormatError, SurgeonError
from attention_surgeon.files import file_access_error, keep_copy, read_text, write_file
from attention_surgeon.ops import STEP_NAMES
from attention_surgeon.require import kind_of
from attention_surgeon.trace.checks import run_checks
from attention_surgeon.trace.fields import TENSOR_NAMES, Kind, TraceFields

_METADATA_KEY = "attention_surgeon_trace"

_DIGITS = {torch.float64: 17, torch.float32: 9, torch.float16: 5, torch.bfloat16: 4}
"""Significant decimal digits from which a number of this dtype is recovered: 1 + ceil(bits * log10(2))."""

_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (*_DIGITS, torch.bool)}

FORMAT = "attention-surgeon trace"

VERSION = 1
"""Raised when a reader of the old version would misread a new file; a reader takes every version up to its own."""

OPTIONAL_TENSORS = ("allowed", "bias")


def save_trace(trace: TraceFields, path: str | Path) -> Path | None:
    """Write `trace` to `path`; see `AttentionTrace.save`."""
    path = _checked_path(path, "save")
    tensors = {name: getattr(trace, name).contiguous() for name in TENSOR_NAMES + OPTIONAL_TENSORS if _has(trace, name)}
    content = safetensors.torch.save(tensors, metadata={_METADATA_KEY: json.dumps(describe(trace))})
    kept = keep_copy(path)
    write_file(path, content)
    return kept


def read_trace(path: str | Path, make: Callable[..., Kind]) -> Kind:
    """Return what `make` makes of the fields in a file; see `load_trace`."""
    path = _checked_path(path, "load_trace")
    if path.is_dir():
        raise FileAccessError(f"cannot read {path}: it is a folder; give the name of a trace file.")
    try:
        with path.open("rb") as file:
            beginning = file.read(64)
        if _looks_like_json(beginning):
            return read_json(read_text(path), path, make)
    except OSError as error:
        raise file_access_error("read", path, error) from error
    return _load_safetensors(path, make)


def _load_safetensors(path: Path, make: Callable[..., Kind]) -> Kind:
    try:
        with safe_open(path, framework="pt") as file:
            described = _description((file.metadata() or {}).get(_METADATA_KEY), path)
            # Cloned, because what comes out of the file is a window on it: it would change when the file does.
            tensors: dict[str, Tensor] = {name: file.get_tensor(name).clone() for name in file.keys()}
    except SafetensorError as error:
        raise FileFormatError(f"{path} is not a trace, or it was cut short or damaged: {error}.") from None
    return rebuild(described, tensors, path, make)


def _description(text: str | None, path: Path) -> dict[str, Any]:
    if text is None:
        raise FileFormatError(f"{path} is a safetensors file but not a trace: it has no {_METADATA_KEY} entry.")
    try:
        described = json.loads(text)
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path} is a damaged trace: its description is not JSON ({error}).") from None
    check_description(described, path)
    return described


def _looks_like_json(beginning: bytes) -> bool:
    """Tell JSON from safetensors, which begins with its header's length in 8 bytes, the last ones 0."""
    return b"\0" not in beginning[:8] and beginning.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def _checked_path(path: str | Path, caller: str) -> Path:
    if not isinstance(path, str | Path):
        raise ArgumentTypeError(f"{caller}: path is {kind_of(path)}, expected a string or a pathlib.Path.")
    return Path(path)


def _has(trace: TraceFields, name: str) -> bool:
    return getattr(trace, name) is not None


def trace_to_json(trace: TraceFields) -> str:
    """Return the trace as JSON; `trace_from_json` and `load_trace` read it back.

    Keys: `format`, `version`, `source`, `query_tokens`, `key_tokens`, `axes`, `step_functions`; `tensors`, each with
    `dtype`, `shape` and nested `values`; and, for a reader without this package, `steps` (formula, shape, range),
    `checks`, `all_passed` and `strongest_pair`.
    """
    checks, strongest = run_checks(trace), trace.strongest_pair()
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


def read_json(text: str, path: str | Path, make: Callable[..., Kind]) -> Kind:
    """Return what `make` makes of the fields in `text`; see `trace_from_json`."""
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise FileFormatError(f"{path} is not a trace, or it was cut short: it is not valid JSON ({error}).") from None
    check_description(document, path)
    tensors = document.get("tensors")
    if not isinstance(tensors, dict):
        raise FileFormatError(f"{path} is a damaged trace: it does not say 'tensors'.")
    return rebuild(document, {name: _tensor(name, plain, path) for name, plain in tensors.items()}, path, make)


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


def describe(trace: TraceFields) -> dict[str, Any]:
    """Return format, version, tokens, axes, step functions and source as plain data."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "source": trace.source,
        "query_tokens": list(trace.query_tokens),
        "key_tokens": list(trace.key_tokens),
        "axes": list(trace.axes),
        "step_functions": dict(zip(STEP_NAMES, trace.step_functions, strict=True)),
    }


def check_description(described: Any, path: str | Path) -> None:
    """Refuse what is no description of a trace, or one of a newer version.

    Raises:
        FileFormatError: the text says which of the two.
    """
    if not isinstance(described, Mapping) or described.get("format") != FORMAT:
        raise FileFormatError(f'{path} is not a trace: it does not say "format": "{FORMAT}".')
    version = described.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileFormatError(f"{path} is not a trace: its version is {version!r}, expected a whole number from 1 on.")
    if version > VERSION:
        raise FileFormatError(
            f"{path} is a trace of format version {version}, this program reads up to {VERSION}; "
            f"update it with pip install --upgrade attention-surgeon."
        )


def rebuild(
    described: Mapping[str, Any], tensors: Mapping[str, Tensor], path: str | Path, make: Callable[..., Kind]
) -> Kind:
    """Put a trace together again.

    Raises:
        FileFormatError: something is missing or does not fit the rest.
    """
    missing = [name for name in TENSOR_NAMES if name not in tensors]
    if missing:
        raise FileFormatError(f"{path} is a damaged trace: it has no tensor {', '.join(missing)}.")
    try:
        return make(
            query_tokens=tuple(described["query_tokens"]),
            key_tokens=tuple(described["key_tokens"]),
            axes=tuple(described["axes"]),
            **{name: tensors[name] for name in TENSOR_NAMES},
            allowed=tensors.get("allowed"),
            bias=tensors.get("bias"),
            step_functions=tuple(described["step_functions"][step] for step in STEP_NAMES),
            source=described["source"],
        )
    except KeyError as error:
        raise FileFormatError(f"{path} is a damaged trace: it does not say {error.args[0]!r}.") from None
    except (SurgeonError, TypeError) as error:
        raise FileFormatError(f"{path} is a damaged trace: {error}") from None
