"""Loading what somebody wants judged: `FILE.py:NAME` or `package.module:NAME`.

A file is loaded as `python FILE.py` would: its folder comes first on the path, what stands under
`if __name__ == "__main__"` is not run. To be called in a child process, because the file may do anything.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from attention_surgeon.diagnose.names import fetch, line_of, only_candidate
from attention_surgeon.diagnose.neutral import settings_kept
from attention_surgeon.errors import LoadError
from attention_surgeon.files import file_access_error

Kind = Literal["function", "class", "instance"]


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


def load_target(place: str | Path, name: str | None = None) -> Target:
    """Load a file or a dotted module and return the object of that name.

    Args:
        place: A path, or a module such as `torch.nn.functional` (when there is no file of that name).
        name: The name in it; dots reach into classes (`Attention.forward`). None: the only public function or
            class that the file defines itself.

    Raises:
        FileAccessError: the file is missing, a folder, or may not be read.
        LoadError: there is no such name (the text lists the near ones), it cannot be called, or no name was given
            and there is not exactly one candidate; there is no such module.
        Exception: whatever the file itself raises while it is loaded, as it is.

    >>> target = load_target("attention_surgeon.ops.softmax", "softmax")
    >>> target.kind, target.file.name, target.note
    ('function', 'softmax.py', '')
    """
    loaded = _import(str(place)) if _is_module(place) else _run(Path(os.path.abspath(place)))
    module, file, content, changed = loaded
    shown = Path(place).name
    chosen, note = (name, "") if name is not None else only_candidate(module, shown)
    found = fetch(module, chosen, shown)
    kind: Kind = "class" if isinstance(found, type) else "function" if hasattr(found, "__qualname__") else "instance"
    sha256 = "" if file is None else hashlib.sha256(content).hexdigest()
    return Target(found, chosen, kind, line_of(found), file, sha256, len(content.splitlines()), note, tuple(changed))


def _run(path: Path) -> tuple[ModuleType, Path, bytes, list[str]]:
    """Run a file, from the bytes that are hashed: never from a stale .pyc."""
    content = _read(path)
    name, root = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert isinstance(spec, ModuleSpec)
    module = importlib.util.module_from_spec(spec)
    with settings_kept() as changed:
        sys.path[:0] = list(dict.fromkeys([os.path.dirname(os.path.realpath(path)), str(root)]))
        sys.argv = [str(path)]
        sys.modules[name] = module  # dataclasses and pickle look there, and so does a sibling that imports it back
        exec(compile(content, str(path), "exec", dont_inherit=True), module.__dict__)
    return module, path, content, changed


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
