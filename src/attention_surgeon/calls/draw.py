"""Numbers for a plan: arguments by their form, parameters so that none of them is invisible.

A form says how a value is drawn: `tokens`, `none`, `keep:b1nm` (a mask under which all is seen), `cos:nd`, `arange:n`
and so on; `form_value` lists them.
"""

import copy
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from attention_surgeon.calls.argument import Argument, Sizes

_BASE = 10000.0  # of the frequencies of rotary tables
_BESIDE = 4  # sequences in a second axis: the rows of an alignment, the columns of a picture
_PARTS = {"quarter": 4, "half": 2}  # of a head that is rotated


def draw_arguments(arguments: Iterable[Argument], sizes: Sizes, library: str, seed: int) -> dict[str, Any]:
    """Return a value of each required argument; another seed gives other numbers."""
    values = {}
    for argument in arguments:
        if argument.required and argument.form != "default":
            source = np.random.default_rng([seed, zlib.crc32(argument.name.encode())])
            values[argument.name] = form_value(argument, sizes, library, source)
    return values


def form_value(argument: Argument, sizes: Sizes, library: str, source: np.random.Generator) -> Any:
    """Return one value, as the argument's form says.

    Raises:
        ValueError: there is no such form.
    """
    kind, _, rest = argument.form.partition(":")
    if kind == "tokens":
        return array(source.normal(size=shape_of(argument.axes, sizes, argument.width)).astype(np.float32), library)
    if kind == "ids":
        return array(source.integers(1, 4, size=shape_of(rest, sizes, 1)), library)
    if kind == "given":
        return copy.deepcopy(argument.value)
    if kind in _SINGLE:
        return _SINGLE[kind](sizes, rest)
    if kind in _ARRAYS:
        return _in_library(_ARRAYS[kind](sizes, rest, source), library)
    raise ValueError(f"there is no form {argument.form!r}")


