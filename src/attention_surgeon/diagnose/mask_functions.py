"""Functions that make a mask, judged by what their name says: causal, window, prefix, padding, documents, and both.

The name and the arguments say what is meant; the docstring may say which way round. What is made is compared with our
own masks; a function whose name says nothing is left alone.
"""

import inspect
import itertools
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

_PAD = 0
_HIDES = -1e3

_MEANS: Mapping[str, tuple[str, ...]] = {
    "prefix": ("prefix",),
    "window": ("window", "sliding", "local", "banded"),
    "documents": ("document", "documents", "doc", "packed", "segment", "segments", "block_diagonal"),
    "target": ("trg", "tgt", "target", "combined", "decoder"),
    "causal": ("causal", "subsequent", "look", "lookahead", "autoregressive", "triangular"),
    "padding": ("padding", "pad", "src", "source", "lengths", "length", "valid"),
}
_OF_QUERIES = ("max_len", "max_length", "seq_len", "target_len", "tgt_len", "trg_len", "query_len", "q_len")
_COUNTS = ("n", "size", "seq_len", "seq_length", "length", "sz", "t", "l", "max_len", "num_tokens", "block_size", "n_q")


@dataclass(frozen=True)
class _Drawn:
    """The sizes and numbers that masks are made of.

    Attributes:
        n: Tokens of a sequence.
        window: Tokens that a window shows, the token itself among them.
        prefix: Tokens that everybody sees.
        ids: Sequences of tokens, some padded.
        documents: To which document each token belongs.
        lengths: Of sequences; one of them has `n` tokens.
        pad: The token that is padded with, where the function takes one; 0 for its default.
    """

    n: int
    window: int
    prefix: int
    ids: Array
    documents: Array
    lengths: Array
    pad: int = 0


_DRAWS = (
    _Drawn(
        7,
        3,
        2,
        np.array([[5, 3, 9, 4, 6, 0, 0], [8, 2, 0, 0, 0, 0, 0], [7, 7, 4, 1, 3, 2, 6]]),
        np.array([[0, 0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 1, 1, 2]]),
        np.array([5, 7, 2]),
    ),
    _Drawn(
        11,
        4,
        3,
        np.array([[6, 2, 2, 8, 3, 7, 5, 4, 9, 2, 0], [3, 9, 5, 6, 8, 2, 0, 0, 0, 0, 0]]),
        np.array([[0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3], [0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2]]),
        np.array([1, 11, 8, 3]),
        pad=12,
    ),
    _Drawn(
        5,
        2,
        4,
        np.array([[4, 0, 0, 0, 0], [9, 3, 6, 2, 8], [2, 5, 7, 0, 0], [3, 3, 0, 0, 0]]),
        np.array([[0, 0, 1, 1, 1], [0, 1, 2, 3, 3], [0, 0, 0, 0, 1]]),
        np.array([4, 2, 5]),
        pad=13,
    ),
)
"""A verdict uses the first; the others are held back to check a patch."""


@dataclass(frozen=True)
class _Case:
    """What a function is given, who may attend, and of which sizes: `(n, n)`, `(b, n, n)` or, for padding, `(b, n)`."""

    arguments: dict[str, Any]
    allowed: Array
    drawn: _Drawn


def diagnose_mask(target: Any, says: str, draw: int = 0) -> Diagnosis | None:
    """Judge a function that makes a mask; None where its name does not say which, or it cannot be called.

    Args:
        target: The function.
        says: Its text; what it says of True is held against it.
        draw: Which of the sizes and numbers it is given: 0, 1 or 2.

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
        for case in _cases(target, meaning, says, library, _DRAWS[draw]):
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
    if not inspect.isroutine(target) or not words & {"mask", "masks", "masking", "subsequent"}:
        return None
    said = words | set(inspect.signature(target).parameters) if words & {"std", "make", "create", "get"} else words
    return next((kind for kind, signs in _MEANS.items() if words & set(signs)), None) or next(
        (kind for kind, signs in _MEANS.items() if kind in ("target", "padding") and said & set(signs)), None
    )


def _cases(target: Any, meaning: str, says: str, library: str, drawn: _Drawn) -> Iterator[_Case]:
    """Yield the calls that the parameters' names allow."""
    own: dict[str, Any] = {}
    pad = _PAD
    parameters = inspect.signature(target).parameters.values()
    for parameter in sorted(parameters, key=lambda p: "pad" not in p.name.lower()):
        name = parameter.name.lower()
        if name == "pad" or ("pad" in name and ("id" in name or "token" in name or "idx" in name)):
            pad = parameter.default if isinstance(parameter.default, int) else _PAD
            if parameter.default is parameter.empty or drawn.pad:
                own[parameter.name] = pad = drawn.pad or pad
            continue
        if parameter.default is not parameter.empty and not any(word in name for word in ("window", "prefix")):
            continue
        value = _value(name, meaning, pad, drawn)
        if value is None:
            return
        own[parameter.name] = value
    make: Callable[[Any], Any] = torch.as_tensor if library == "torch" else np.asarray
    for allowed in _allowed(meaning, says, drawn):
        yield _Case({k: make(v.copy()) if isinstance(v, np.ndarray) else v for k, v in own.items()}, allowed, drawn)


