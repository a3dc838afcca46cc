"""Watch a target at work: every operation it asks of torch or NumPy, with its numbers and the line that asked.

The second witness of the judge. A target is run as it is; between its lines and the library stands a recorder that
keeps a copy of what went into products and softmaxes and of what came out of everything. A second run can be disturbed
at one place (`Bump`), and what changes tells what depends on what: no gradient is needed, no code is read.

    >>> import torch
    >>> trace = record(lambda: torch.softmax(torch.eye(2) @ torch.ones(2, 3), dim=-1))
    >>> [op.name for op in trace.ops]
    ['eye', 'ones', 'matmul', 'softmax']
"""

import contextlib
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attention_surgeon.calls.source import is_installed
from attention_surgeon.verdict import Location

Array: TypeAlias = npt.NDArray[Any]
Bump: TypeAlias = Callable[[Array], Array]
"""Takes the numbers that an operation gave and returns those that it shall give instead."""

PRODUCTS = frozenset(("matmul", "bmm", "mm", "mv", "dot", "einsum", "baddbmm", "tensordot", "inner"))
PROJECTIONS = frozenset(("linear", "addmm", "bilinear", "conv1d", "conv2d", "conv3d"))
SOFTMAXES = frozenset(("softmax", "_softmax", "log_softmax", "sdpa"))
_OTHER_NAMES = {
    "__matmul__": "matmul",
    "__rmatmul__": "matmul",
    "scaled_dot_product_attention": "sdpa",
    "__setitem__": "set",
    "true_divide": "div",
    "divide": "div",
    "multiply": "mul",
    "subtract": "sub",
}
_OURS = ("attention_surgeon.witness", "attention_surgeon.calls")
_LIBRARIES = frozenset(("torch", "numpy", "contextlib", "jaxtyping", "beartype"))


