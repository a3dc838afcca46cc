"""Configurations that a constructor reads: which fields they have, and one like the author's with other values."""

import copy
import dataclasses
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Any

from attention_surgeon.calls.habits import habits
from attention_surgeon.calls.names import size_of

EMPTY = inspect.Parameter.empty
"""What stands for no value, as in signatures."""


def joined(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of both; those that are fields of a part themselves are joined, too."""
    parts = {
        name: joined(one[name], field)
        for name, field in two.items()
        if isinstance(field, dict) and isinstance(one.get(name), dict)
    }
    return {**one, **two, **parts}


def leaves(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of fields that are no part of their own, of every part."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield name


def field_of(base: Any, name: str) -> Any:
    """Return a field of a configuration, `EMPTY` where it has none."""
    if isinstance(base, Mapping) and (type(base) is dict or name in base):
        return base.get(name, EMPTY)
    return EMPTY if base is EMPTY or base is None else getattr(base, name, EMPTY)


def instance_of(kind: Any) -> Any:
    """Return an object of a configuration's class, or the class itself where it needs arguments."""
    try:
        return kind()
    except Exception:  # noqa: BLE001  somebody else's code may raise anything
        return kind if inspect.isclass(kind) else EMPTY


def known_fields(name: str, value: Any) -> Mapping[str, Any]:
    """Return the fields of something in the file that looks like a configuration."""
    if name.startswith("__") or inspect.ismodule(value):
        return {}
    if isinstance(value, dict):
        return value
    if inspect.isclass(value):
        if not any(word in name.lower() for word in ("conf", "cfg", "arg", "param")):
            return {}
        own = getattr(value, "__annotations__", {}) | {k: v for k, v in vars(value).items() if not k.startswith("__")}
        return own or vars(instance_of(value)) if hasattr(instance_of(value), "__dict__") else own
    if inspect.isfunction(value):
        is_config = any(word in name.lower() for word in ("config", "cfg", "args", "hparams", "parameters"))
        made = instance_of(value) if is_config and not _required(value) else EMPTY
        return made if isinstance(made, dict) else getattr(made, "__dict__", {})
    return getattr(value, "__dict__", {}) if not callable(value) else {}


def _required(function: Any) -> bool:
    return any(
        p.default is EMPTY and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in inspect.signature(function).parameters.values()
    )


def configuration(base: Any, values: Mapping[str, Any], is_dict: bool) -> Any:
    """Return a configuration like `base` with these values."""
    if type(base) is dict or (is_dict and (base is EMPTY or isinstance(base, dict))):
        return {**(base if isinstance(base, dict) else {}), **values}
    if base is EMPTY or base is None:
        return types.SimpleNamespace(**values)
    if inspect.isclass(base):
        return _of_class(base, values)
    if any(not hasattr(base, name) for name in values):  # another's configuration, with a part of the fields
        return types.SimpleNamespace(**{**getattr(base, "__dict__", {}), **values})
    if dataclasses.is_dataclass(base) and {f.name for f in dataclasses.fields(base)} >= set(values):
        known = {
            f.name for f in dataclasses.fields(base) if f.init and values.get(f.name, ...) != getattr(base, f.name, ...)
        }
        try:
            return dataclasses.replace(base, **{k: v for k, v in values.items() if k in known})  # pyright: ignore[reportArgumentType]
        except Exception:  # noqa: BLE001  somebody else's __init__ or __post_init__
            return _changed(base, values)
    if isinstance(base, types.SimpleNamespace):
        return types.SimpleNamespace(**{**vars(base), **values})
    return _changed(base, values)


def _changed(base: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy of a configuration with these values, whatever its own constructor would say."""
    made = copy.deepcopy(base)
    for name, value in values.items():
        try:
            setattr(made, name, value)
        except AttributeError:  # a property, which speaks for a field of another name
            role, own = size_of(name), getattr(made, name, EMPTY)
            alike = (other for other, held in vars(made).items() if size_of(other) == role != "unknown" and held == own)
            for other in list(alike):
                setattr(made, other, value)
    return made


def _of_class(kind: Any, values: Mapping[str, Any]) -> Any:
    parameters = inspect.signature(kind).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    given = {k: v for k, v in values.items() if takes_all or k in parameters}
    for name, parameter in parameters.items():
        if (
            name not in given
            and parameter.default is EMPTY
            and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        ):
            given[name] = next(habits(name, str(parameter.annotation)), 1)
    try:
        return kind(**given)
    except Exception:  # noqa: BLE001
        return types.SimpleNamespace(**values)
