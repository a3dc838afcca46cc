"""What a function says that it takes."""

import inspect
from collections.abc import Callable
from typing import Any


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Return the parameters of a function, or of a class's constructor, in order.

    Returns:
        None where Python cannot say, as for most of what is built in.

    >>> [parameter.name for parameter in parameters_of(lambda query, key: None)]
    ['query', 'key']
    >>> parameters_of(type) is None
    True
    """
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def names_of_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of what a function takes, in order; none where Python cannot say.

    >>> names_of_parameters(lambda query, key: None), names_of_parameters(type)
    (('query', 'key'), ())
    """
    return tuple(parameter.name for parameter in parameters_of(function) or ())