@dataclass(frozen=True)
class Op:
    """One operation that the target asked for.

    Attributes:
        name: `matmul`, `softmax`, `masked_fill`, ...: the library's name without underscores for "in place".
        value: A copy of what came out, None where it was no array.
        inputs: Copies of the arrays that went in; kept for products, projections and softmaxes only.
        options: The other arguments by name or place: `equation`, `dim`, `is_causal`, ...
        places: The lines of the target that asked, the innermost first.
    """

    name: str
    value: Array | None
    inputs: tuple[Array, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[Location, ...] = ()

    @property
    def place(self) -> Location | None:
        """The innermost line, None where none is known."""
        return self.places[0] if self.places else None

    @property
    def outer(self) -> Location | None:
        """The outermost line in the file of the innermost, where a helper was called."""
        same = [place for place in self.places if place.file == self.places[0].file]
        return same[-1] if same else None


@dataclass(frozen=True)
class Trace:
    """What one run of a target did.

    Attributes:
        ops: In the order in which they were asked for.
        returned: What the target returned, as it is.
    """

    ops: tuple[Op, ...]
    returned: Any


def record(run: Callable[[], Any], *, bumps: Mapping[int, Bump] | None = None, with_places: bool = False) -> Trace:
    """Run something and return what it asked of torch (and of NumPy, for arrays made by `watched`).

    Args:
        run: Called without arguments.
        bumps: By the number of an operation, what its result is replaced with.
        with_places: Whether to look up the line of every operation, which takes as long as the run itself.

    Raises:
        Exception: whatever `run` raises.
    """
    recorder = _Recorder(dict(bumps or {}), with_places)
    with _bare_functional(), _TorchMode(recorder), _listening(recorder):
        returned = run()
    return Trace(tuple(recorder.ops), returned)


class _Recorder:
    """Collects the operations of one run, and disturbs those that it was told to."""

    def __init__(self, bumps: dict[int, Bump], with_places: bool) -> None:
        self.ops: list[Op] = []
        self._bumps, self._with_places = bumps, with_places

    def note(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> Any:
        """Keep an operation and return its result, disturbed where that was asked for."""
        value = _copy(result)
        if value is None:
            return result
        name = _plain_name(name)
        bump = self._bumps.get(len(self.ops))
        if bump is not None:
            value = bump(value)
            result = _write(result, value)
        is_kept = name in PRODUCTS or name in PROJECTIONS or name in SOFTMAXES
        inputs = tuple(_arrays(args, kwargs)) if is_kept else ()
        options = _options(name, args, kwargs) if is_kept else {}
        self.ops.append(Op(name, value, inputs, options, places_of_caller() if self._with_places else ()))
        return result


class _TorchMode(TorchFunctionMode):
    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "__get__":  # a property: .T, .mT, .data
            name = getattr(getattr(func, "__self__", None), "__name__", "")
        if name == "__setitem__" and args:
            self._recorder.note(name, (), {}, args[0])
            return result
        if isinstance(result, Tensor):
            return self._recorder.note(name, args, kwargs, result)
        if isinstance(result, tuple | list) and result and all(isinstance(part, Tensor) for part in result):
            noted = [self._recorder.note(name, (), {}, part) for part in result]
            return result if hasattr(result, "_fields") else type(result)(noted)
        return result


@contextlib.contextmanager
def _bare_functional() -> Iterator[None]:
    """Let the functions of torch.nn.functional run in the open, so that what they call is recorded and not they."""
    functional = torch.nn.functional
    names = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    kept = {name: getattr(functional, name) for name in names if hasattr(functional, name)}
    try:
        for name in kept:
            setattr(functional, name, lambda *given: False)
        yield
    finally:
        for name, function in kept.items():
            setattr(functional, name, function)


_listeners: list[_Recorder] = []


@contextlib.contextmanager
def _listening(recorder: _Recorder) -> Iterator[None]:
    _listeners.append(recorder)
    kept = {name: getattr(np, name) for name in _COPIES}
    try:
        for name, function in kept.items():
            setattr(np, name, _still_watched(function))
        yield
    finally:
        for name, function in kept.items():
            setattr(np, name, function)
        _listeners.remove(recorder)


_COPIES = ("asarray", "array", "ascontiguousarray")
"""Functions of NumPy that make a plain array of what they are given, and would lose its operations."""


def _still_watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function; what it makes of a watched array is watched, too."""

    def call(*given: Any, **options: Any) -> Any:
        made = function(*map(_bare, given[:1]), *given[1:], **options)
        is_watched = bool(given) and isinstance(given[0], Watched) and isinstance(made, np.ndarray)
        return made.view(Watched) if is_watched else made

    return call


class Watched(np.ndarray):
    """A NumPy array whose operations are recorded, and so are those of whatever is computed from it."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Do what NumPy does, and note it."""
        out = kwargs.pop("out", ())
        if out:
            kwargs["out"] = tuple(_bare(array) for array in out)
        result = getattr(ufunc, method)(*(_bare(array) for array in inputs), **kwargs)
        name = {"add": "sum", "maximum": "max"}.get(ufunc.__name__, ufunc.__name__)
        return _noted(name if method == "reduce" else ufunc.__name__, inputs, kwargs, result, out)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Do what NumPy does, and note it."""
        result = func(*_bare_all(args), **_bare_all(kwargs))
        return _noted(func.__name__, args, kwargs, result, ())

    def dot(self, other: Any, out: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As `np.dot`, which the method would go past."""
        return np.dot(self, other)


def watched(array: Array) -> Watched:
    """Return a copy of an array whose operations are recorded."""
    return np.array(array).view(Watched)


def _noted(name: str, args: Any, kwargs: Any, result: Any, out: tuple[Any, ...]) -> Any:
    if isinstance(result, tuple | list):
        return type(result)(_noted(name, (), {}, part, ()) for part in result)
    if not isinstance(result, np.ndarray | np.floating) or result.dtype.kind not in "fciub":
        return result
    if _listeners:
        result = _listeners[-1].note(name, tuple(args), kwargs, np.asarray(result))
    if out:
        out[0][...] = result
        return out[0]
    return np.asarray(result).view(Watched)


def _bare(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Watched) else value


def _bare_all(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_bare_all(part) for part in value)
    if isinstance(value, dict):
        return {key: _bare_all(part) for key, part in value.items()}
    return _bare(value)


def places_of_caller() -> tuple[Location, ...]:
    """Return the lines that are neither the library's nor ours, the innermost first."""
    found: list[Location] = []
    frame = sys._getframe(1)
    while frame is not None:
        file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
        if module.startswith(_OURS):
            if found:
                break  # whoever called us is no part of the target
        elif module.partition(".")[0] not in _LIBRARIES and not file.startswith("<frozen"):
            found.append(Location(file, frame.f_lineno, linecache.getline(file, frame.f_lineno).strip()))
        frame = frame.f_back
    own = tuple(place for place in found if not is_installed(place.file))
    return own or tuple(found)  # a target may be part of an installed package


def _plain_name(name: str) -> str:
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    name = name.strip("_")
    return name[1:] if name in ("iadd", "imul", "isub", "radd", "rmul", "rsub") else name


def to_numbers(value: Any) -> Array:
    """Return the numbers of a tensor or array: floating ones in float64, complex and others as they are."""
    if isinstance(value, Tensor):
        value = value.detach()
        if value.dtype in (torch.bfloat16, torch.float16, torch.float32):
            value = value.double()
        value = value.cpu().resolve_conj().resolve_neg().numpy()
    array = np.array(_bare(value))
    return array.astype(np.float64, copy=False) if array.dtype.kind == "f" else array


def _copy(result: Any) -> Array | None:
    if isinstance(result, Tensor) and result.layout != torch.strided:
        return None
    if isinstance(result, Tensor | np.ndarray | np.floating):
        return to_numbers(result)
    return None


def _write(result: Any, value: Array) -> Any:
    """Return the result with other numbers in it; a view stays the view of what it was made from."""
    if isinstance(result, Tensor):
        with torch.no_grad():
            return torch.as_tensor(value).to(result.dtype).reshape(result.shape)
    return value.astype(result.dtype) if isinstance(result, np.ndarray) else value


def _arrays(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Array]:
    for value in (*args, *kwargs.values()):
        if isinstance(value, tuple | list):
            yield from _arrays(tuple(value), {})
        elif isinstance(value, torch.nn.Parameter) and value.dtype == torch.float64:
            yield value.detach().cpu().numpy()  # no copy: every run would keep one of every matrix
        elif isinstance(value, Tensor | np.ndarray):
            yield to_numbers(value)


_PLACES: Mapping[str, tuple[str, ...]] = {
    "softmax": ("input", "dim", "dtype"),
    "log_softmax": ("input", "dim", "dtype"),
    "sdpa": ("query", "key", "value", "attn_mask", "dropout_p", "is_causal"),
    "einsum": ("equation",),
    "baddbmm": ("input", "batch1", "batch2"),
    "addmm": ("input", "mat1", "mat2"),
    "conv1d": ("input", "weight", "bias", "stride"),
    "conv2d": ("input", "weight", "bias", "stride"),
}


def _options(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, tensors as numbers."""
    places = _PLACES.get(name, ())
    given = dict(zip(places, args, strict=False)) | dict(kwargs)
    return {key: to_numbers(x) if isinstance(x, Tensor | np.ndarray) else x for key, x in given.items()}
