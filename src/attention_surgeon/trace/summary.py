"""One line per tensor of a trace: its name, where it comes from, its shape and its range."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from attention_surgeon.ops import STEP_NAMES
from attention_surgeon.trace.trace import TENSOR_NAMES, AttentionTrace

_FORMULAS = {
    "query": "Q",
    "key": "K",
    "value": "V",
    "dot_product": "Q Kᵀ",
    "divide_by_root_key_size": "scores / √{key_size}",
    "leave_unscaled": "scores",
    "add_bias_and_hide": "hidden → -inf",
    "softmax_over_keys": "softmax",
    "weighted_sum": "weights V",
}


@final
@dataclass(frozen=True)
class StepSummary:
    """What one tensor of a trace looks like from outside.

    Attributes:
        name: Its name in the trace: "query", ..., "output".
        formula: How it was made, in a few characters; the function's name where a step was replaced.
        function: Name of the function that made it; None for query, key and value.
        shape: Its shape.
        lowest: Its smallest finite number; None if it has none.
        highest: Its largest finite number; None if it has none.
        num_hidden: How many entries are `-inf`.
        num_broken: How many entries are NaN or `+inf`.
    """

    name: str
    formula: str
    function: str | None
    shape: tuple[int, ...]
    lowest: float | None
    highest: float | None
    num_hidden: int
    num_broken: int


def summarise(trace: AttentionTrace) -> tuple[StepSummary, ...]:
    """Return the summaries of all eight tensors, in the order in which attention makes them.

    >>> import torch
    >>> from attention_surgeon.trace import record
    >>> x = torch.eye(2)
    >>> for step in summarise(record(x, x, x))[3:]:
    ...     print(f"{step.name} = {step.formula}: {step.lowest:.2f} to {step.highest:.2f}")
    scores = Q Kᵀ: 0.00 to 1.00
    scaled = scores / √2: 0.00 to 0.71
    masked = hidden → -inf: 0.00 to 0.71
    weights = softmax: 0.33 to 0.67
    output = weights V: 0.33 to 0.67
    """
    return tuple(_summary(trace, name) for name in TENSOR_NAMES)


def step_function(trace: AttentionTrace, name: str) -> str | None:
    """Return the name of the function that made the tensor `name`; None for query, key and value."""
    made_before_the_steps = len(TENSOR_NAMES) - len(STEP_NAMES)
    step = TENSOR_NAMES.index(name) - made_before_the_steps
    return trace.step_functions[step] if step >= 0 else None


def _summary(trace: AttentionTrace, name: str) -> StepSummary:
    tensor: Tensor = getattr(trace, name)
    function = step_function(trace, name)
    formula = _FORMULAS.get(function or name, function or name).format(key_size=trace.key_size)
    finite = tensor[tensor.isfinite()]
    hidden = int((tensor == float("-inf")).sum())
    return StepSummary(
        name=name,
        formula=formula,
        function=function,
        shape=tuple(tensor.shape),
        lowest=float(finite.min()) if finite.numel() else None,
        highest=float(finite.max()) if finite.numel() else None,
        num_hidden=hidden,
        num_broken=tensor.numel() - finite.numel() - hidden,
    )
