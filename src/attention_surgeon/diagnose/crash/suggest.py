"""Python's own message with its "Did you mean": Python 3.11 prints one and does not say it to anybody who asks."""

import difflib
import re
import sys
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any

_CLOSE, _CLOSER = 0.6, 0.75
_LONGEST = 300
_NO_ATTRIBUTE = re.compile(r"has no attribute '(\w+)'")
_MODULE = re.compile(r"module '([\w.]+)'")


def message_of(error: BaseException, frame: FrameType | None = None) -> str:
    """Return the type, the message and what was probably meant.

    Args:
        error: The exception.
        frame: Where it came up: the names there are candidates.

    >>> import math
    >>> try:
    ...     math.sqr
    ... except AttributeError as error:
    ...     message_of(error)
    "AttributeError: module 'math' has no attribute 'sqr'. Did you mean: 'sqrt'?"
    """
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
    said = type(error).__name__ + (f": {text}" if text else "")
    meant = "" if "Did you mean" in text else _meant(error, frame)
    return f"{said}{'' if said.endswith(('.', '!', '?')) else '.'} Did you mean: {meant}?" if meant else said


def near(name: str, names: Iterable[str], cutoff: float = _CLOSE) -> str:
    """Return the name that is most like another one, empty where none is.

    >>> near("max_atention", ["max_attention", "entropy"])
    'max_attention'
    """
    found = difflib.get_close_matches(name, sorted(set(names) - {name}), n=1, cutoff=cutoff)
    return found[0] if found else ""


def dictionary_without(key: Any, frame: FrameType) -> Mapping[Any, Any] | None:
    """Return the dictionary of a frame in which a key was probably looked for."""
    held = [value for value in frame.f_locals.values() if isinstance(value, Mapping) and value and key not in value]
    return held[-1] if held else None


def _meant(error: BaseException, frame: FrameType | None) -> str:
    if isinstance(error, NameError):
        return _quoted(_near_name(error.name or "", frame))
    if isinstance(error, AttributeError):
        return _quoted(_near_attribute(error))
    if isinstance(error, KeyError) and frame is not None and error.args:
        held = dictionary_without(error.args[0], frame)
        keys = [] if held is None else [key for key in held if isinstance(key, str)]
        return _quoted(near(str(error.args[0]), keys))
    return ""


def _quoted(name: str) -> str:
    return f"'{name}'" if name else ""


def _near_name(name: str, frame: FrameType | None) -> str:
    if frame is None:
        return ""
    owner = frame.f_locals.get("self")
    if owner is not None and hasattr(owner, name):
        return f"self.{name}"
    return near(name, [*frame.f_locals, *frame.f_globals]) or near(name, frame.f_builtins, _CLOSER)


def _near_attribute(error: AttributeError) -> str:
    found = _NO_ATTRIBUTE.search(str(error))
    name = error.name or (found[1] if found else "")
    module = _MODULE.search(str(error))  # a module's own __getattr__ says its name only
    owner = sys.modules.get(module[1]) if error.obj is None and module is not None else error.obj
    if not name or owner is None:
        return ""
    return near(name, [each for each in dir(owner) if not each.startswith("_") or name.startswith("_")])
