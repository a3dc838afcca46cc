"""From Q, K and V to a trace: run the five steps and keep what each of them produced."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError, ShapeError
from attention_surgeon.ops import STEP_NAMES, MaskLike, Mechanism, check_operands
from attention_surgeon.require import broadcast_shape, kind_of
from attention_surgeon.trace.trace import AttentionTrace

_USUAL_AXES = ("batch", "head")


def record(
    Q: Float[Tensor, "*_batch q d"],
    K: Float[Tensor, "*_batch k d"],
    V: Float[Tensor, "*_batch k v"],
    mask: MaskLike | None = None,
    *,
    mechanism: Mechanism = Mechanism(),  # noqa: B008  a frozen value, safe to share
    query_tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    leading_axes: Sequence[str] | None = None,
    source: str = "",
) -> AttentionTrace:
    """Run attention and return everything it did.

    Args:
        Q: Query `(*leading, n_q, d_k)`, any floating dtype.
        K: Key `(*leading, n_k, d_k)`.
        V: Value `(*leading, n_k, d_v)`.
        mask: As for `ops.attention`.
        mechanism: The five steps to run; replace one to record what a mistake does.
        query_tokens: One name per query. None: the key's names if n_q = n_k and they are given, else numbers from 0.
        key_tokens: One name per key. None: the query's names if n_q = n_k and they are given, else numbers from 0.
        leading_axes: Names of the axes before the last two. None: ("head",) for one, ("batch", "head") for two,
            and "axis0", "axis1", ... before these.
        source: Where this comes from, in words.

    Returns:
        A trace on the CPU, every tensor a copy in the dtype of Q and without gradient. Each step ran in the working
        precision (`ops.working_dtype`) and was rounded once, for the record.

    Raises:
        ShapeError, DTypeError, DeviceError, MaskError: as `ops.check_operands`.
        ArgumentTypeError: tokens that are not strings, no mechanism, or a step that returned no tensor.
        ShapeError, OptionError: as many names as there are positions and axes are needed.

    >>> import torch
    >>> Q, K = torch.tensor([[1.0, 0.0]]), torch.eye(2)
    >>> trace = record(Q, K, torch.tensor([[10.0], [0.0]]), query_tokens=["me"], key_tokens=["you", "them"])
    >>> trace.weights
    tensor([[0.6698, 0.3302]])
    >>> all(check.passed for check in trace.checks())
    True
    """
    if not isinstance(mechanism, Mechanism):
        raise ArgumentTypeError(
            f"record: mechanism is {kind_of(mechanism)}, expected an ops.Mechanism; "
            f"replace a step with Mechanism().replace(scale=...)."
        )
    operands = check_operands(Q, K, V, mask, caller="record")
    steps = mechanism.steps(operands)
    for name, made in zip(STEP_NAMES, steps, strict=True):
        if not isinstance(made, Tensor):
            raise ArgumentTypeError(
                f"record: the {name} step, {mechanism.step_names()[name]}, returned {kind_of(made)}, "
                f"expected a tensor; does it lack a return?"
            )
    leading = broadcast_shape(Q.shape[:-2], K.shape[:-2], V.shape[:-2]) or ()
    scores_shape = (*leading, Q.shape[-2], K.shape[-2])
    query_names, key_names = _tokens(query_tokens, key_tokens, *scores_shape[-2:])
    return AttentionTrace(
        query_tokens=query_names,
        key_tokens=key_names,
        axes=(*_leading_names(leading_axes, len(leading)), "query", "key"),
        query=_copy(Q.expand(*leading, *Q.shape[-2:])),
        key=_copy(K.expand(*leading, *K.shape[-2:])),
        value=_copy(V.expand(*leading, *V.shape[-2:])),
        **{field: _copy(_spread(made, leading)).to(Q.dtype) for field, made in steps._asdict().items()},
        allowed=None if operands.allowed is None else _copy(operands.allowed.expand(scores_shape)),
        bias=None if operands.bias is None else _copy(operands.bias.expand(scores_shape)).to(Q.dtype),
        step_functions=tuple(mechanism.step_names().values()),
        source=source,
    )


def _spread(made: Tensor, leading: tuple[int, ...]) -> Tensor:
    """Give what a step produced all leading axes: the scores know nothing of a batch that only V has.

    What does not fit is left as it is, for `checks` to find.
    """
    own = made.shape[:-2]
    fits = len(own) <= len(leading) and all(a in (1, b) for a, b in zip(own[::-1], leading[::-1], strict=False))
    return made.expand(*leading, *made.shape[-2:]) if fits and made.ndim >= 2 else made


def _copy(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU, where looking happens, so that a trace holds no accelerator memory."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _tokens(
    query_tokens: Sequence[str] | None, key_tokens: Sequence[str] | None, n_q: int, n_k: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if n_q == n_k:
        query_tokens = key_tokens if query_tokens is None else query_tokens
        key_tokens = query_tokens if key_tokens is None else key_tokens
    return _names("query_tokens", query_tokens, n_q), _names("key_tokens", key_tokens, n_k)


def _names(argument: str, tokens: Sequence[str] | None, positions: int) -> tuple[str, ...]:
    if tokens is None:
        return tuple(str(position) for position in range(positions))
    is_list = isinstance(tokens, Sequence) and not isinstance(tokens, str)
    if not is_list or not all(isinstance(token, str) for token in tokens):
        raise ArgumentTypeError(
            f"record: {argument} is {tokens!r}, expected a list with one string for each of the {positions} positions; "
            f"cut a text with models.tokenize(text)."
        )
    if len(tokens) != positions:
        raise ShapeError(
            f"record: {argument} has {len(tokens)} entries, but there are {positions} positions; each needs one token."
        )
    return tuple(tokens)


def _leading_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if names is None:
        unnamed = tuple(f"axis{axis}" for axis in range(count - len(_USUAL_AXES)))
        return unnamed + _USUAL_AXES[max(len(_USUAL_AXES) - count, 0) :]
    if isinstance(names, str) or len(names) != count:
        raise OptionError(
            f"record: leading_axes is {names!r}, but {count} axes stand before the last two; name each of them."
        )
    return tuple(names)
