"""Loading what somebody wants judged: `FILE.py:NAME` or `package.module:NAME`.

A file is loaded as `python FILE.py` would: its folder comes first on the path, what stands under
`if __name__ == "__main__"` is not run. To be called in a child process, because the file may do anything.

A file that sets torch's default dtype, or turns every warning into an error, would otherwise set it for whoever
judges it as well.
"""

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias

from attention_surgeon.calls.definitions import run_definition
from attention_surgeon.errors import LoadError
from attention_surgeon.files import file_access_error

Kind = Literal["function", "class", "instance"]

_NOT_JUDGED = ("main", "test_")  # what a file has for running itself

_Setting: TypeAlias = tuple[str, Callable[[], Any], Callable[[Any], object]]


@dataclass(frozen=True)
class Target:
    """What is judged, and which text it came from.

    Attributes:
        object: The function, class or callable instance itself.
        name: Its name in the file, dots for a method.
        kind: What it is.
        line: The line where it is defined, None where Python does not know.
        file: The Python file it was loaded from; None for a compiled module.
        sha256: Of the very bytes that were run, in hexadecimal digits; empty without a file.
        num_lines: How many lines the file has.
        note: A sentence if the name was chosen for the caller, otherwise empty.
        changed: Settings of the process that the file changed while it was loaded; they were put back.
    """

    object: Any = field(repr=False)
    name: str
    kind: Kind
    line: int | None
    file: Path | None
    sha256: str
    num_lines: int
    note: str = ""
    changed: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The object in words: `function attention, line 12`."""
        of = f" of {type(self.object).__name__}" if self.kind == "instance" else ""
        return f"{self.kind} {self.name}{of}" + (f", line {self.line}" if self.line else "")


def split_target(target: str) -> tuple[str, str | None]:
    r"""Return the file or module and the name of `FILE.py:NAME`; the name is None if none was given.

    >>> split_target("lab/attention.py:Attention.forward"), split_target(r"C:\lab\attention.py")
    (('lab/attention.py', 'Attention.forward'), ('C:\\lab\\attention.py', None))
    """
    place, colon, name = target.rpartition(":")
    is_drive = len(place) == 1 and name.endswith(".py")  # C:attention.py
    if not colon or is_drive or not _is_dotted(name) or os.path.isfile(target):
        return target, None
    return place, name


def find_source(place: str | Path) -> Path | None:
    """Return the file that `load_target` will read for a file or a dotted module, without loading anything.

    None: the module's file cannot be told without importing it.
    """
    if not _is_module(place):
        return Path(os.path.abspath(place))
    parts = str(place).split(".")
    for folder in (os.getcwd(), *sys.path):
        base = Path(folder, *parts)
        for file in (base / "__init__.py", base.with_name(base.name + ".py")):
            if file.is_file():
                return file
    return None


def load_target(place: str | Path, name: str | None = None, *, needed_only: bool = False) -> Target:
    """Load a file or a dotted module and return the object of that name.

    Args:
        place: A path, or a module such as `torch.nn.functional` (when there is no file of that name).
        name: The name in it; dots reach into classes (`Attention.forward`). None: the only public function or
            class that the file defines itself.
        needed_only: Of a file, run only the statements that the name needs: a script that trains is not trained, and a
            package that is missing is an error only where it is used.

    Raises:
        FileAccessError: the file is missing, a folder, or may not be read.
        LoadError: there is no such name (the text lists the near ones), it cannot be called, or no name was given
            and there is not exactly one candidate; there is no such module.
        Exception: whatever the file itself raises while it is loaded, as it is.

    >>> target = load_target("attention_surgeon.ops.softmax", "softmax")
    >>> target.kind, target.file.name, target.note
    ('function', 'softmax.py', '')
    """
    loaded = (
        _import(str(place)) if _is_module(place) else _run(Path(os.path.abspath(place)), name if needed_only else None)
    )
    module, file, content, changed = loaded
    shown = Path(place).name
    chosen, note = (name, "") if name is not None else only_candidate(module, shown)
    found = fetch(module, chosen, shown)
    kind: Kind = "class" if isinstance(found, type) else "function" if hasattr(found, "__qualname__") else "instance"
    sha256 = "" if file is None else hashlib.sha256(content).hexdigest()
    return Target(found, chosen, kind, line_of(found), file, sha256, len(content.splitlines()), note, tuple(changed))


def _run(path: Path, needed: str | None = None) -> tuple[ModuleType, Path, bytes, list[str]]:
    """Run a file, from the bytes that are hashed: never from a stale .pyc.

    With a name, only what defines it; where that does not work, the whole file, whose error is then the file's own.
    """
    content = _read(path)
    name, root = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert isinstance(spec, ModuleSpec)
    module = importlib.util.module_from_spec(spec)
    with settings_kept() as changed:
        folder = os.path.dirname(os.path.realpath(path))
        in_package = (path.parent / "__init__.py").is_file()
        sys.path[:0] = list(dict.fromkeys([str(root), folder] if in_package else [folder, str(root)]))
        sys.argv = [str(path)]
        sys.modules[name] = module  # dataclasses and pickle look there, and so does a sibling that imports it back
        if needed is None or not _is_defined(path, needed, module, content):
            exec(compile(content, str(path), "exec", dont_inherit=True), module.__dict__)
    return module, path, content, changed


def _is_defined(path: Path, name: str, module: ModuleType, content: bytes) -> bool:
    """Run only what a name needs, and say whether that was enough."""
    before = dict(module.__dict__)
    try:
        run_definition(path, name, module, content)
    except Exception:  # noqa: BLE001  whatever it raises, the whole file is run then
        module.__dict__.clear()
        module.__dict__.update(before)
        return False
    return name.partition(".")[0] in module.__dict__


def _import(name: str) -> tuple[ModuleType, Path | None, bytes, list[str]]:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        with settings_kept() as changed:
            module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, but one that it needs is not
        raise LoadError(
            f"cannot load {name}: there is no file and no module of that name; a file is given as FILE.py:NAME."
        ) from error
    file = getattr(module, "__file__", None)
    if file is None and hasattr(module, "__path__"):
        raise LoadError(f"cannot load {name}: it is a folder; give a file, as in {name}/FILE.py:NAME.")
    if file is None or not file.endswith(".py"):
        return module, None, b"", changed  # compiled; its bytes say nothing to a reader
    return module, Path(file), _read(Path(file)), changed


def _read(path: Path) -> bytes:
    if path.suffix == ".ipynb":
        raise LoadError(
            f"cannot load {path.name}: it is a notebook; `jupyter nbconvert --to script {path.name}` makes a Python "
            f"file of it."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise file_access_error("read", path, error) from error
    if b"\0" in content:
        raise LoadError(f"cannot load {path.name}: it is no Python text (it holds zero bytes); give a .py file.")
    return content


def _module_name(path: Path) -> tuple[str, Path]:
    """Return the file's dotted name and the folder from which it counts, above every package around it."""
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    name = ".".join(parts)
    is_taken = name in sys.modules or name in sys.stdlib_module_names  # random.py is not the random of others
    return (f"{name}_" if is_taken else name), folder


