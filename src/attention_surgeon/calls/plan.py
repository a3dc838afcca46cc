"""A plan: how a target is made, what it is given, and which array of what it returns is the output.

A plan is found once (`find_plan`) and then made and called as often as wanted, at other sizes and with other numbers;
nothing that was handed out is ever handed out again.
"""

import copy
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attention_surgeon.calls.argument import Argument, Library, Sizes
from attention_surgeon.calls.draw import draw_arguments, draw_parameters
from attention_surgeon.errors import UnjudgedError


@dataclass(frozen=True)
class Refusal:
    """Why no plan was found, what was tried, and one line that would help."""

    reason: str
    tried: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True)
class Plan:
    """How a target is made and called.

    Attributes:
        target: The class, function or object.
        constructor: What the constructor is given.
        sizes: The sizes of a plain call.
        arguments: Of the call, in order.
        library: Whose arrays it takes.
        output: The place of the output among the arrays returned; -1 for what is returned itself.
        output_axes: Its axes, one letter each.
        notes: What was tried on the way.
        method: The method that is called; empty to call the object.
    """

    target: Any
    constructor: Mapping[str, Any]
    sizes: Sizes
    arguments: tuple[Argument, ...]
    library: Library = "torch"
    output: int = -1
    output_axes: str = ""
    notes: tuple[str, ...] = ()
    method: str = ""
    switches: Callable[["Plan"], Iterator["Plan"]] | None = field(default=None, repr=False, compare=False)
    finder: Callable[..., Any] | None = field(default=None, repr=False, compare=False)

    def make(self, seed: int = 0) -> Any:
        """Return a fresh object in evaluation mode whose parameters hold drawn numbers; a function is itself."""

        made = self.bare()
        if made is not self.target or not callable(getattr(made, "__code__", None)):
            draw_parameters(made, seed, lambda: self.call(made, self.draw()))
        return made

    def bare(self) -> Any:
        """Return a fresh object as its constructor leaves it; what it holds in half precision is widened."""
        if inspect.isclass(self.target):
            made: Any = self.target(**{name: fresh(value) for name, value in self.constructor.items()})
            held = [*made.parameters()] if hasattr(made, "parameters") and hasattr(made, "float") else []
            is_half = any(str(p.dtype) in ("torch.bfloat16", "torch.float16") for p in held)
            return made.float() if is_half else made
        return self.target if inspect.isroutine(self.target) else copy.deepcopy(self.target)

    def draw(
        self, *, batch: int | None = None, n_q: int | None = None, n_k: int | None = None, seed: int = 0
    ) -> dict[str, Any]:
        """Return a fresh value of every required argument, each of other numbers.

        Args:
            batch: Sequences; the plan's own number by default.
            n_q: Queries.
            n_k: Keys; as many as queries where the plan has as many.
            seed: Another seed gives other numbers.
        """

        n_q_now = self.sizes.n_q if n_q is None else n_q
        if n_k is None:
            n_k = n_q_now if self.sizes.n_q == self.sizes.n_k else self.sizes.n_k
        sizes = dataclasses.replace(
            self.sizes, batch=self.sizes.batch if batch is None else batch, n_q=n_q_now, n_k=n_k
        )
        return draw_arguments(self.arguments, sizes, self.library, seed)

    def call(self, made: Any, inputs: Mapping[str, Any]) -> Any:
        """Call it.

        Raises:
            Exception: whatever the target raises.
        """
        positional, named, skipped = [], {}, False
        for argument in self.arguments:
            if argument.name not in inputs:
                skipped = True
            elif argument.kind is inspect.Parameter.KEYWORD_ONLY or (
                skipped and argument.kind is not inspect.Parameter.POSITIONAL_ONLY
            ):
                named[argument.name] = inputs[argument.name]
            else:
                positional.append(inputs[argument.name])
        known = {argument.name for argument in self.arguments}
        named |= {name: value for name, value in inputs.items() if name not in known}
        return (getattr(made, self.method) if self.method else made)(*positional, **named)

    def arrays(self, returned: Any) -> list[Any]:
        """Return every array in what was returned, in order."""
        return list(_flat(returned))

    def source(self, inputs: Mapping[str, Any]) -> str:
        """Return the call as Python that a person can paste."""
        name = getattr(self.target, "__name__", None) or "layer"
        given = ", ".join(f"{key}={_written(value)}" for key, value in inputs.items())
        if not inspect.isclass(self.target):
            return f"{name}({given})"
        made = f"{name}({', '.join(f'{key}={_written(value)}' for key, value in self.constructor.items())})"
        return f"layer = {made}\nlayer{'.' + self.method if self.method else ''}({given})"

    def switched(self) -> tuple["Plan", ...]:
        """Return the same with one switch or choice of the constructor changed, where that can be called."""
        return tuple(self.switches(self)) if self.switches is not None else ()

    def resized(self, **sizes: int) -> "Plan | None":
        """Return a plan of the same target at other sizes, None where it refuses them.

        Args:
            sizes: Some of `heads`, `kv_heads`, `head_size`, `width`, `context_width`, `value_size`.
        """
        found = self.finder(**sizes) if self.finder is not None else None
        return found if isinstance(found, Plan) else None

    def giving(self, *names: str) -> "Plan":
        """Return the same with these arguments of tokens given too, which a plain call leaves out: a context."""
        given = (
            dataclasses.replace(argument, required=True, form=argument.form or "tokens")
            if argument.name in names and argument.axes
            else argument
            for argument in self.arguments
        )
        return dataclasses.replace(self, arguments=tuple(given))

    def given(self, name: str) -> Argument:
        """Return an argument by its name.

        Raises:
            UnjudgedError: there is none of that name.
        """
        for argument in self.arguments:
            if argument.name == name:
                return argument
        raise UnjudgedError(f"the call has no argument {name!r}; it has: {', '.join(a.name for a in self.arguments)}")


