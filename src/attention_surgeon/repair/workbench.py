"""Making an object of a changed text, many times a second: only the statements that changed are compiled again."""

import contextlib
import io
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any

from attention_surgeon.repair.source import Closure, Splice

_AGAIN = 0.2
"""CPU seconds after which a candidate that swallowed the first word is stopped again."""


class TooLongError(Exception):
    """A candidate that does not come to an end: an edit may make a loop endless."""


@dataclass(frozen=True)
class Workbench:
    """The target's statements, compiled, in the namespace of the file as it was loaded.

    Attributes:
        closure: The statements.
        name: Of the object, with dots for what is in a class.
        module: The file as it was loaded.
    """

    closure: Closure
    name: str
    module: types.ModuleType

    def make(self, splices: Sequence[Splice]) -> Any:
        """Return the object with these splices in its text.

        Raises:
            Exception: whatever the changed text raises; SyntaxError where it is no Python.
        """
        namespace = dict(vars(self.module))
        for index, (start, end) in self.closure.spans.items():
            inside = [one for one in splices if start <= one.start and one.end <= end + 1 and one.start < end]
            code = self._compile(index, inside) if inside else self._compiled[index]
            exec(code, namespace)
        first, *rest = self.name.split(".")
        found = namespace[first]
        for part in rest:
            found = getattr(found, part)
        return found

    @cached_property
    def _compiled(self) -> dict[int, CodeType]:
        return {index: self._compile(index, ()) for index in self.closure.indices}

    def _compile(self, index: int, splices: Sequence[Splice]) -> CodeType:
        start, end = self.closure.spans[index]
        content = self.closure.source.content[start:end]
        for one in sorted(splices, key=lambda one: (one.start, one.end), reverse=True):
            content = content[: one.start - start] + one.text.encode() + content[one.end - start :]
        return compile(content, self._file, "exec", flags=self._flags, dont_inherit=True)

    @property
    def _file(self) -> str:
        return getattr(self.module, "__file__", None) or "<target>"

    @cached_property
    def _flags(self) -> int:
        import __future__

        has_it = vars(self.module).get("annotations") is __future__.annotations
        return __future__.annotations.compiler_flag if has_it else 0


def load(text: str, module: types.ModuleType, name: str) -> Any:
    """Return the object of a whole text, run as a file is."""
    fresh = types.ModuleType(module.__name__)
    fresh.__dict__.update({key: value for key, value in vars(module).items() if key.startswith("__")})
    file = getattr(module, "__file__", None) or "<target>"
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = fresh
    try:
        exec(compile(text, file, "exec", dont_inherit=True), fresh.__dict__)
    finally:
        if before is not None:
            sys.modules[module.__name__] = before
    found: Any = fresh
    for part in name.split("."):
        found = getattr(found, part)
    return found


@contextmanager
def bounded(seconds: int | float) -> Iterator[None]:
    """Let a candidate run: silent, and no longer than this many seconds of CPU where the system can say so.

    A process has one such clock. Who had set it, as the lookout for memory of a child does, has it back at the end.

    Raises:
        TooLongError: it did not come to an end; also where the candidate makes another error of it.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    is_inside, has_rung = False, False

    def stop(*_: object) -> None:
        nonlocal has_rung
        if is_inside:
            has_rung = True
            raise TooLongError

    was_set = signal.setitimer(signal.ITIMER_VIRTUAL, 0)  # its next tick must not find our handler
    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        is_inside = True
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                yield
        except Exception as error:
            if has_rung:
                raise TooLongError from error
            raise
        finally:
            is_inside = False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        signal.setitimer(signal.ITIMER_VIRTUAL, *was_set)
