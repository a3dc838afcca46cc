"""Reading a table of TOML with its types checked: an author who mistypes is told where, and what was expected."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar, final

from attention_surgeon.errors import FileFormatError

T = TypeVar("T")
_REQUIRED: Any = object()


@final
class TomlTable:
    """One table and its name in messages; every key that is there must have been asked for in the end.

    >>> TomlTable({"minutes": "15"}, "exercise 'a.b'").get("minutes", int)
    Traceback (most recent call last):
    attention_surgeon.errors.FileFormatError: exercise 'a.b': minutes is a text, expected a whole number.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        """Wrap `values`; `where` begins every message."""
        self._values, self.where = values, where
        self._asked: list[str] = []

    def get(self, key: str, kind: type[T], default: T = _REQUIRED) -> T:
        """Return the value of a key.

        Raises:
            FileFormatError: it is missing and has no default, or of another kind.
        """
        self._asked.append(key)
        if key not in self._values:
            if default is _REQUIRED:
                near = difflib.get_close_matches(key, [name for name in self._values if name not in self._asked], n=1)
                hint = f" There is {near[0]}; did you mean that?" if near else ""
                raise FileFormatError(f"{self.where}: {key} is missing; it is {_named(kind)}.{hint}")
            return default
        value = self._values[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise FileFormatError(f"{self.where}: {key} is {_named(type(value))}, expected {_named(kind)}.")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return a list of texts.

        Raises:
            FileFormatError: as `get`, or an entry is no text.
        """
        values = self.get(key, list, _REQUIRED if default is None else list(default))
        for value in values:
            if not isinstance(value, str):
                raise FileFormatError(f"{self.where}: {key} holds {_named(type(value))}, expected texts only.")
        return tuple(values)

    def tables(self, key: str) -> list[dict[str, Any]]:
        """Return a list of tables, empty where there is none.

        Raises:
            FileFormatError: as `get`, or an entry is no table.
        """
        values = self.get(key, list, [])
        for value in values:
            if not isinstance(value, dict):
                raise FileFormatError(f"{self.where}: {key} holds {_named(type(value))}, expected [[{key}]] tables.")
        return values

    def require(self, holds: bool, message: str) -> None:
        """Raise unless something holds.

        Raises:
            FileFormatError: it does not.
        """
        if not holds:
            raise FileFormatError(f"{self.where}: {message}")

    def finish(self) -> None:
        """Refuse keys that nobody asked for: a typing error would silently do nothing.

        Raises:
            FileFormatError: there is such a key.
        """
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                hint = f" Did you mean {near[0]}?" if near else f" The keys are {', '.join(self._asked)}."
                raise FileFormatError(f"{self.where}: there is no key {key}.{hint}")


def _named(kind: type) -> str:
    names = {str: "a text", list: "a list", dict: "a table", int: "a whole number", bool: "true or false"}
    return names.get(kind, f"a {kind.__name__}")
