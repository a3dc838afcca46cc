"""What a trace is apart from its tensors, as plain data: the part that both file formats share, and its checks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from attention_surgeon.errors import FileFormatError, SurgeonError
from attention_surgeon.ops import STEP_NAMES
from attention_surgeon.trace.trace import TENSOR_NAMES, AttentionTrace

FORMAT = "attention-surgeon trace"
VERSION = 1
"""Raised when a reader of the old version would misread a new file; a reader takes every version up to its own."""

OPTIONAL_TENSORS = ("allowed", "bias")


def describe(trace: AttentionTrace) -> dict[str, Any]:
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


def rebuild(described: Mapping[str, Any], tensors: Mapping[str, Tensor], path: str | Path) -> AttentionTrace:
    """Put a trace together again.

    Raises:
        FileFormatError: something is missing or does not fit the rest.
    """
    missing = [name for name in TENSOR_NAMES if name not in tensors]
    if missing:
        raise FileFormatError(f"{path} is a damaged trace: it has no tensor {', '.join(missing)}.")
    try:
        return AttentionTrace(
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
