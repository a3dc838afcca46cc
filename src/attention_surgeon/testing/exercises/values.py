"""What an exercise returned, by name, and whether it is what was expected."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from attention_surgeon.testing.answer import Array, same_numbers, to_array

Values: TypeAlias = Mapping[str, Any]


def named_values(returned: Any, names: Sequence[str]) -> Values:
    """Return what was returned under its names: a dict as it is, a tuple in the order of `names`.

    Raises:
        TypeError: there are more or fewer values than names, in a sentence.

    >>> named_values((1, "cat"), ["weight", "token"])
    {'weight': 1, 'token': 'cat'}
    """
    if isinstance(returned, Mapping):
        missing = [name for name in names if name not in returned]
        if missing:
            raise TypeError(
                f"the dictionary has no {missing[0]!r}; it has {', '.join(map(str, returned)) or 'nothing'}"
            )
        return {name: returned[name] for name in names}
    if len(names) == 1:
        return {names[0]: returned}
    if not isinstance(returned, tuple | list) or len(returned) != len(names):
        count = f"{len(returned)} values" if isinstance(returned, tuple | list) else "one value"
        raise TypeError(f"{count} came back, expected {len(names)}: {', '.join(names)}")
    return dict(zip(names, returned, strict=True))


def same_value(given: Any, expected: Any) -> bool:
    """Whether a value is what was expected: numbers up to rounding, with their shape; text and lists exactly.

    >>> same_value(0.1 + 0.2, 0.3), same_value(["cat"], ("cat",)), same_value(1.0, "1")
    (True, True, False)
    """
    if given is expected:  # functions and text among the arguments
        return True
    if isinstance(expected, Mapping):
        is_like = isinstance(given, Mapping) and set(given) == set(expected)
        return is_like and all(same_value(given[key], expected[key]) for key in expected)
    if isinstance(expected, str | None):
        return given == expected
    if isinstance(expected, tuple | list):
        is_like = isinstance(given, tuple | list) and len(given) == len(expected)
        return is_like and all(map(same_value, given, expected))
    ours, theirs = as_numbers(given), as_numbers(expected)
    return ours is not None and theirs is not None and same_numbers(ours, theirs)


def as_numbers(value: Any) -> Array | None:
    """Return tensors, arrays, numbers and nested lists of them as an array; None for anything else."""
    if isinstance(value, Tensor):
        return to_array(value)
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list
        return None
    return array.astype(np.float64) if array.dtype.kind in "bifu" else None


def shown(value: Any) -> str:
    """Return a value as a sentence can hold it: short lists and texts as they are, arrays by their shape."""
    array = as_numbers(value)
    if array is None:
        text = repr(value)
        return text if len(text) < 80 else f"{text[:76]} ..."
    if array.ndim == 0:
        return f"{array:.4g}"
    return f"numbers of shape {array.shape}"