def _is_module(place: str | Path) -> bool:
    text = str(place)
    is_path = isinstance(place, Path) or text.endswith((".py", ".ipynb")) or os.path.isfile(text)
    return not is_path and _is_dotted(text)


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def fetch(module: ModuleType, name: str, shown: str) -> Any:
    """Return the callable of that name; dots reach into classes.

    Args:
        module: The loaded module.
        name: Such as `attention` or `Attention.forward`.
        shown: How the messages call the file.

    Raises:
        LoadError: there is no such name, or it cannot be called; the text lists what is there.
    """
    found: Any = module
    for depth, part in enumerate(name.split(".")):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            where = " in ".join([*reversed(name.split(".")[:depth]), shown])
            names = _callables(found) if depth else defined_in(module) or _callables(found)
            raise LoadError(f"{where} has no {part}; {_near(part, names)}") from error
    if not callable(found):
        kind = type(found).__name__
        raise LoadError(f"{shown}: {name} is of type {kind} and cannot be called; {_listed(defined_in(module))}")
    return found


def only_candidate(module: ModuleType, shown: str) -> tuple[str, str]:
    """Return the name of the only public function or class that the module defines itself, and a note that says so.

    Raises:
        LoadError: there is none, or more than one.
    """
    names = defined_in(module)
    candidates = [name for name in names if not name.startswith(_NOT_JUDGED)] or names
    if len(candidates) == 1:
        return candidates[0], f"{candidates[0]} is judged, the only public function or class that {shown} defines."
    if candidates:
        raise LoadError(f"{shown}: which one is meant? Write {shown}:{candidates[0]}; {_listed(candidates)}")
    raise LoadError(f"{shown}: nothing to judge; {_listed(candidates)}")


def defined_in(module: ModuleType) -> list[str]:
    """Return the public functions and classes that the module defines itself, in its order; no second names."""
    seen: dict[int, str] = {}
    for name, value in vars(module).items():
        is_own = callable(value) and hasattr(value, "__qualname__") and value.__module__ == module.__name__
        if is_own and not name.startswith("_"):
            seen.setdefault(id(value), name)
    return list(seen.values())


def line_of(value: Any) -> int | None:
    """Return the line where a function or a class is defined, or an instance's class; None if Python cannot say."""
    value = value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    try:
        return inspect.getsourcelines(inspect.unwrap(value))[1]
    except (OSError, TypeError, ValueError, SyntaxError):  # built in, made by exec, or wrapped in a circle
        return None


def _callables(value: Any) -> list[str]:
    return [name for name in dir(value) if not name.startswith("_") and callable(getattr(value, name, None))]


def _near(name: str, names: list[str]) -> str:
    by_lower = {other.lower(): other for other in names}
    near = [by_lower[other] for other in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return _listed(names)


def _listed(names: list[str]) -> str:
    if not names:
        return "the file defines no public function and no class (what stands under `if __name__ ...` is not run)."
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"the file defines {', '.join(names[:12])}{more}."


@contextmanager
def settings_kept() -> Iterator[list[str]]:
    """Put torch's and NumPy's settings and the warning filters back afterwards; yield a list for the names of those.

    What the file replaces inside torch (`torch.softmax = ...`) stays replaced: its own functions count on it.
    """
    settings = [(name, get, put, get()) for name, get, put in _settings()]
    changed: list[str] = []
    try:
        with warnings.catch_warnings():
            yield changed
    finally:
        for name, get, put, before in settings:
            if get() != before:  # set_default_device slows torch down even where it changes nothing
                put(before)
                changed.append(name)


def _settings() -> list[_Setting]:
    import numpy as np
    import torch

    return [
        ("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        (
            "torch's default device",
            torch.get_default_device,
            lambda device: torch.set_default_device(None if device.type == "cpu" else device),
        ),
        ("how many threads torch uses", torch.get_num_threads, torch.set_num_threads),
        ("whether torch records gradients", torch.is_grad_enabled, torch.set_grad_enabled),
        ("torch's precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        ("how NumPy treats errors", np.geterr, lambda errors: np.seterr(**errors)),
    ]
