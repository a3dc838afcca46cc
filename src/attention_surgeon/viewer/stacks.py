"""Several stacks of layers in one page: those of an encoder-decoder, or of a model that reads a text and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from attention_surgeon.errors import OptionError
from attention_surgeon.viewer.read import is_capture, is_outputs, pair_of_attentions, read
from attention_surgeon.viewer.subject import Subject, with_tokens

Stacks: TypeAlias = Mapping[str, Subject]
"""Subjects by the name of their stack; one without a name where there is one stack."""

_WRITTEN = ("decoder", "cross")


def read_stacks(what: Any, axes: Sequence[str] | None, caller: str) -> Stacks:
    """Return what a page can show of `what`, stack by stack.

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, OptionError: as `read`.
    """
    parts = _parts(what)
    if len(parts) < 2:
        return {"": read(next(iter(parts.values()), what), axes, caller)}
    return {name: read(part, axes, f"{caller}: {name}") for name, part in parts.items()}


def _parts(what: Any) -> dict[str, Any]:
    """Return what each stack is made of; nothing where there is one."""
    if is_capture(what):
        stacks = getattr(what, "stacks", ())
        return {name: what.of_stack(name) for name in stacks} if len(stacks) > 1 else {}
    if is_outputs(what):
        return pair_of_attentions(what)
    if isinstance(what, Mapping) and what and all(_has_layers(part) for part in what.values()):
        return {str(name): part for name, part in what.items()}
    return {}


def _has_layers(part: Any) -> bool:
    return is_capture(part) or isinstance(part, Mapping | tuple | list)


def with_names(
    stacks: Stacks,
    tokens: Sequence[str] | None,
    key_tokens: Sequence[str] | None,
    key_value_heads: int | None,
    caller: str,
) -> Stacks:
    """Return the stacks with tokens that were given.

    Of an encoder-decoder `tokens` names what is written and `key_tokens` what is read: the encoder has the one, the
    decoder the other, and the crosses have both.

    Raises:
        ArgumentTypeError, ShapeError, OptionError: as `with_tokens`.
    """
    if len(stacks) == 1:
        return {name: with_tokens(one, tokens, key_tokens, key_value_heads, caller) for name, one in stacks.items()}
    named = {"encoder": (key_tokens, None), "decoder": (tokens, None), "cross": (tokens, key_tokens)}
    found = {}
    for name, subject in stacks.items():
        queries, keys = named.get(name, (None, None))
        if name == "cross" and (queries is None) != (keys is None):  # one side alone: the other keeps its own names
            queries, keys = queries or subject.query_tokens, keys or subject.key_tokens
            queries, keys = (None, None) if queries is None or keys is None else (queries, keys)
        found[name] = with_tokens(subject, queries, keys, key_value_heads, f"{caller}: {name}")
    return found


def with_prompt(stacks: Stacks, given: int, caller: str) -> Stacks:
    """Return the stacks with the number of tokens that were given to a model that wrote the others.

    Raises:
        OptionError: there are fewer queries.
    """
    found = {}
    for name, subject in stacks.items():
        if len(stacks) > 1 and name not in _WRITTEN:
            found[name] = subject
            continue
        if given > subject.sizes[0]:
            raise OptionError(f"{caller}: prompt_length is {given}, but there are {subject.sizes[0]} queries.")
        found[name] = replace(subject, prompt_length=given)
    return found


def shares(stacks: Stacks) -> dict[str, float]:
    """Return what part of a page's room each stack gets: as much as it has weights."""
    counts = {name: len(one.maps) * one.sizes[0] * one.sizes[1] for name, one in stacks.items()}
    return {name: count / sum(counts.values()) for name, count in counts.items()}
