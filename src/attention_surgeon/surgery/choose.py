"""Which layers and which heads: numbers, ranges and names, refused where there is no such layer or head."""

from collections.abc import Sequence
from typing import TypeAlias

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.require import kind_of
from attention_surgeon.surgery.layers import Layer

Choice: TypeAlias = int | str | Sequence[int] | None
"""Numbers from 0: `3`, `[2, 5]`, `"0-3,7"`; for layers also a stack, `"cross"` or `"decoder 0-1"`. None: all."""


def choose_layers(layers: Sequence[Layer], choice: Choice) -> tuple[Layer, ...]:
    """Return the layers that are meant; a number alone means that layer of every stack.

    Raises:
        ArgumentTypeError, OptionError: no choice; a number or a stack that the model does not have.
    """
    if choice is None:
        return tuple(layers)
    stacks = list(dict.fromkeys(layer.stack for layer in layers))
    numbers, named = choice, ""
    if isinstance(choice, str):
        named = next((stack for stack in stacks if stack and choice.strip().startswith(stack)), "")
        numbers = choice.strip()[len(named) :].strip(" :")
        if named and not numbers:
            return tuple(layer for layer in layers if layer.stack == named)
    wanted = read_numbers(numbers, "layers")
    candidates = [layer for layer in layers if not named or layer.stack == named]
    known = {layer.index for layer in candidates}
    missing = [number for number in wanted if number not in known]
    if missing:
        raise OptionError(f"layers: there is no layer {missing[0]}; this model has {_in_words(layers)}.")
    return tuple(layer for layer in candidates if layer.index in wanted)


def read_heads(choice: Choice) -> tuple[int, ...] | None:
    """Return the numbers of the heads that are meant, None for all.

    Raises:
        ArgumentTypeError, OptionError: no choice.
    """
    return None if choice is None else read_numbers(choice, "heads")


def check_heads(heads: tuple[int, ...] | None, num_heads: int, layer: str) -> tuple[int, ...]:
    """Return the heads, all of them for None.

    Raises:
        OptionError: a number that the layer does not have.
    """
    if heads is None:
        return tuple(range(num_heads))
    missing = [head for head in heads if head >= num_heads]
    if missing:
        raise OptionError(
            f"heads: there is no head {missing[0]} in layer {layer}; it has {num_heads} query heads, "
            f"0 to {num_heads - 1}."
        )
    return heads


def read_numbers(choice: object, what: str) -> tuple[int, ...]:
    """Return whole numbers from 0, each once and in order: from `3`, `[2, 5]` or `"0-3,7"`.

    Raises:
        ArgumentTypeError, OptionError: something else.

    >>> read_numbers("5,0-2", "heads")
    (0, 1, 2, 5)
    """
    if isinstance(choice, str):
        numbers = [number for part in choice.split(",") for number in _range(part.strip(), choice, what)]
    elif isinstance(choice, int) and not isinstance(choice, bool):
        numbers = [choice]
    elif isinstance(choice, Sequence):
        numbers = list(choice)
    else:
        raise ArgumentTypeError(f"{what} is {kind_of(choice)}, expected numbers from 0, such as [2, 5] or '0-3,7'.")
    wrong = [number for number in numbers if not isinstance(number, int) or isinstance(number, bool) or number < 0]
    if wrong or not numbers:
        found = repr(wrong[0]) if wrong else "nothing"
        raise OptionError(f"{what}: found {found}, expected numbers from 0, such as [2, 5] or '0-3,7'.")
    return tuple(sorted(set(numbers)))


def _range(part: str, whole: str, what: str) -> range:
    first, dash, last = part.partition("-")
    try:
        numbers = range(int(first), int(last if dash else first) + 1)
    except ValueError:
        numbers = range(0)
    if not numbers:
        raise OptionError(f"{what} is {whole!r}, expected numbers from 0, such as 2,5 or 0-3.")
    return numbers


def _in_words(layers: Sequence[Layer]) -> str:
    counts: dict[str, int] = {}
    for layer in layers:
        counts[layer.stack] = counts.get(layer.stack, 0) + 1
    return ", ".join(f"{stack} layers 0 to {count - 1}".strip() for stack, count in counts.items())
