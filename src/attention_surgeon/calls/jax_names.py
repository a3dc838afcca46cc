"""Functions written for JAX, run with NumPy: the names that they use mean the same there, and NumPy can be watched.

JAX need not be installed. What has no NumPy of the same name (`x.at[i].set`, flax) is not read.
"""

import contextlib
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def _softmax(x: Any, axis: int = -1, where: Any = None, initial: Any = None) -> Any:
    del initial
    if where is not None:
        x = np.where(where, x, -np.inf)
    raised = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return raised / np.sum(raised, axis=axis, keepdims=True)


def _vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: int = 0) -> Callable[..., Any]:
    def mapped(*given: Any) -> Any:
        axes = in_axes if isinstance(in_axes, tuple | list) else (in_axes,) * len(given)
        count = next(x.shape[axis] for x, axis in zip(given, axes, strict=True) if axis is not None)
        rows = [
            function(*(x if axis is None else np.take(x, i, axis) for x, axis in zip(given, axes, strict=True)))
            for i in range(count)
        ]
        return np.stack(rows, out_axes)

    return mapped


def _same(x: Any, *_: Any, **__: Any) -> Any:
    return x


def _unwrapped(function: Any = None, **_: Any) -> Any:
    return _unwrapped if function is None else function


def _dot_general(_: Any, *__: Any, **___: Any) -> Any:
    raise NotImplementedError("jax.lax.dot_general is not read; write it as jnp.einsum")


_NN = types.SimpleNamespace(
    softmax=_softmax,
    log_softmax=lambda x, axis=-1: np.log(_softmax(x, axis)),
    sigmoid=lambda x: 1 / (1 + np.exp(-x)),
    relu=lambda x: np.maximum(x, 0),
    silu=lambda x: x / (1 + np.exp(-x)),
    gelu=lambda x, **_: x / (1 + np.exp(-1.702 * x)),
)
_LAX = types.SimpleNamespace(
    rsqrt=lambda x: 1 / np.sqrt(x),
    stop_gradient=_same,
    exp=np.exp,
    tanh=np.tanh,
    select=np.where,
    dot_general=_dot_general,
)
_JAX = types.SimpleNamespace(
    numpy=np,
    nn=_NN,
    lax=_LAX,
    jit=_unwrapped,
    vmap=_vmap,
    checkpoint=_unwrapped,
    named_call=_unwrapped,
    numpy_dtype_promotion=lambda *_: contextlib.nullcontext(),
    Array=np.ndarray,
)
_IN_PLACE: Mapping[str, Any] = {"jax": _JAX, "jax.numpy": np, "jnp": np, "jax.nn": _NN, "jax.lax": _LAX}


def run_with_numpy(function: Any) -> Any:
    """Let the names of JAX in a function's file mean NumPy, and return the function without its `jit`."""
    plain = function
    while hasattr(plain, "__wrapped__") and not hasattr(plain, "__globals__"):
        plain = plain.__wrapped__
    names = getattr(plain, "__globals__", {})
    for name, value in list(names.items()):
        called = getattr(value, "__name__", "") if isinstance(value, types.ModuleType) else ""
        if called in _IN_PLACE or (called and name in ("jax", "jnp")):
            names[name] = _IN_PLACE.get(called, _IN_PLACE[name] if name in _IN_PLACE else value)
    return plain
