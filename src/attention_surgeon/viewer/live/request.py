"""From the body of a request to what is to be done; every field is checked, and refused with a sentence."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from attention_surgeon.require import kind_of
from attention_surgeon.viewer.live.limits import Limits
from attention_surgeon.viewer.live.refusal import Refusal

_WRONG, _NO_JSON = 422, 400
_NAME_LEN, _PATH_LEN, _MOST_NUMBERS, _HIGHEST = 80, 4_096, 512, 1_000_000_000_000
_PRINTED = 60
"""How much of what was given a sentence repeats."""


@final
@dataclass(frozen=True)
class TableRequest:
    """What a page asks for.

    Attributes:
        page: Which page asks; a newer request of the same page outdates an older one.
        number: Grows with each request of a page.
        model: Name of one of the table's models.
        text: What the model reads.
        mask: `own` (the model's), or another by name: `none`, `causal`, `window:3`.
        scale: `own`, or `none`.
        temperature: What the scores are divided by besides; 1 changes nothing, 0 gives all to the largest score.
        fault: Name of an operation; None: none.
        stack: Which stack of layers is operated on and shown; "": the only one.
        layers: Numbers of layers; None: all.
        heads: Numbers of query heads; None: all.
    """

    page: str
    number: int
    model: str
    text: str = ""
    mask: str = "own"
    scale: str = "own"
    temperature: float = 1.0
    fault: str | None = None
    stack: str = ""
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None


def read_request(content: bytes, limits: Limits) -> TableRequest:
    """Return the request in a body.

    Raises:
        Refusal: 400 for what is no JSON object, 422 for a field that is unknown, missing, or not what it must be.

    >>> read_request(b'{"page": "a", "number": 1, "model": "tiny", "text": "The cat", "heads": [2]}', Limits()).heads
    (2,)
    """
    fields = _json_object(content)
    unknown = sorted(set(fields) - set(_READERS))
    if unknown:
        raise Refusal(_WRONG, f"{_short(unknown[0])} is no field; there are {', '.join(_READERS)}.")
    missing = [name for name in ("page", "number", "model") if name not in fields]
    if missing:
        raise Refusal(_WRONG, f"the field {missing[0]} is missing.")
    return TableRequest(**{name: _READERS[name](name, value, limits) for name, value in fields.items()})


def _json_object(content: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(content.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_each_once)
    except UnicodeDecodeError as error:
        raise Refusal(_NO_JSON, f"the body is not UTF-8 (byte {error.start}).") from None
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        raise Refusal(_NO_JSON, f"the body is not JSON: {_short(str(error))}.") from None
    if not isinstance(fields, dict):
        raise Refusal(_NO_JSON, f"the body is {kind_of(fields)}, expected an object of fields.")
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field stands there twice")
    return fields


def _name(field: str, value: object, limits: Limits) -> str:
    if not isinstance(value, str):
        raise _wrong(field, value, "text")
    most = _PATH_LEN if field == "model" else _NAME_LEN  # a model's name may be a folder
    if len(value) > most or not value.isprintable():
        raise _wrong(field, value, f"at most {most:,} printable characters")
    return value


def _optional_name(field: str, value: object, limits: Limits) -> str | None:
    return None if value is None else _name(field, value, limits)


def _text(field: str, value: object, limits: Limits) -> str:
    if not isinstance(value, str):
        raise _wrong(field, value, "text")
    if len(value) > limits.text_len:
        raise Refusal(_WRONG, f"text has {len(value):,} characters; {limits.text_len:,} are the most.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Refusal(_WRONG, "text holds half of a character (a lone surrogate), which no model can read.")
    return value


def _whole(field: str, value: object, limits: Limits) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _HIGHEST:
        raise _wrong(field, value, "a whole number from 0")
    return value


def _positive(field: str, value: object, limits: Limits) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not (value == 0 or 0.01 <= value <= 100):
        raise _wrong(field, value, "0, or a number from 0.01 to 100")
    assert math.isfinite(value)
    return float(value)


def _numbers(field: str, value: object, limits: Limits) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_NUMBERS:
        raise _wrong(field, value, "null for all, or a list of whole numbers from 0")
    return tuple(_whole(field, number, limits) for number in value)


_READERS: dict[str, Callable[[str, object, Limits], Any]] = {
    "page": _name,
    "number": _whole,
    "model": _name,
    "text": _text,
    "mask": _name,
    "scale": _name,
    "temperature": _positive,
    "fault": _optional_name,
    "stack": _name,
    "layers": _numbers,
    "heads": _numbers,
}


def _wrong(field: str, value: object, expected: str) -> Refusal:
    return Refusal(_WRONG, f"{field} is {_short(repr(value))}, expected {expected}.")


def _short(text: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= _PRINTED else f"{plain[: _PRINTED - 1]}…"
