"""Functions that make a mask, judged by what their name says: causal, window, prefix, padding, documents, and both.

The name and the arguments say what is meant; the docstring may say which way round. What is made is compared with our
own masks; a function whose name says nothing is left alone.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attention_surgeon.diagnose.diagnosis import Diagnosis, Difference, diagnosed
from attention_surgeon.faults import find_fault
from attention_surgeon.testing.words import declared_polarity
from attention_surgeon.verdict import Behaviour
from attention_surgeon.witness.record import Array, to_numbers

_N, _WINDOW, _PREFIX, _PAD = 7, 3, 2, 0
_IDS = np.array([[5, 3, 9, 4, 6, 0, 0], [8, 2, 0, 0, 0, 0, 0], [7, 7, 4, 1, 3, 2, 6]])
_DOCUMENTS = np.array([[0, 0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 1, 1, 2]])
_LENGTHS = np.array([5, 7, 2])
_HIDES = -1e3

_MEANS: Mapping[str, tuple[str, ...]] = {
    "prefix": ("prefix",),
    "window": ("window", "sliding", "local", "banded"),
    "documents": ("document", "documents", "doc", "packed", "segment", "segments", "block_diagonal"),
    "target": ("trg", "tgt", "target", "combined", "decoder"),
    "causal": ("causal", "subsequent", "look", "lookahead", "autoregressive", "triangular"),
    "padding": ("padding", "pad", "src", "source", "lengths", "length", "valid"),
}
_COUNTS = ("n", "size", "seq_len", "seq_length", "length", "sz", "t", "l", "max_len", "num_tokens", "block_size", "n_q")


@dataclass(frozen=True)
class _Case:
    """What a function is given, and who may attend: `(n, n)`, `(b, n, n)` or, for padding, `(b, n)`."""

    arguments: dict[str, Any]
    allowed: Array


def diagnose_mask(target: Any, says: str) -> Diagnosis | None:
    """Judge a function that makes a mask; None where its name does not say which, or it cannot be called.

    Args:
        target: The function.
        says: Its text; what it says of True is held against it.

    >>> def sliding_window_mask(n, window):
    ...     i, j = torch.arange(n)[:, None], torch.arange(n)[None, :]
    ...     return (j <= i) & (i - j <= window)
    >>> diagnose_mask(sliding_window_mask, "").names
    ('window_off_by_one',)
    """
    meaning = _meaning(target)
    if meaning is None:
        return None
    for library in ("torch", "numpy"):
        answers = []
        for case in _cases(target, meaning, says, library):
            try:
                returned = to_numbers(target(**case.arguments))
            except Exception:  # noqa: BLE001  somebody else's code may raise anything
                continue
            found = _judged(returned, case, meaning, says)
            answers += [] if found is None else [found]
        if answers:
            return next((found for found in answers if found.verdict == "right"), answers[0])
    return None


def _meaning(target: Any) -> str | None:
    name = getattr(target, "__name__", "").lower()
    words = set(re.split(r"[_\d]+", name)) | ({name} if "block_diagonal" in name else set())
    if not inspect.isroutine(target) or not words & {"mask", "masks", "subsequent"}:
        return None
    said = words | set(inspect.signature(target).parameters) if words & {"std", "make", "create", "get"} else words
    return next((kind for kind, signs in _MEANS.items() if words & set(signs)), None) or next(
        (kind for kind, signs in _MEANS.items() if kind in ("target", "padding") and said & set(signs)), None
    )


def _cases(target: Any, meaning: str, says: str, library: str) -> Iterator[_Case]:
    """Yield the calls that the parameters' names allow."""
    own: dict[str, Any] = {}
    pad = _PAD
    parameters = inspect.signature(target).parameters.values()
    for parameter in sorted(parameters, key=lambda p: "pad" not in p.name.lower()):
        name = parameter.name.lower()
        if name == "pad" or ("pad" in name and ("id" in name or "token" in name or "idx" in name)):
            pad = parameter.default if isinstance(parameter.default, int) else _PAD
            if parameter.default is parameter.empty:
                own[parameter.name] = pad
            continue
        if parameter.default is not parameter.empty and not any(word in name for word in ("window", "prefix")):
            continue
        value = _value(name, meaning, pad)
        if value is None:
            return
        own[parameter.name] = value
    make: Callable[[Any], Any] = torch.as_tensor if library == "torch" else np.asarray
    for allowed in _allowed(meaning, says):
        yield _Case({k: make(v.copy()) if isinstance(v, np.ndarray) else v for k, v in own.items()}, allowed)