def shape_of(axes: str, sizes: Sizes, width: int) -> tuple[int, ...]:
    """Return the shape that axes have: b, s, n, m, h, g (key heads), d, t and u (packed), y, x, 1."""
    rows, columns = rectangle(sizes.n_q)
    known = {
        "b": sizes.batch, "s": _BESIDE, "n": sizes.n_q, "m": sizes.n_k, "h": sizes.heads or 1,
        "g": sizes.kv_heads or sizes.heads or 1,
        "d": width, "t": sizes.batch * sizes.n_q, "u": sizes.batch * sizes.n_k, "y": rows, "x": columns, "1": 1,
        "f": sizes.batch * (sizes.heads or 1), "e": max(1, width // 2), "2": 2, "3": 3,
    }  # fmt: skip
    return tuple(known[letter] for letter in axes)


def rectangle(n: int) -> tuple[int, int]:
    """Return rows and columns of a picture of `n` points, as square as they can be.

    >>> rectangle(12), rectangle(7)
    ((3, 4), (1, 7))
    """
    rows = max(r for r in range(1, int(n**0.5) + 1) if n % r == 0)
    return rows, n // rows


def array(values: np.ndarray, library: str) -> Any:
    """Return the numbers as an array of the library."""
    if library == "torch":
        import torch

        return torch.from_numpy(np.ascontiguousarray(values).copy())
    return values.astype(np.float64) if values.dtype == np.float32 else values


def _in_library(value: Any, library: str) -> Any:
    if isinstance(value, dict):
        return {key: _in_library(part, library) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_in_library(part, library) for part in value)
    return array(value, library) if isinstance(value, np.ndarray) else value


def _number(sizes: Sizes, rest: str) -> Any:
    return {"head_size": sizes.head_size, "width": sizes.width or sizes.head_size, "heads": sizes.heads or 1,
            "n_q": sizes.n_q, "n_k": sizes.n_k, "rows": rectangle(sizes.n_q)[0], "columns": rectangle(sizes.n_q)[1],
            "rows_beside": rectangle(max(1, sizes.n_q - 1))[0], "columns_beside": rectangle(max(1, sizes.n_q - 1))[1],
            "batch": sizes.batch, "kv_heads": sizes.kv_heads or sizes.heads or 1,
            "scale": sizes.head_size**-0.5, "root": sizes.head_size**0.5}[rest]  # fmt: skip


def _literal(_: Sizes, rest: str) -> Any:
    return {"False": False, "True": True, "0": 0, "1": 1, "2": 2, "3": 3, "0.0": 0.0, "1.0": 1.0, "5.0": 5.0,
            "cpu": "cpu", "dict": {}, "list": [], "sides": (-1, -1)}[rest]  # fmt: skip


def _identity(*_: Any) -> Any:
    from torch import nn

    return nn.Dropout(0.0).eval()


_SINGLE: dict[str, Callable[[Sizes, str], Any]] = {
    "none": lambda *_: None,
    "number": _number,
    "literal": _literal,
    "dropout": _identity,
}


def _constant(number: float, dtype: Any) -> Callable[..., np.ndarray]:
    return lambda sizes, rest, _: np.full(shape_of(rest, sizes, sizes.head_size), number, dtype=dtype)


def _angles(sizes: Sizes, n: int, width: int) -> np.ndarray:
    frequencies = _BASE ** (-np.arange(0, width, 2) / width)
    return np.outer(np.arange(n), frequencies)


def _table(
    function: Callable[[np.ndarray], np.ndarray], *, is_doubled_by_repeat: bool = False
) -> Callable[..., np.ndarray]:
    def table(sizes: Sizes, rest: str, _: Any = None) -> np.ndarray:
        axes, _, turn = rest.partition("/")
        width = sizes.head_size // _PARTS.get(turn, 1)
        angles = _angles(sizes, sizes.n_q, width)
        if "d" in axes:
            is_pairs = turn == "pairs" or is_doubled_by_repeat
            angles = angles.repeat(2, 1) if is_pairs else np.concatenate([angles, angles], 1)
        numbers = function(angles).astype(np.complex64 if function is _turn else np.float32)
        return np.broadcast_to(_laid(numbers, axes), shape_of(axes, sizes, width)).copy()

    return table


def _laid(numbers: np.ndarray, axes: str) -> np.ndarray:
    """Lay a table (n, d) into more axes: `b1nd` puts it in the last and the second last."""
    places = [i for i, axis in enumerate(axes) if axis in "nde"]
    shape = [1] * len(axes)
    for place, size in zip(places, numbers.shape, strict=True):
        shape[place] = size
    return numbers.reshape(shape)


def _turn(angles: np.ndarray) -> np.ndarray:
    return np.exp(1j * angles)


def _pair(sizes: Sizes, rest: str, source: Any) -> tuple[np.ndarray, np.ndarray]:
    return _table(np.cos)(sizes, rest, source), _table(np.sin)(sizes, rest, source)


def _stacked(sizes: Sizes, rest: str, source: Any) -> np.ndarray:
    return np.stack(_pair(sizes, rest, source), -1)


def _matrix(sizes: Sizes, rest: str, source: Any) -> np.ndarray:
    """Return a table of matrices: cos and -sin over sin and cos, one for each pair of features."""
    cos, sin = _pair(sizes, rest, source)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _zeros(sizes: Sizes, rest: str, _: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return room for the keys and the values of a cache that are written into it."""
    shape = shape_of(rest, sizes, sizes.head_size)
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)


def _bounds(sizes: Sizes, rest: str, _: Any) -> np.ndarray:
    return (np.arange(sizes.batch + 1) * (sizes.n_k if rest == "k" else sizes.n_q)).astype(np.int32)


def _weight(sizes: Sizes, rest: str, source: np.random.Generator) -> Any:
    """Return a weight `rows,columns` in multiples of the width; with `dict`, as weight and bias together."""
    shape, _, kind = rest.partition("/")
    width = sizes.width or sizes.head_size
    rows_columns = tuple(int(part) * width for part in shape.split(","))
    weight = (source.normal(size=rows_columns) * width**-0.5).astype(np.float32)
    if kind != "dict":
        return weight
    return {"w": weight, "b": (0.3 * source.normal(size=rows_columns[-1])).astype(np.float32)}


def _arange(sizes: Sizes, rest: str, _: Any) -> np.ndarray:
    shape = shape_of(rest, sizes, sizes.head_size)
    return np.broadcast_to(np.arange(shape[-1]), shape).copy()


def _drawn(sizes: Sizes, rest: str, source: np.random.Generator) -> np.ndarray:
    return (0.5 * source.normal(size=shape_of(rest, sizes, sizes.head_size))).astype(np.float32)


_ARRAYS: dict[str, Callable[..., Any]] = {
    "keep": _constant(1.0, bool),
    "hide": _constant(0.0, bool),
    "add": _constant(0.0, np.float32),
    "one": _constant(1.0, np.float32),
    "count": lambda sizes, rest, _: np.full(shape_of(rest, sizes, 1), sizes.n_k, dtype=np.int64),
    "cos": _table(np.cos),
    "sin": _table(np.sin),
    "turn": _table(_turn),
    "angles": _table(lambda angles: angles),
    "cos_sin": _pair,
    "stacked": _stacked,
    "matrix": _matrix,
    "zeros": _zeros,
    "bounds": _bounds,
    "weight": _weight,
    "arange": _arange,
    "drawn": _drawn,
}


def draw_parameters(made: Any, seed: int, run: Callable[[], Any] | None) -> None:
    """Draw every floating parameter that learns: gains near 1 but not 1, biases and tables not 0; dropout off.

    One that does not learn is a constant (rotary frequencies) and stays, as buffers do; a frozen matrix of weights is
    none (low-rank adapters freeze it, and leave it unfilled).

    Args:
        made: A module, or an object that holds arrays.
        seed: Another seed gives other numbers.
        run: Calls it once, for layers that learn their sizes from their first input; None leaves these as they are.
    """
    from torch import nn

    if not isinstance(made, nn.Module):
        _draw_arrays(made, seed)
        return
    made.eval()
    if any(nn.parameter.is_lazy(parameter) for parameter in made.parameters()):
        import torch

        if run is None:
            return
        with torch.no_grad():
            run()
    for name, parameter in made.named_parameters():
        is_matrix = parameter.ndim == 2 and name.endswith("weight")
        if parameter.is_floating_point() and parameter.numel() and (parameter.requires_grad or is_matrix):
            source = np.random.default_rng([seed, zlib.crc32(name.encode())])
            _fill(parameter, source)


def _fill(parameter: Any, source: np.random.Generator) -> None:
    import torch

    old = parameter.detach().double().numpy()
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(_drawn_like(old, source)))  # one number is no array to NumPy


def _drawn_like(old: np.ndarray, source: np.random.Generator) -> np.ndarray:
    """Return other numbers for a parameter; what is one number everywhere but 0 is a gain and stays near it."""
    is_constant = bool(np.isfinite(old).all()) and bool((old == old.flat[0]).all())
    if is_constant and 1e-3 < abs(old.flat[0]) < 1e3:
        return old * source.uniform(0.7, 1.3, size=old.shape)
    spread = old.shape[-1] ** -0.5 if old.ndim > 1 else 0.3
    return source.normal(size=old.shape) * spread


def _draw_arrays(made: Any, seed: int) -> None:
    """Draw those arrays of a plain object that are all 0 or all 1: biases and gains."""
    for name, value in list(getattr(made, "__dict__", {}).items()):
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 1 and value.size:
            if (value == value[0]).all() and value[0] in (0.0, 1.0):
                source = np.random.default_rng([seed, zlib.crc32(name.encode())])
                setattr(made, name, _drawn_like(value, source).astype(value.dtype))


__all__ = ["array", "draw_arguments", "draw_parameters", "form_value", "rectangle", "shape_of"]
