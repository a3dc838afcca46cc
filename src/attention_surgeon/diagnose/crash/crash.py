"""From an exception to the line of the file that made it, and from a function to the line where it should return."""

import ast
import inspect
import linecache
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from attention_surgeon.diagnose.crash.meaning import meaning_of, meaning_of_call
from attention_surgeon.diagnose.crash.scene import Scene
from attention_surgeon.diagnose.crash.suggest import message_of
from attention_surgeon.errors import SurgeonError
from attention_surgeon.verdict import Location

_OURS = str(Path(__file__).parents[2])
_LIBRARY = sysconfig.get_paths()["stdlib"]
_LONGEST_LINE = 120


@dataclass(frozen=True)
class Crash:
    """A line that stopped with an error.

    Attributes:
        location: The line.
        message: What Python says, with its "Did you mean".
        meaning: The same in one plain sentence; empty where nothing more can be said.
        call: How it was called, in words; empty where the file was only loaded.
    """

    location: Location
    message: str
    meaning: str = ""
    call: str = ""

    @property
    def reason(self) -> str:
        """Python's message, then what it means, then how it was called, a line each."""
        called = f"This happened in the call {self.call}." if self.call else ""
        return "\n".join(filter(None, (self.message, self.meaning, called)))

    @property
    def sentence(self) -> str:
        """File and line first: `attention.py, line 9: NameError: name 'd' is not defined`, and what it means."""
        return f"{Path(self.location.file).name}, line {self.location.line}: {self.reason}"

    def __str__(self) -> str:
        """The line as it stands in the file, too: what a test prints."""
        first, *others = self.sentence.splitlines()
        return "\n".join([first, f"    {self.location.text}", *others])


def crash_of(error: BaseException, call: str = "") -> Crash | None:
    """Return where and why somebody's file stopped; None where only libraries and this package had a part in it.

    Args:
        error: As it was caught around the call of somebody's code, or a `SurgeonError` that was raised from it.
        call: How it was called, in words.

    >>> crash_of(ValueError("raised by nobody's file")) is None
    True
    """
    while isinstance(error, SurgeonError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, SurgeonError):
        return None
    found = [trace for trace in _traces(error) if _is_theirs(trace.tb_frame.f_code.co_filename)]
    if not found:
        return None
    trace = _again_and_again(found) if isinstance(error, RecursionError) else found[-1]
    scene = Scene(error, trace.tb_frame, trace.tb_lineno, trace.tb_lasti)
    return Crash(_location(scene.file, scene.line), message_of(error, trace.tb_frame), meaning_of(scene), call)


def crash_in_call(error: BaseException, target: Any, call: str = "") -> Crash | None:
    """Return the same for a call that did not even begin: the line is then the one where the target is defined.

    >>> def half(x):
    ...     return x / 2
    >>> try:
    ...     half(1, 2)
    ... except TypeError as error:
    ...     crash_in_call(error, half).message
    'TypeError: half() takes 1 positional argument but 2 were given'
    """
    is_object = not inspect.isroutine(target) and not inspect.isclass(target)
    called_by = getattr(type(target), "forward", type(target).__call__)
    written = called_by if is_object else target
    for code in _codes_of(written):
        if _is_theirs(code.co_filename):
            location = _location(code.co_filename, code.co_firstlineno)
            return Crash(location, message_of(error), meaning_of_call(error, target, code.co_varnames[:1]), call)
    where = _class_line(type(target)) if is_object else None
    return None if where is None else Crash(where, message_of(error), meaning_of_call(error, target), call)


def _class_line(kind: type) -> Location | None:
    """Return the line where a class begins, None where it is a library's."""
    code = next(_codes_of(kind), None)
    tree = None if code is None or not _is_theirs(code.co_filename) else _tree(code.co_filename)
    if code is None or tree is None:
        return None
    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == kind.__name__]
    return _location(code.co_filename, lines[0]) if lines else None


def last_line_of(target: Any) -> Location | None:
    """Return the last statement of a function or a method: where the `return` is missing that it has not got.

    >>> last_line_of(len) is None  # it has no text
    True
    """
    code = getattr(inspect.unwrap(target), "__code__", None)
    tree = None if code is None else _tree(code.co_filename)
    if code is None or tree is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and code.co_firstlineno in _lines_of(node):
            return _location(code.co_filename, node.body[-1].lineno)
    return None


def _again_and_again(traces: list[TracebackType]) -> TracebackType:
    """Return the place that an endless recursion comes by most often: where it ended is chance."""
    counted = Counter((trace.tb_frame.f_code, trace.tb_lineno) for trace in traces)
    (place, _), *_ = counted.most_common(1)
    return next(trace for trace in traces if (trace.tb_frame.f_code, trace.tb_lineno) == place)


def _lines_of(node: ast.FunctionDef) -> range:
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return range(first, node.lineno + 1)


def _tree(file: str) -> ast.Module | None:
    linecache.checkcache(file)
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:  # it was saved again meanwhile
        return None


def _codes_of(target: Any) -> Iterator[Any]:
    found = inspect.unwrap(target) if callable(target) else target
    if inspect.isclass(found):
        for value in vars(found).values():
            yield from _codes_of(value) if inspect.isfunction(value) else ()
    elif hasattr(found, "__code__"):
        yield found.__code__
    elif not inspect.isbuiltin(found) and type(found).__module__ != "builtins":
        yield from _codes_of(type(found))


def _traces(error: BaseException) -> Iterator[TracebackType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _is_theirs(name: str) -> bool:
    """Whether a file is neither Python's, nor a library's, nor this package's."""
    is_library = "site-packages" in name or name.startswith(("<frozen", "<__array", _OURS, _LIBRARY))
    return not is_library


def _location(file: str, line: int) -> Location:
    linecache.checkcache(file)
    text = linecache.getline(file, line).strip()
    return Location(file, line, text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 4]} ...")
