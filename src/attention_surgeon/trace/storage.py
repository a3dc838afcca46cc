"""A trace as a file: the tensors as safetensors, everything else as JSON in its header.

The header's metadata has one entry of ours, `attention_surgeon_trace`. Tokens are written as ASCII with escapes, so any
string survives, even one that is no valid Unicode.
"""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, FileAccessError, FileFormatError
from attention_surgeon.files import file_access_error, keep_copy, read_text, write_file
from attention_surgeon.require import kind_of
from attention_surgeon.trace.as_json import trace_from_json
from attention_surgeon.trace.document import OPTIONAL_TENSORS, check_description, describe, rebuild
from attention_surgeon.trace.trace import TENSOR_NAMES, AttentionTrace

_METADATA_KEY = "attention_surgeon_trace"


def save_trace(trace: AttentionTrace, path: str | Path) -> Path | None:
    """Write `trace` to `path`; see `AttentionTrace.save`."""
    path = _checked_path(path, "save")
    tensors = {name: getattr(trace, name).contiguous() for name in TENSOR_NAMES + OPTIONAL_TENSORS if _has(trace, name)}
    content = safetensors.torch.save(tensors, metadata={_METADATA_KEY: json.dumps(describe(trace))})
    kept = keep_copy(path)
    write_file(path, content)
    return kept


def load_trace(path: str | Path) -> AttentionTrace:
    """Return the trace that `AttentionTrace.save` or `AttentionTrace.to_json` wrote, exactly.

    Args:
        path: A safetensors file of `save`, or a text file that holds the JSON of `to_json`.

    Raises:
        FileAccessError: no such file, a folder, no permission.
        FileFormatError: not a trace, cut short, or of a newer version.
        ArgumentTypeError: `path` is no path.

    >>> import tempfile, torch
    >>> from attention_surgeon.trace import record
    >>> x = torch.eye(2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = record(x, x, x, query_tokens=["a", "b"]).save(f"{folder}/ab.trace")
    ...     load_trace(f"{folder}/ab.trace")
    AttentionTrace(query 2, key 2, d_k 2, d_v 2, float32)
    """
    path = _checked_path(path, "load_trace")
    if path.is_dir():
        raise FileAccessError(f"cannot read {path}: it is a folder; give the name of a trace file.")
    try:
        with path.open("rb") as file:
            beginning = file.read(64)
        if _looks_like_json(beginning):
            return trace_from_json(read_text(path), path)
    except OSError as error:
        raise file_access_error("read", path, error) from error
    return _load_safetensors(path)


def _load_safetensors(path: Path) -> AttentionTrace:
    try:
        with safe_open(path, framework="pt") as file:
            described = _description((file.metadata() or {}).get(_METADATA_KEY), path)
            # Cloned, because what comes out of the file is a window on it: it would change when the file does.
            tensors: dict[str, Tensor] = {name: file.get_tensor(name).clone() for name in file.keys()}
    except SafetensorError as error:
        raise FileFormatError(f"{path} is not a trace, or it was cut short or damaged: {error}.") from None
    return rebuild(described, tensors, path)


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


def _has(trace: AttentionTrace, name: str) -> bool:
    return getattr(trace, name) is not None
