"""The door of every plot: weights that are weights, and as many tokens as rows and columns."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DTypeError, NonFiniteError, OptionError, ShapeError
from attention_surgeon.require import kind_of

Array: TypeAlias = np.ndarray
ArrayLike: TypeAlias = Tensor | np.ndarray

# Rounding may lift a weight above 1, by two units in the last place of bfloat16 at most.
_HIGHEST = 1 + 2 * torch.finfo(torch.bfloat16).eps


def checked_weights(
    weights: ArrayLike, caller: str, *, axes: tuple[str, ...], name: str = "attention_weights"
) -> Array:
    """Return attention weights as an array, after checking that they can be nothing else.

    Args:
        weights: `(n_q, n_k)` or `(num_heads, n_q, n_k)`; a tensor of any floating dtype and device, or an array.
        caller: Name that starts every message.
        axes: The names of the axes that are expected.
        name: What the caller calls the weights.

    Returns:
        An array of the same shape: float64 stays, everything else is float32.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, NonFiniteError, OptionError: as their texts say.
    """
    array = _floating_array(weights, caller, name)
    _check_shape(array.shape, caller, name, axes)
    _check_range(array, caller, name)
    return array


def checked_tokens(tokens: Sequence[str] | None, count: int, caller: str, *, name: str, axis: str) -> list[str]:
    """Return one token for each of `count` positions; the numbers of the positions where tokens is None.

    Raises:
        ArgumentTypeError: not a sequence of strings.
        ShapeError: more or fewer tokens than positions.
    """
    if tokens is None:
        return [str(position) for position in range(count)]
    if isinstance(tokens, str):
        raise ArgumentTypeError(
            f"{caller}: {name} is one string, expected a list of {count} strings; split it, e.g. {name}=text.split()."
        )
    if not isinstance(tokens, Sequence):
        raise ArgumentTypeError(f"{caller}: {name} is {kind_of(tokens)}, expected a list of strings; use list({name}).")
    for index, token in enumerate(tokens):
        if not isinstance(token, str):
            raise ArgumentTypeError(
                f"{caller}: {name}[{index}] is {token!r} ({type(token).__name__}), expected a string; "
                f"turn token ids into text with the tokenizer, or use [str(t) for t in {name}]."
            )
    if len(tokens) != count:
        raise ShapeError(
            f"{caller}: {len(tokens)} {name} for {count} {axis}; each needs exactly one. "
            f"Special tokens such as [CLS] count too."
        )
    return list(tokens)


def checked_axes(
    tokens: Sequence[str] | None,
    key_tokens: Sequence[str] | None,
    shape: tuple[int, ...],
    caller: str,
) -> tuple[list[str], list[str]]:
    """Return the tokens of the queries and of the keys: both are `tokens` without `key_tokens`, numbers without any.

    Raises:
        ArgumentTypeError, ShapeError: as `checked_tokens`; also where only `key_tokens` can name the columns.
    """
    n_q, n_k = shape[-2:]
    queries = checked_tokens(tokens, n_q, caller, name="tokens", axis="rows (queries)")
    if tokens is None or key_tokens is not None:
        return queries, checked_tokens(key_tokens, n_k, caller, name="key_tokens", axis="columns (keys)")
    if n_q != n_k:
        raise ShapeError(
            f"{caller}: {n_q} rows (queries) but {n_k} columns (keys), and tokens names only the queries; "
            f"name the keys with key_tokens=[...]."
        )
    return queries, queries


def checked_title(title: str | None, default: str, caller: str) -> str:
    """Return the title, or the default where there is none.

    Raises:
        ArgumentTypeError: the title is no string.
    """
    if title is None:
        return default
    if not isinstance(title, str):
        raise ArgumentTypeError(f"{caller}: title is {title!r} ({type(title).__name__}), expected a string.")
    return title


def checked_limit(max_weight: float | None, caller: str) -> float | None:
    """Return the weight at which the colours end, None for "as the weights need".

    Raises:
        ArgumentTypeError, OptionError: no number, or not above 0 and up to 1.
    """
    if max_weight is None:
        return None
    if not isinstance(max_weight, int | float) or isinstance(max_weight, bool):
        raise ArgumentTypeError(f"{caller}: max_weight is {max_weight!r}, expected a number above 0, up to 1, or None.")
    if not 0 < max_weight <= 1:
        raise OptionError(f"{caller}: max_weight is {max_weight}, expected a number above 0, up to 1.")
    return float(max_weight)


def _floating_array(weights: ArrayLike, caller: str, name: str) -> Array:
    if isinstance(weights, Tensor):
        if not weights.is_floating_point():
            raise _wrong_dtype(weights.dtype, caller, name)
        if weights.is_meta or weights.layout is not torch.strided:
            raise ArgumentTypeError(
                f"{caller}: {name} is a {'meta' if weights.is_meta else 'sparse'} tensor, expected one with all its "
                f"numbers; {'compute it on a real device' if weights.is_meta else f'use {name}.to_dense()'}."
            )
        wide = torch.float64 if weights.dtype == torch.float64 else torch.float32
        return weights.detach().to("cpu", wide).numpy()
    if isinstance(weights, np.ndarray):
        if weights.dtype.kind != "f":
            raise _wrong_dtype(weights.dtype, caller, name)
        return weights.astype(np.float64 if weights.dtype.itemsize >= 8 else np.float32)
    raise ArgumentTypeError(
        f"{caller}: {name} is {kind_of(weights)}, expected a torch.Tensor or a NumPy array; "
        f"wrap lists in torch.tensor(...)."
    )


def _wrong_dtype(dtype: object, caller: str, name: str) -> DTypeError:
    way_out = "a mask is drawn with plot_mask" if "bool" in str(dtype) else "weights are real numbers from 0 to 1"
    return DTypeError(f"{caller}: {name} has dtype {dtype}, expected a floating dtype; {way_out}.")


def _check_shape(shape: tuple[int, ...], caller: str, name: str, axes: tuple[str, ...]) -> None:
    if len(shape) != len(axes):
        raise ShapeError(
            f"{caller}: {name} has shape {shape}, expected ({', '.join(axes)}); {_way_out(len(shape), axes, name)}."
        )
    if 0 in shape:
        raise ShapeError(
            f"{caller}: {name} has shape {shape}: {axes[shape.index(0)]} is 0, so there is nothing to draw."
        )


def _check_range(array: Array, caller: str, name: str) -> None:
    lowest, highest = array.min(), array.max()
    if lowest >= 0 and highest <= _HIGHEST:
        return
    index = _first(~((array >= 0) & (array <= _HIGHEST)))  # NaN is outside every range
    given = f"{caller}: {name} holds {array[index]:.4g} at {index}, but weights lie between 0 and 1."
    if np.isnan(array[index]):
        raise NonFiniteError(f"{given} A row without keys gives NaN in many a softmax; ops.softmax gives zeros.")
    if np.isinf(array[index]):
        raise NonFiniteError(f"{given} These look like masked scores; apply ops.softmax(scores, dim=-1) first.")
    if array[index] < 0:
        raise OptionError(f"{given} These look like scores; apply ops.softmax(scores, dim=-1) first.")
    raise OptionError(
        f"{given} If these are scores, apply ops.softmax(scores, dim=-1) first; "
        f"if dropout enlarged them, take them in eval mode."
    )


def _way_out(given: int, axes: tuple[str, ...], name: str) -> str:
    if (given, len(axes)) == (3, 2):
        return f"choose one head, e.g. {name}[0], or draw all of them with plot_multihead_attention"
    if (given, len(axes)) == (2, 3):
        return f"one head is drawn with plot_attention_heatmap, or write {name}[None]"
    if given > len(axes):
        return f"choose one entry of each axis in front, e.g. {name}[{', '.join('0' * (given - len(axes)))}]"
    return f"one query needs an axis of its own: {name}[None, :]" if given == 1 else "rows are queries, columns keys"


def _first(where: Array) -> tuple[int, ...]:
    """Return the index of the first True."""
    return tuple(int(axis) for axis in np.unravel_index(int(where.argmax()), where.shape))