def _value(name: str, meaning: str, pad: int) -> Any:
    if "window" in name or name in ("w", "size_window"):
        return _WINDOW
    if "prefix" in name:
        return _PREFIX
    if "len" in name and meaning == "padding" and name not in ("max_len", "max_length", "seq_len"):
        return _LENGTHS
    if name in _COUNTS or name.endswith(("_len", "_length", "_size")):
        return _N
    if meaning == "documents":
        return _DOCUMENTS
    if meaning in ("padding", "target"):
        return np.where(_IDS == _PAD, pad, np.where(_IDS == pad, 11, _IDS))
    return None


def _allowed(meaning: str, says: str) -> Iterator[Array]:
    """Yield who may attend; of two readings that a name leaves open, both."""
    i, j = np.arange(_N)[:, None], np.arange(_N)[None, :]
    if meaning == "window":
        yield (j <= i) & (i - j < _WINDOW)
    elif meaning == "prefix":
        yield (j <= i) | ((j < _PREFIX) & (i >= 0))
    elif meaning == "causal":
        yield j <= i
    elif meaning == "documents":
        same = _DOCUMENTS[:, :, None] == _DOCUMENTS[:, None, :]
        if not re.search("causal|tril|future", says, re.IGNORECASE):
            yield same
        yield same & (j <= i)
    else:
        real = _IDS != _PAD
        yield real[:, None, :] & (j <= i) if meaning == "target" else real


def _judged(returned: Array, case: _Case, meaning: str, says: str) -> Diagnosis | None:
    allowed, name = case.allowed, f"{meaning} mask"
    if any(
        isinstance(v, torch.Tensor | np.ndarray) and np.array_equal(to_numbers(v), _LENGTHS)
        for v in case.arguments.values()
    ):
        allowed = np.arange(_N)[None, :] < _LENGTHS[:, None]
    if meaning == "padding" and returned.ndim == 4 and returned.shape[-1] == 1 < returned.shape[-2]:
        return _wrong(name, "mask_hides_queries", case, returned[0, 0], np.broadcast_to(allowed[:1], (1, _N)))
    is_additive = returned.dtype.kind == "f" and bool((returned < _HIDES).any() or not np.isfinite(returned).all())
    given = returned > _HIDES if is_additive else returned.astype(bool)
    given = _squeezed(given, allowed.ndim)
    if given is None or given.shape != allowed.shape:
        return None
    numbers = returned.reshape(given.shape)
    if numbers.dtype.kind == "f" and numbers.min() < 0 and not is_additive:
        is_weak = ((numbers > numbers.min()) == allowed).all()
        return _wrong(name, "mask_fill_too_small" if is_weak else None, case, numbers, allowed.astype(float))
    declared = None if is_additive else declared_polarity(says)
    if meaning == "window" and not _PAST.search(says) and _is_symmetric(given):
        return diagnosed("right", name, called_with=_call(case), kind=("window mask, to both sides",))
    if (given == allowed).all() and declared != "hide":
        return diagnosed("right", name, called_with=_call(case), kind=(f"{meaning} mask",))
    if (given == ~allowed).all() and declared != "keep" and not is_additive:
        seen = () if declared else (Behaviour(None, "True hides in this mask", is_fault=False),)
        return diagnosed("right", name, called_with=_call(case), kind=(f"{meaning} mask, True hides",), behaviour=seen)
    fault = _fault(given, allowed, meaning, declared)
    return _wrong(name, fault, case, given, allowed if declared != "hide" else ~allowed)


def _wrong(name: str, fault: str | None, case: _Case, yours: Array, expected: Array) -> Diagnosis:
    step = Difference("mask", (), _call(case), _matrix(yours), _matrix(expected))
    explanation = ((find_fault(fault),),) if fault else ()
    return diagnosed("wrong", name, explanations=explanation, difference=step, called_with=_call(case))


_PAST = re.compile(r"causal|past|before|previous|preceding|tril|look.?back|<= *i\b|i *>=", re.IGNORECASE)
"""Words of a text, or of a line, that a window looks back only."""


