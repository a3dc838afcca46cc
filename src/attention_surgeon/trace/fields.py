"""What stands in a record of one attention call, and what can be read off it: shapes, ranges, the strongest pair.

It stands below the record itself, so that the checks and the files, which the record offers, need not know it.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar, final

import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DTypeError, OptionError, ShapeError
from attention_surgeon.ops import STEP_NAMES
from attention_surgeon.require import kind_of

Kind = TypeVar("Kind", bound="TraceFields")
"""Of a trace: what is taken out of one is of the same kind."""

TENSOR_NAMES = ("query", "key", "value", "scores", "scaled", "masked", "weights", "output")
"""The eight tensors of a trace in the order in which attention makes them."""

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


class StrongestPair(NamedTuple):
    """The largest weight and where it is.

    Attributes:
        weight: The weight, as a Python float.
        place: Where it is along `trace.axes`; of several equal weights, the first.
        query_token: The token that gives.
        key_token: The token that receives.
        num_ties: How many *other* cells hold the same weight, to within four rounding steps of the dtype.
    """

    weight: float
    place: tuple[int, ...]
    query_token: str
    key_token: str
    num_ties: int


@dataclass(frozen=True, eq=False, repr=False)
class TraceFields:
    """What an `AttentionTrace` holds, with what can be told from it alone; what each field is stands there.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, OptionError: a field that does not fit the others.
    """

    query_tokens: tuple[str, ...]
    key_tokens: tuple[str, ...]
    axes: tuple[str, ...]
    query: Tensor
    key: Tensor
    value: Tensor
    scores: Tensor
    scaled: Tensor
    masked: Tensor
    weights: Tensor
    output: Tensor
    allowed: Tensor | None
    bias: Tensor | None
    step_functions: tuple[str, ...]
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse operands, tokens and axes that do not belong together."""
        _check_names(self)
        _check_tensors(self)
        _check_operand_shapes(self)
        _check_mask_fields(self)

    def __repr__(self) -> str:
        """Return one short line: the sizes, the dtype and the source."""
        sizes = [f"{name} {size}" for name, size in zip(self.axes, self.scores_shape, strict=True)]
        sizes += [f"d_k {self.key_size}", f"d_v {self.value.shape[-1]}", str(self.query.dtype).removeprefix("torch.")]
        if self.source:
            sizes.append(f"source={self.source!r}")
        return f"AttentionTrace({', '.join(sizes)})"

    @property
    def key_size(self) -> int:
        """d_k, the size of one query and of one key."""
        return self.query.shape[-1]

    @property
    def scores_shape(self) -> tuple[int, ...]:
        """`(*leading, n_q, n_k)` as the operands demand it, whatever the steps produced."""
        return (*self.query.shape[:-1], self.key.shape[-2])

    @property
    def num_heads(self) -> int | None:
        """The number of heads, or None where no axis is called "head"."""
        return self.scores_shape[self.axes.index("head")] if "head" in self.axes else None

    def expected_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape that the tensor `name` (one of `TENSOR_NAMES`) must have.

        Raises:
            OptionError: there is no such tensor.
        """
        if name not in TENSOR_NAMES:
            raise OptionError(f"expected_shape: a trace has no tensor {name!r}; it has {', '.join(TENSOR_NAMES)}.")
        if name in ("query", "key", "value"):
            return tuple(getattr(self, name).shape)
        return (*self.query.shape[:-1], self.value.shape[-1]) if name == "output" else self.scores_shape

    def steps(self) -> tuple[StepSummary, ...]:
        """Return name, formula, shape and range of each of the eight tensors, in the order they are made."""

        return summarise(self)

    def strongest_pair(self, *, skip_self: bool = False) -> StrongestPair | None:
        """Return the query and the key between which the weight is largest; None if no weight is above 0.

        Args:
            skip_self: Leave out the cells where query and key stand at the same position.
        """

        return find_strongest_pair(self, skip_self)

    def select(self: Kind, axis: str, index: int) -> Kind:
        """Return the trace at one place of a leading axis; that axis is gone from the result.

        Args:
            axis: Name of a leading axis: one of `axes` but the last two.
            index: From 0; negative counts from the end.

        Raises:
            OptionError: no such axis, or an index outside it.
            ArgumentTypeError: the index is no integer.
            ShapeError: a step produced a tensor of the wrong shape.
        """
        if axis not in self.axes[:-2]:
            leading = ", ".join(self.axes[:-2]) or "none"
            raise OptionError(f"select: the trace has no leading axis {axis!r}; leading axes: {leading}.")
        if not isinstance(index, int) or isinstance(index, bool):
            raise ArgumentTypeError(f"select: the {axis} is {index!r}, expected a whole number, counted from 0.")
        dim = self.axes.index(axis)
        size = self.scores_shape[dim]
        if not -size <= index < size:
            raise OptionError(f"select: the {axis} is {index}, but there are {size}: 0 to {size - 1}.")
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        for name in TENSOR_NAMES:
            if tuple(tensors[name].shape) != self.expected_shape(name):
                raise ShapeError(
                    f"select: {name} has shape {tuple(tensors[name].shape)}, expected {self.expected_shape(name)}; "
                    f"its {axis} cannot be told."
                )
        chosen = {name: tensor.select(dim, index).clone() for name, tensor in tensors.items()}
        return replace(self, axes=self.axes[:dim] + self.axes[dim + 1 :], **chosen)

    def head(self: Kind, index: int) -> Kind:
        """Return the trace of one head: `select("head", index)`."""
        return self.select("head", index)


def _check_names(trace: TraceFields) -> None:
    for name in ("query_tokens", "key_tokens", "axes", "step_functions"):
        given = getattr(trace, name)
        if not isinstance(given, tuple) or not all(isinstance(entry, str) for entry in given):
            raise ArgumentTypeError(f"AttentionTrace: {name} is {_short(given)}, expected a tuple of strings.")
    if trace.axes[-2:] != ("query", "key") or len(set(trace.axes)) != len(trace.axes):
        raise OptionError(
            f"AttentionTrace: axes is {trace.axes}, expected different names that end with 'query', 'key'."
        )
    if len(trace.step_functions) != len(STEP_NAMES):
        raise OptionError(
            f"AttentionTrace: step_functions has {len(trace.step_functions)} names, expected one for each of "
            f"{', '.join(STEP_NAMES)}."
        )
    if not isinstance(trace.source, str):
        raise ArgumentTypeError(f"AttentionTrace: source is {_short(trace.source)}, expected a string.")


def _check_tensors(trace: TraceFields) -> None:
    for name in TENSOR_NAMES:
        tensor = getattr(trace, name)
        if not isinstance(tensor, Tensor):
            raise ArgumentTypeError(f"AttentionTrace: {name} is {kind_of(tensor)}, expected a torch.Tensor.")
        if not tensor.is_floating_point():
            raise DTypeError(f"AttentionTrace: {name} has dtype {tensor.dtype}, expected a floating dtype.")


def _check_operand_shapes(trace: TraceFields) -> None:
    query, key, value = (tuple(getattr(trace, name).shape) for name in ("query", "key", "value"))
    fits = (
        len(query) == len(key) == len(value) == len(trace.axes)
        and query[:-2] == key[:-2] == value[:-2]
        and query[-1] == key[-1]
        and key[-2] == value[-2]
    )
    if not fits:
        raise ShapeError(
            f"AttentionTrace: query {query}, key {key} and value {value} do not fit the axes {trace.axes}; expected "
            f"(*leading, n_q, d_k), (*leading, n_k, d_k) and (*leading, n_k, d_v) with the same leading sizes."
        )
    for name, positions in (("query", query[-2]), ("key", key[-2])):
        tokens = getattr(trace, f"{name}_tokens")
        if len(tokens) != positions:
            raise ShapeError(
                f"AttentionTrace: {len(tokens)} {name}_tokens for {positions} {name} positions; "
                f"each position needs one token."
            )


def _check_mask_fields(trace: TraceFields) -> None:
    for name, kind in (("allowed", "boolean"), ("bias", "floating")):
        given = getattr(trace, name)
        if given is None:
            continue
        if not isinstance(given, Tensor):
            raise ArgumentTypeError(f"AttentionTrace: {name} is {kind_of(given)}, expected a tensor or None.")
        fits = given.dtype == torch.bool if kind == "boolean" else given.is_floating_point()
        if not fits:
            raise DTypeError(f"AttentionTrace: {name} has dtype {given.dtype}, expected a {kind} one.")
        if tuple(given.shape) != trace.scores_shape:
            raise ShapeError(
                f"AttentionTrace: {name} has shape {tuple(given.shape)}, expected {trace.scores_shape}, that of the "
                f"scores; expand it first."
            )


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."


def summarise(trace: TraceFields) -> tuple[StepSummary, ...]:
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


def step_function(trace: TraceFields, name: str) -> str | None:
    """Return the name of the function that made the tensor `name`; None for query, key and value."""
    made_before_the_steps = len(TENSOR_NAMES) - len(STEP_NAMES)
    step = TENSOR_NAMES.index(name) - made_before_the_steps
    return trace.step_functions[step] if step >= 0 else None


def _summary(trace: TraceFields, name: str) -> StepSummary:
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


def find_strongest_pair(trace: TraceFields, skip_self: bool = False) -> StrongestPair | None:
    """Return the strongest pair over all leading axes, or None if no weight is above 0 (or all are NaN).

    Args:
        trace: Its weights must have the shape that its axes say.
        skip_self: Leave out the cells where query and key stand at the same position.

    >>> from attention_surgeon.trace import record
    >>> Q, K = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.eye(2)
    >>> find_strongest_pair(record(Q, K, K, query_tokens=["a", "b"]))
    StrongestPair(weight=0.80..., place=(0, 0), query_token='a', key_token='a', num_ties=0)
    """
    if tuple(trace.weights.shape) != trace.scores_shape or trace.weights.numel() == 0:
        return None
    weights = trace.weights.masked_fill(~(trace.weights > 0), 0.0)  # NaN is not above 0 either
    if skip_self:
        same = torch.eye(*trace.scores_shape[-2:], dtype=torch.bool)
        weights = weights.masked_fill(same, 0.0)
    largest = weights.max()
    if largest == 0:
        return None
    as_good = weights >= largest - 4 * torch.finfo(weights.dtype).eps * largest
    place = tuple(as_good.nonzero()[0].tolist())
    return StrongestPair(
        weight=float(weights[place]),
        place=place,
        query_token=trace.query_tokens[place[-2]],
        key_token=trace.key_tokens[place[-1]],
        num_ties=int(as_good.sum()) - 1,
    )
