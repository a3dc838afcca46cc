"""Changing the settings of an experiment by name, with a check that each value is of the kind that it should be."""

import dataclasses
import difflib
import reprlib
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from attention_surgeon.errors import ArgumentTypeError, OptionError, SurgeonError

_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", NoneType: "None"}
_SEVERAL = {int: "whole numbers", float: "numbers", bool: "switches", str: "texts"}


def change_settings(config: Any, changes: Mapping[str, Any], owner: str) -> Any:
    """Return settings with some of them changed; the others stay.

    Args:
        config: A frozen dataclass.
        changes: Values by name; `language.num_steps` reaches into a group of settings. One value where several are
            expected counts as a list of one.
        owner: Whose settings these are, for messages.

    Raises:
        OptionError: a setting that there is not, or a value out of its range.
        ArgumentTypeError: a value of another kind.

    >>> from attention_surgeon.experiments import ScalingConfig
    >>> change_settings(ScalingConfig(), {"d_k_values": 16}, "scaling").d_k_values
    (16,)
    """
    for name in changes:
        require_setting(config, name, owner)
    groups = dict.fromkeys(name.partition(".")[0] for name in changes if "." in name)
    values = {name: value for name, value in changes.items() if "." not in name}
    for group in groups:
        inner = {name.partition(".")[2]: value for name, value in changes.items() if name.startswith(f"{group}.")}
        values[group] = change_settings(values.get(group, getattr(config, group)), inner, f"{owner}'s {group}")
    kinds = get_type_hints(type(config))
    values = {name: _listed(value, kinds[name]) for name, value in values.items()}
    try:
        changed = dataclasses.replace(config, **values)
    except SurgeonError:
        raise
    except (TypeError, ValueError):  # the settings compared a text with a number, or the like
        _require_kinds(values, kinds, owner)
        raise
    _require_kinds(values, kinds, owner)
    return changed


def require_setting(config: Any, name: str, owner: str) -> None:
    """Refuse the name of a setting that there is not.

    Raises:
        OptionError: with the names of those there are.
    """
    group, dot, _ = name.partition(".")
    known = [setting.name for setting in dataclasses.fields(config)]
    if group not in known:
        raise OptionError(f"{owner} has no setting {group!r}; it has {', '.join(known)}.{suggestion(group, known)}")
    if dot and not dataclasses.is_dataclass(getattr(config, group)):
        raise OptionError(f"{owner} has no setting {name!r}: {group} is no group of settings.")


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return ` Did you mean ...?` where something known is near to what was given, else nothing.

    >>> suggestion("maskin", ["masking", "scaling"])
    ' Did you mean masking?'
    """
    near = difflib.get_close_matches(given, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _listed(value: Any, kind: Any) -> Any:
    """Return a list as a tuple, and one value as a tuple of one where several are expected."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if get_origin(kind) is tuple and not isinstance(value, tuple) else value


def _require_kinds(values: Mapping[str, Any], kinds: Mapping[str, Any], owner: str) -> None:
    for name, value in values.items():
        if not _is_of(value, kinds[name]):
            raise ArgumentTypeError(f"{owner}: {name} is {reprlib.repr(value)}, expected {_in_words(kinds[name])}.")


def _is_of(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_is_of(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is_of(one, get_args(kind)[0]) for one in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _in_words(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_in_words(one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return f"several {_SEVERAL.get(get_args(kind)[0], 'values')}"
    return _WORDS.get(kind, f"a {getattr(kind, '__name__', kind)}")
