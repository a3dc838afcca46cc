"""From attention to a page: `view` for one, `compare` for before and after."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attention_surgeon.errors import ArgumentTypeError, OptionError, ShapeError
from attention_surgeon.require import kind_of, require_count
from attention_surgeon.viewer.document import document_of
from attention_surgeon.viewer.page import Page
from attention_surgeon.viewer.read import read
from attention_surgeon.viewer.seen import SeenPicture, seen_picture, with_picture
from attention_surgeon.viewer.stacks import Stacks, read_stacks, shares, with_names, with_prompt
from attention_surgeon.viewer.subject import Subject, name_of, with_tokens

_PROGRAM = 130_000
"""Bytes set aside for the program, the style and the numbers of a page."""
_PER_MAP = 500
_LEAST_MEGABYTES = 0.2


def view(
    what: Any,
    *,
    tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    title: str | None = None,
    key_value_heads: int | None = None,
    prompt_length: int | None = None,
    picture: np.ndarray | None = None,
    patches: tuple[int, int] | None = None,
    in_full: Sequence[Sequence[int | str]] = (),
    max_megabytes: int | float = 5.0,
) -> Page:
    """Return one self-contained page that shows attention: as a map, as a wall of heads, as lines, steps and numbers.

    Nothing is left out in silence: the page keeps to its size by holding weights less finely, and says how finely.

    Args:
        what: One of

            - an `AttentionTrace`, or a list or dictionary of them, one for each layer;
            - weights as a `torch.Tensor` or NumPy array of any floating dtype: `(n_q, n_k)`, `(heads, n_q, n_k)`,
              `(batch, heads, n_q, n_k)` or `(layers, batch, heads, n_q, n_k)`, or a list of these, one for each layer;
            - what a model of transformers returned, with its `attentions`, from `generate(...)` too;
            - what `surgery.capture` returned;
            - a `stats.PooledMap`, of which only the cells are known, or a `stats.AttentionScan`, a map with statistics;
            - a dictionary of stacks, such as `{"encoder": ..., "cross": ...}`, of layers each; the page has a list to
              choose from. A capture or the outputs of an encoder-decoder are that by themselves.
        tokens: One string for each query; for the keys too, where there are as many. Of an encoder-decoder: what is
            written.
        key_tokens: One string for each key. Of an encoder-decoder: what is read.
        axes: Names of the axes before queries and keys, where they are not the usual ones: `("layer", "head")`.
        title: Stands above everything; None: the beginning of the text.
        key_value_heads: How many heads of keys and values the heads share; found by itself in a trace.
        prompt_length: How many of the tokens were given to a model that wrote the others: the text then has a slider
            over its steps. Found by itself in what `generate` returned.
        picture: What a vision model read, `(height, width, 3)`, as `surgery.read_picture` gives it: the page then draws
            the weights over it. Its patches stand last among the positions.
        patches: How many rows and columns of patches the picture was cut into.
        in_full: Places, such as `[(0, 3)]` for layer 0, head 3, that are held weight by weight in 255 steps, whatever
            the others lose.
        max_megabytes: The size that the page keeps to, in 10⁶ bytes.

    Returns:
        A page: shown by a notebook, written by `save`.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, NonFiniteError, OptionError: nothing that could be shown, or options
            that do not fit it; the text says which and the way out.

    >>> import torch
    >>> page = view(torch.eye(2), tokens=["cat", "sat"])
    >>> page.title
    'cat sat'
    """
    stacks = with_names(read_stacks(what, axes, "view"), tokens, key_tokens, key_value_heads, "view")
    if prompt_length is not None:
        require_count(prompt_length, "prompt_length", "view")
        stacks = with_prompt(stacks, prompt_length, "view")
    if (seen := seen_picture(picture, patches, "view")) is not None:
        stacks = _over_picture(stacks, seen)
    subjects = list(stacks.values())
    room, parts = _room(subjects, max_megabytes, "view"), shares(stacks)
    words, full = _title(title, subjects[0], "view"), _in_full(stacks, in_full, "view")
    documents = [
        document_of([subject], words, [""], full[name], parts[name] * room, "view") | {"stack": name}
        for name, subject in stacks.items()
    ]
    return Page(documents[0] | {"others": documents[1:]}, subjects)


def compare(
    before: Any,
    after: Any,
    *,
    tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    title: str | None = None,
    labels: tuple[str, str] = ("before", "after"),
    key_value_heads: int | None = None,
    max_megabytes: int | float = 5.0,
) -> Page:
    """Return a page with two sets of maps of one text side by side: before, after, and the signed difference.

    Args:
        before: As for `view`.
        after: Of the same axes and sizes as `before`.
        tokens: As for `view`, as are `key_tokens`, `axes`, `title`, `key_value_heads` and `max_megabytes`.
        key_tokens: See `tokens`.
        axes: See `tokens`.
        title: See `tokens`.
        labels: What the two are called.
        key_value_heads: See `tokens`.
        max_megabytes: See `tokens`.

    Returns:
        A page that opens with the comparison; the other views show either side.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, NonFiniteError, OptionError: as `view`; or two that cannot be laid
            over each other.

    >>> import torch
    >>> page = compare(torch.eye(2), torch.full((2, 2), 0.5), tokens=["cat", "sat"])
    >>> page.document["comparison"]["rows"][0][:2]
    [0.7071068, 0.5]
    """
    options = (tokens, key_tokens, key_value_heads, "compare")
    sides = [with_tokens(read(what, axes, "compare"), *options) for what in (before, after)]
    _check_alike(*sides)
    if len(labels) != 2 or not all(isinstance(label, str) for label in labels):
        raise OptionError(f"compare: labels is {labels!r}, expected two strings such as ('before', 'after').")
    room = _room(sides, max_megabytes, "compare")
    return Page(document_of(sides, _title(title, sides[0], "compare"), labels, frozenset(), room, "compare"), sides)


def _over_picture(stacks: Stacks, seen: SeenPicture) -> Stacks:
    """Return the stacks, those that read the picture with it.

    Raises:
        ShapeError: none has as many positions as there are patches.
    """
    found = {name: with_picture(subject, seen) for name, subject in stacks.items()}
    if all(subject.picture is None for subject in found.values()):
        n_q, n_k = next(iter(stacks.values())).sizes
        raise ShapeError(
            f"view: patches is {(seen.rows, seen.columns)}, which are {seen.rows * seen.columns} positions, but there "
            f"are {n_q} queries and {n_k} keys."
        )
    return found


def _in_full(stacks: Stacks, in_full: Sequence[Sequence[int | str]], caller: str) -> dict[str, frozenset[int]]:
    """Return for each stack the numbers of the maps at the places of `in_full`.

    Raises:
        OptionError: there is no map at one of them in any stack.
    """
    found: dict[str, set[int]] = {name: set() for name in stacks}
    for wanted in in_full:
        place = tuple(str(at) for at in wanted) if isinstance(wanted, Sequence) else (str(wanted),)
        where = [(name, subject.places.index(place)) for name, subject in stacks.items() if place in subject.places]
        if not where:
            subject = next(iter(stacks.values()))
            first, last = (name_of(subject.axes, subject.places[end]) for end in (0, -1))
            raise OptionError(f"{caller}: in_full names {wanted!r}, but the maps are {first} to {last}.")
        for name, number in where:
            found[name].add(number)
    return {name: frozenset(numbers) for name, numbers in found.items()}


def _room(subjects: Sequence[Subject], max_megabytes: int | float, caller: str) -> float:
    """Return how many bytes the maps may take."""
    if isinstance(max_megabytes, bool) or not isinstance(max_megabytes, int | float):
        raise ArgumentTypeError(f"{caller}: max_megabytes is {kind_of(max_megabytes)}, expected a number.")
    if not max_megabytes >= _LEAST_MEGABYTES:
        raise OptionError(
            f"{caller}: max_megabytes is {max_megabytes}, expected at least {_LEAST_MEGABYTES}: the program takes "
            f"{_PROGRAM / 1e6} of it."
        )
    taken = 0
    for subject in subjects:
        taken += sum(len(token.encode("utf-8", "surrogatepass")) + 8 for token in subject.all_tokens)
        taken += _PER_MAP * len(subject.maps) + (0 if subject.picture is None else len(subject.picture["image"]))
    return max_megabytes * 1e6 - _PROGRAM - taken


def _check_alike(before: Subject, after: Subject) -> None:
    if (before.axes, before.places, before.sizes) != (after.axes, after.places, after.sizes):
        raise ShapeError(
            f"compare: before has {_words(before)}, after {_words(after)}; a comparison lays map over map, so they "
            f"must be the same."
        )
    for side in ("query_tokens", "key_tokens"):
        ours, theirs = (list(getattr(subject, side) or ()) for subject in (before, after))
        other = next((place for place, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
        if other is not None:
            raise OptionError(
                f"compare: before and after are of different tokens, at position {other} {ours[other]!r} and "
                f"{theirs[other]!r}; one page compares one text. Of padded runs, surgery.capture_batch keeps what is "
                f"no padding; with tokens=[...] you name the positions yourself."
            )
    if before.is_pooled != after.is_pooled:
        raise OptionError("compare: one of before and after is pooled, the other is not; pool both with pool_weights.")


def _words(subject: Subject) -> str:
    maps = f"{len(subject.maps)} map{'s' if len(subject.maps) > 1 else ''}"
    return f"{maps} of {subject.sizes[0]} queries and {subject.sizes[1]} keys"


def _running(tokens: Sequence[str]) -> str:
    """Return tokens as a text: without spaces between where they bring their own, sub-words put together.

    >>> _running(["the", " ferry", "man"]), _running(["un", "##lit", "room"])
    ('the ferryman', 'unlit room')
    """
    if any(token.startswith(" ") for token in tokens):
        return "".join(tokens)
    return " ".join(tokens).replace(" ##", "")


def _title(title: str | None, subject: Subject, caller: str) -> str:
    if title is None:
        words = _running(subject.query_tokens or ())
        return (f"{words[:69]}…" if len(words) > 70 else words).strip() or "Attention"
    if not isinstance(title, str):
        raise ArgumentTypeError(f"{caller}: title is {kind_of(title)}, expected a string.")
    return title
