"""The record itself: what one attention call was given, what each of its five steps produced, and for which tokens."""

from pathlib import Path
from typing import final

from attention_surgeon.trace.checks import Check, run_checks
from attention_surgeon.trace.fields import TraceFields
from attention_surgeon.trace.storage import read_json, read_trace, save_trace, trace_to_json


@final
class AttentionTrace(TraceFields):
    """What attention did, once, in full: the language between what produces attention and what looks at it.

    Every tensor carries all leading axes (nothing is left to broadcast), has no gradient, and belongs to the record
    alone. `record` makes one from Q, K and V; a producer of another kind fills the fields itself. The operands are
    checked here; whether the *steps* are right is what `checks` answers, so that a broken attention can be recorded.

    Attributes:
        query_tokens: One name for each of the n_q query positions.
        key_tokens: One name for each of the n_k key positions.
        axes: Names of the axes of `weights`; the last two are "query" and "key", for example ("head", "query", "key").
        query: `(*leading, n_q, d_k)`.
        key: `(*leading, n_k, d_k)`.
        value: `(*leading, n_k, d_v)`.
        scores: `(*leading, n_q, n_k)`, as are `scaled`, `masked` and `weights`.
        scaled: The scores after the scale step.
        masked: The scaled scores after the mask step; a hidden cell is `-inf`.
        weights: What each query gives to each key.
        output: `(*leading, n_q, d_v)`.
        allowed: Boolean `(*leading, n_q, n_k)`, True = may attend. None: every query sees every key.
        bias: Floating `(*leading, n_q, n_k)`, added to the scaled scores by a floating mask. None: nothing was.
        step_functions: Names of the functions that ran as score, scale, mask, normalise and combine.
        source: Where this comes from, in words.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, OptionError: a field that does not fit the others.

    >>> import torch
    >>> from attention_surgeon.trace import record
    >>> x = torch.eye(2)
    >>> record(x, x, x, query_tokens=["a", "b"])
    AttentionTrace(query 2, key 2, d_k 2, d_v 2, float32)
    """

    def checks(self) -> tuple[Check, ...]:
        """Return every check of the record, each number computed again on its own in float64."""
        return run_checks(self)

    def save(self, path: str | Path) -> Path | None:
        """Write the trace to a file that `load_trace` reads back exactly, in the safetensors format.

        The file appears whole or not at all. A file that is already there is first copied to the first free name of
        `NAME.1.EXT`, `NAME.2.EXT`, ...; a link is followed.

        Returns:
            Path of that copy; None if there was no file.

        Raises:
            FileAccessError: a folder or a device in the way, a folder missing, no permission, a full disk.
            ArgumentTypeError: `path` is no path.
        """
        return save_trace(self, path)

    def to_json(self) -> str:
        """Return the trace, its summaries and its checks as one JSON object that `trace_from_json` reads back exactly.

        JSON has no infinity: a number that is not finite is written as the string "-inf", "inf" or "nan".
        """
        return trace_to_json(self)


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
    return read_trace(path, AttentionTrace)


def trace_from_json(text: str, path: str | Path = "the text") -> AttentionTrace:
    """Return the trace that `AttentionTrace.to_json` wrote.

    Args:
        text: The JSON.
        path: What the messages call it.

    Raises:
        FileFormatError: not JSON, not a trace, of a newer version, or damaged.

    >>> import torch
    >>> from attention_surgeon.trace import record
    >>> x = torch.tensor([[0.1]], dtype=torch.bfloat16)
    >>> trace_from_json(record(x, x, x).to_json()).query
    tensor([[0.1001]], dtype=torch.bfloat16)
    """
    return read_json(text, path, AttentionTrace)