def _value(name: str, meaning: str, pad: int, drawn: _Drawn) -> Any:
    if "window" in name or name in ("w", "size_window"):
        return drawn.window
    if "prefix" in name:
        return drawn.prefix
    if "len" in name and meaning == "padding" and name not in _OF_QUERIES:
        return drawn.lengths
    if name in _COUNTS or name.endswith(("_len", "_length", "_size")):
        return drawn.n
    if meaning == "documents":
        return drawn.documents
    if meaning in ("padding", "target", "causal"):
        return np.where(drawn.ids == _PAD, pad, np.where(drawn.ids == pad, 11, drawn.ids))
    return None


def _allowed(meaning: str, says: str, drawn: _Drawn) -> Iterator[Array]:
    """Yield who may attend; of two readings that a name leaves open, both."""
    i, j = np.arange(drawn.n)[:, None], np.arange(drawn.n)[None, :]
    if meaning == "window":
        yield (j <= i) & (i - j < drawn.window)
    elif meaning == "prefix":
        yield (j <= i) | ((j < drawn.prefix) & (i >= 0))
    elif meaning == "causal":
        yield j <= i
    elif meaning == "documents":
        same = drawn.documents[:, :, None] == drawn.documents[:, None, :]
        if not re.search("causal|tril|future", says, re.IGNORECASE):
            yield same
        yield same & (j <= i)
    else:
        real = drawn.ids != _PAD
        yield real[:, None, :] & (j <= i) if meaning == "target" else real


def _judged(returned: Array, case: _Case, meaning: str, says: str) -> Diagnosis | None:
    allowed, name, drawn = case.allowed, f"{meaning} mask", case.drawn
    if any(
        isinstance(v, torch.Tensor | np.ndarray) and np.array_equal(to_numbers(v), drawn.lengths)
        for v in case.arguments.values()
    ):
        allowed = np.arange(drawn.n)[None, :] < drawn.lengths[:, None]
    if meaning == "padding" and _is_of_queries(returned):
        return _wrong(name, "mask_hides_queries", case, returned[0, 0], np.broadcast_to(allowed[:1], (1, drawn.n)))
    is_additive = returned.dtype.kind == "f" and bool((returned < _HIDES).any() or not np.isfinite(returned).all())
    numbers = _squeezed(returned, allowed.shape)
    if numbers is None:
        return None
    given = numbers > _HIDES if is_additive else numbers.astype(bool)
    if numbers.dtype.kind == "f" and numbers.min() < 0 and not is_additive:
        is_weak = ((numbers > numbers.min()) == allowed).all()
        return _wrong(name, "mask_fill_too_small" if is_weak else None, case, numbers, allowed.astype(float))
    declared = None if is_additive else declared_polarity(says)
    if meaning == "window" and not _PAST.search(says) and _is_symmetric(given, drawn):
        return diagnosed("right", name, called_with=_call(case), kind=("window mask, to both sides",))
    if (given == allowed).all() and declared != "hide":
        return diagnosed("right", name, called_with=_call(case), kind=(f"{meaning} mask",))
    if (given == ~allowed).all() and declared != "keep" and not is_additive:
        seen = () if declared else (Behaviour(None, "True hides in this mask", is_fault=False),)
        return diagnosed("right", name, called_with=_call(case), kind=(f"{meaning} mask, True hides",), behaviour=seen)
    fault = _fault(given, allowed, meaning, declared, drawn)
    return _wrong(name, fault, case, given, allowed if declared != "hide" else ~allowed)


def _wrong(name: str, fault: str | None, case: _Case, yours: Array, expected: Array) -> Diagnosis:
    step = Difference("mask", (), _call(case), _matrix(yours), _matrix(expected))
    explanation = ((find_fault(fault),),) if fault else ()
    return diagnosed("wrong", name, explanations=explanation, difference=step, called_with=_call(case))