def _is_symmetric(seen: Array) -> bool:
    """Whether a mask is a band about the diagonal: a window of so many keys, or so many to each side."""
    apart = np.abs(np.arange(_N)[:, None] - np.arange(_N)[None, :])
    return any((seen == (apart <= reach)).all() for reach in (_WINDOW, _WINDOW - 1, _WINDOW // 2))


def _fault(given: Array, allowed: Array, meaning: str, declared: str | None) -> str | None:
    """Name what is wrong with a mask."""
    if (given == allowed).all() or (given == ~allowed).all():
        return "padding_inverted" if meaning == "padding" else "mask_inverted"
    readings = {"keep": (given,), "hide": (~given,)}.get(declared or "", (given, ~given))
    for name, mistaken in _mistakes(meaning, allowed):
        if any(mistaken.shape == seen.shape and (seen == mistaken).all() for seen in readings):
            return name
    for seen in readings:
        if meaning == "documents" and (seen | ~allowed).all():
            same = _DOCUMENTS[:, :, None] == _DOCUMENTS[:, None, :]
            return "documents_mixed" if (seen & ~same).any() else "causal_missing"
    rows_alike = given.ndim >= 2 and meaning in ("causal", "window", "prefix") and (given == given[..., :1, :]).all()
    return "mask_rows_alike" if rows_alike else None


def _mistakes(meaning: str, allowed: Array) -> Iterator[tuple[str, Array]]:
    """Yield what people make in the place of a mask: the name of the mistake, and who may then attend."""
    i, j = np.arange(_N)[:, None], np.arange(_N)[None, :]
    if meaning == "padding":
        yield "pad_id_wrong", np.ones_like(allowed)
        for shift in (1, -1):
            yield "padding_off_by_one", np.arange(_N)[None, :] < _LENGTHS[:, None] + shift
        return
    if meaning == "target":
        real = _IDS != _PAD
        keys, queries = real[:, None, :], real[:, :, None]
        yield "masks_joined_by_or", keys | (j <= i)
        yield "mask_hides_queries", queries & (j <= i)
        yield "causal_missing", keys & (j <= _N)
        yield "mask_ignored", np.broadcast_to(j <= i, allowed.shape)
        yield from ((name, keys & seen) for name, seen in _of_triangles(i, j))
        return
    width = _WINDOW if meaning == "window" else _N
    if meaning == "prefix":
        yield "prefix_misplaced", (j <= i) | ((i < _PREFIX) & (j >= 0))
        yield "mask_off_by_one", (j <= i) | ((j <= _PREFIX) & (i >= 0))
        yield "prefix_misplaced", j <= i
    elif meaning == "window":
        yield "window_off_by_one", (j <= i) & (i - j <= width)
        yield "window_off_by_one", (j <= i) & (i - j < width - 1)
        yield "mask_diagonal_hidden", (j < i) & (i - j <= width)
        yield "causal_reversed", (j >= i) & (j - i < width)
        yield "causal_missing", i - j < width
        yield "causal_missing", np.abs(i - j) < width
        yield "window_ignored", j <= i
    elif meaning == "causal":
        yield from _of_triangles(i, j)
        yield "causal_missing", np.ones_like(allowed)


def _of_triangles(i: Array, j: Array) -> Iterator[tuple[str, Array]]:
    """Yield the wrong triangles."""
    yield "mask_off_by_one", j <= i + 1
    yield "causal_reversed", j >= i
    yield "mask_diagonal_hidden", j < i
    yield "causal_reversed", j > i


def _squeezed(given: Array, ndim: int) -> Array | None:
    """Take axes of one off, from the front and between, until as many are left as are wanted."""
    while given.ndim > ndim:
        axes = [axis for axis in range(given.ndim) if given.shape[axis] == 1]
        if not axes:
            return None
        given = given.squeeze(axes[0])
    return given


def _matrix(values: Array) -> Array:
    return (values if values.ndim == 2 else values[0]).astype(float)


def _call(case: _Case) -> str:
    return ", ".join(
        f"{name} {tuple(value.shape)}" if hasattr(value, "shape") else f"{name}={value}"
        for name, value in case.arguments.items()
    )