def fresh(value: Any) -> Any:
    """Return a copy that shares nothing with the value, classes, functions and modules of Python excepted."""
    if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001  somebody else's object may refuse
        return value


def is_array(value: Any) -> bool:
    """Whether a value is a tensor or an array."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "ndim") and not inspect.isclass(value)


def _flat(value: Any, depth: int = 0) -> Iterator[Any]:
    if is_array(value) and not isinstance(value, np.generic):
        yield value
    elif depth > 4 or value is None or isinstance(value, str | int | float | bool):
        return
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _flat(part, depth + 1)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _flat(part, depth + 1)
    elif hasattr(value, "__dict__") and not callable(value):
        for part in vars(value).values():
            yield from _flat(part, depth + 1)


def _written(value: Any) -> str:
    if is_array(value):
        kind = str(value.dtype).removeprefix("torch.")
        shape = ", ".join(str(size) for size in value.shape)
        if isinstance(value, np.ndarray):
            return f"np.random.randn({shape})" if value.dtype.kind == "f" else f"np.ones(({shape},), dtype={kind!r})"
        return f"torch.randn({shape})" if "float" in kind else f"torch.ones(({shape},), dtype=torch.{kind})"
    if isinstance(value, tuple | list) and any(is_array(part) for part in value):
        return f"({', '.join(_written(part) for part in value)})"
    if inspect.isclass(value) or inspect.isroutine(value):
        return value.__name__
    if type(value).__name__ == "SimpleNamespace":
        return "SimpleNamespace(" + ", ".join(f"{k}={_written(v)}" for k, v in vars(value).items()) + ")"
    text = repr(value)
    if re.match(r"<.* object at 0x", text):
        inside = ", ".join(f"{k}={_written(v)}" for k, v in vars(value).items()) if hasattr(value, "__dict__") else ""
        return f"{type(value).__name__}({inside})"
    return text