_PAST = re.compile(r"causal|past|before|previous|preceding|tril|look.?back|<= *i\b|i *>=", re.IGNORECASE)
"""Words of a text, or of a line, that a window looks back only."""


def _is_symmetric(seen: Array, drawn: _Drawn) -> bool:
    """Whether a mask is a band about the diagonal: a window of so many keys, or so many to each side."""
    apart = np.abs(np.arange(drawn.n)[:, None] - np.arange(drawn.n)[None, :])
    return any((seen == (apart <= reach)).all() for reach in (drawn.window, drawn.window - 1, drawn.window // 2))


def _fault(given: Array, allowed: Array, meaning: str, declared: str | None, drawn: _Drawn) -> str | None:
    """Name what is wrong with a mask."""
    if (given == allowed).all() or (given == ~allowed).all():
        return "padding_inverted" if meaning == "padding" else "mask_inverted"
    readings = {"keep": (given,), "hide": (~given,)}.get(declared or "", (given, ~given))
    for name, mistaken in _mistakes(meaning, allowed, drawn):
        if any(mistaken.shape == seen.shape and (seen == mistaken).all() for seen in readings):
            return name
    for seen in readings:
        if meaning == "documents" and (seen | ~allowed).all():
            same = drawn.documents[:, :, None] == drawn.documents[:, None, :]
            return "documents_mixed" if (seen & ~same).any() else "causal_missing"
    rows_alike = given.ndim >= 2 and meaning in ("causal", "window", "prefix") and (given == given[..., :1, :]).all()
    return "mask_rows_alike" if rows_alike else None


def _mistakes(meaning: str, allowed: Array, drawn: _Drawn) -> Iterator[tuple[str, Array]]:
    """Yield what people make in the place of a mask: the name of the mistake, and who may then attend."""
    i, j = np.arange(drawn.n)[:, None], np.arange(drawn.n)[None, :]
    if meaning == "padding":
        yield "pad_id_wrong", np.ones_like(allowed)
        for shift in (1, -1):
            yield "padding_off_by_one", np.arange(drawn.n)[None, :] < drawn.lengths[:, None] + shift
        return
    if meaning == "target":
        real = drawn.ids != _PAD
        keys, queries = real[:, None, :], real[:, :, None]
        yield "masks_joined_by_or", keys | (j <= i)
        yield "mask_hides_queries", queries & (j <= i)
        yield "causal_missing", keys & (j <= drawn.n)
        yield "mask_ignored", np.broadcast_to(j <= i, allowed.shape)
        yield from ((name, keys & seen) for name, seen in _of_triangles(i, j))
        return
    width = drawn.window if meaning == "window" else drawn.n
    if meaning == "prefix":
        yield "prefix_misplaced", (j <= i) | ((i < drawn.prefix) & (j >= 0))
        yield "mask_off_by_one", (j <= i) | ((j <= drawn.prefix) & (i >= 0))
        yield "prefix_misplaced", j <= i
    elif meaning == "window":
        yield "window_off_by_one", (j <= i) & (i - j <= width)
        yield "window_off_by_one", (j <= i) & (i - j < width - 1)
        yield "mask_diagonal_hidden", (j < i) & (i - j <= width)
        yield "causal_reversed", (j >= i) & (j - i < width)
        yield "causal_missing", i - j < width
        yield "causal_missing", i - j <= width
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


def _is_of_queries(returned: Array) -> bool:
    """Whether a mask `(..., queries, keys)` says of each query whether it is padded, and the same of all keys."""
    if returned.ndim == 4 and returned.shape[-1] == 1 < returned.shape[-2]:
        return True
    is_alike = returned.ndim > 2 and returned.shape[-1] > 1 and (returned == returned[..., :1]).all()
    return bool(is_alike and not (returned == returned[..., :1, :]).all())


def _squeezed(given: Array, shape: tuple[int, ...]) -> Array | None:
    """Take off axes of one, and those but the last that hold the same again, so that a shape is left; None for none."""
    for axes in itertools.combinations(range(given.ndim), max(0, given.ndim - len(shape))):
        rest = given[tuple(0 if axis in axes else slice(None) for axis in range(given.ndim))]
        is_of_keys = given.ndim - 1 not in axes or given.shape[-1] == 1
        if rest.shape == shape and is_of_keys and (given == np.expand_dims(rest, axes)).all():
            return rest
    return None


def _matrix(values: Array) -> Array:
    return (values if values.ndim == 2 else values[0]).astype(float)


def _call(case: _Case) -> str:
    return ", ".join(
        f"{name} {tuple(value.shape)}" if hasattr(value, "shape") else f"{name}={value}"
        for name, value in case.arguments.items()
    )
