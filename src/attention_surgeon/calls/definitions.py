"""Running what defines a name and not the rest: a file that trains when it is loaded is not trained.

Only the statements that the name needs are run, in their order: imports, functions, classes and assignments, found by
the names that they bind and read. A package that is missing is an error where it is used, not where it is imported; a
module of the user's own is looked for in the folders above the file.
"""

import ast
import builtins
import importlib
import inspect
import os
import re
import symtable
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import Any

from attention_surgeon.calls.source import globals_of
from attention_surgeon.calls.standins import moved_part, stand_in

_LEVELS = 6
_ROOT_FILES = ("pyproject.toml", ".git", "setup.py", "setup.cfg")


def needed_statements(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the statements of a file that `name` needs, in order; all of them if nothing binds it.

    >>> tree = ast.parse("import torch\\nwidth = 3\\nclass A:\\n    size = width\\nfor i in range(10**9):\\n    A()")
    >>> [type(one).__name__ for one in needed_statements(tree, "A")]
    ['Assign', 'ClassDef']
    """
    binders: dict[str, list[int]] = {}
    loops = [place for place, one in enumerate(tree.body) if isinstance(one, ast.For | ast.While)]
    for place, statement in sorted(enumerate(tree.body), key=lambda one: one[0] in loops):
        for bound in _bound(statement):
            if place not in loops or bound not in binders:  # a loop only for a name that nothing else binds
                binders.setdefault(bound, []).append(place)
    if name not in binders:
        return list(tree.body)
    kept = {place for place, one in enumerate(tree.body) if _is_always(one)}
    waiting, seen, own = [name], {name}, _names_of_itself(tree)
    while waiting:
        for place in binders.get(waiting.pop(), ()):
            if place not in kept:
                kept.add(place)
                new = (_read(tree.body[place]) | _read_through(tree.body[place], own)) - seen
                seen |= new
                waiting += new
    return [tree.body[place] for place in sorted(kept)]


def _is_always(statement: ast.stmt) -> bool:
    """Whether a statement is run whatever is asked for: `from __future__`, and `import *`, which may bind anything."""
    return isinstance(statement, ast.ImportFrom) and (
        statement.module == "__future__" or any(one.name == "*" for one in statement.names)
    )


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds or changes at the top level of a file."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(one.asname or one.name).partition(".")[0] for one in statement.names}
    if isinstance(statement, ast.If | ast.Try | ast.With):
        return {name for one in ast.iter_child_nodes(statement) for name in _bound_inside(one)} | _stored(statement)
    return _stored(statement)


def _bound_inside(node: ast.AST) -> set[str]:
    if isinstance(node, ast.stmt):
        return _bound(node)
    return {name for one in getattr(node, "body", ()) if isinstance(one, ast.stmt) for name in _bound(one)}


def _stored(statement: ast.stmt) -> set[str]:
    """Return the names assigned to, and those of which an attribute or an item is."""
    targets: Iterable[ast.AST] = (
        statement.targets if isinstance(statement, ast.Assign)
        else [statement.target] if isinstance(statement, ast.AnnAssign | ast.AugAssign | ast.For)
        else [one.optional_vars for one in statement.items if one.optional_vars] if isinstance(statement, ast.With)
        else []
    )  # fmt: skip
    found = {node.id for one in targets for node in ast.walk(one) if isinstance(node, ast.Name)}
    if isinstance(statement, ast.For):
        found |= {name for one in statement.body for name in _bound(one)}
    return found


def _read(statement: ast.stmt) -> set[str]:
    """Return the names that a statement takes from the file: not what is local to a function or a comprehension."""
    names: set[str] = set()
    tables = [symtable.symtable(ast.unparse(statement), "", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        is_top = table.get_type() == "module"
        names |= {one.get_name() for one in table.get_symbols() if is_top or one.is_global() or one.is_free()}
    strings = {  # annotations in quotes
        node.value for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
    }  # fmt: skip
    return (names | strings) - set(dir(builtins))


def _names_of_itself(tree: ast.Module) -> set[str]:
    """Return the names under which a file holds its own module: `d2l = sys.modules[__name__]`."""
    assigned = (one for one in tree.body if isinstance(one, ast.Assign))
    mine = (one for one in assigned if ast.unparse(one.value) == "sys.modules[__name__]")
    return {target.id for one in mine for target in one.targets if isinstance(target, ast.Name)}


def _read_through(statement: ast.stmt, own: set[str]) -> set[str]:
    """Return the names that a statement takes from its own module: `d2l.Module`."""
    parts = (node for node in ast.walk(statement) if isinstance(node, ast.Attribute))
    return {node.attr for node in parts if isinstance(node.value, ast.Name) and node.value.id in own}


_LOGS = ("debug", "info", "warning", "log", "add_scalar")
"""What a package that is not there may be called for without a loss: `tracker.debug("attn", weights)`."""


_OTHER_LIBRARIES = ("flax", "haiku", "equinox", "tensorflow", "keras", "mlx", "paddle", "mindspore")
"""Whose modules are none of torch's."""


class Missing(ModuleType):
    """What stands for a module or name that cannot be imported: an error as soon as it is used."""

    def __init__(self, name: str, error: str) -> None:
        """Remember what was wanted and why it was not there."""
        super().__init__(name)
        self.__dict__["_error"] = error

    def __getattr__(self, name: str) -> Any:
        """Return a missing part of it."""
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(name) or Missing(f"{self.__name__}.{name}", self.__dict__["_error"])

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Raise; a decorator is left out: it returns the function that it is given."""
        if len(arguments) == 1 and not named and callable(arguments[0]) and hasattr(arguments[0], "__qualname__"):
            return arguments[0]
        if self.__name__.rpartition(".")[2] in _LOGS:
            return None
        raise ModuleNotFoundError(f"{self.__name__} is needed and not there: {self.__dict__['_error']}")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """Stand for a base class: a module of torch where its name says so."""
        import torch

        is_torchs = self.__name__.endswith("Module") and self.__name__.partition(".")[0] not in _OTHER_LIBRARIES
        return (torch.nn.Module,) if is_torchs else (_base(self),)


def _base(missing: Missing) -> type:
    """Return a class that says what is missing when an object of it is made."""
    return type(
        missing.__name__.rpartition(".")[2], (), {"__init__": lambda self, *given, **named: missing(self, *given)}
    )


def run_definition(path: Path, name: str, module: ModuleType, content: bytes) -> list[str]:
    """Run the statements of a file that define a name in the namespace of a module.

    Args:
        path: The file.
        name: What is asked for; of `Attention.forward` the first part.
        module: Where the names go; its `__package__` is set for relative imports.
        content: The bytes of the file.

    Returns:
        Notes: what was left out, and what could not be imported.

    Raises:
        Exception: whatever a statement raises, as it is.
    """
    tree = ast.parse(content, str(path))
    statements = needed_statements(tree, name.partition(".")[0])
    notes = [] if len(statements) == len(tree.body) else ["only what the name needs was run"]
    for statement in statements:
        code = compile(ast.Module([statement], []), str(path), "exec", dont_inherit=True)
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            exec(code, module.__dict__)
            continue
        try:
            _run_import(code, module, path, statement)
        except ImportError as error:
            notes.append(f"line {statement.lineno}: {error}")
            for one in statement.names:
                if one.name == "*":
                    module.__dict__.update(_parts_of_star(statements, path, statement, module))
                    continue
                bound = one.asname or one.name.partition(".")[0]
                mine = _own_part(one.name, path, statement)
                if mine is None and isinstance(statement, ast.ImportFrom) and not statement.level:
                    mine = moved_part(statement.module or "", one.name)
                found = stand_in(one.name) if mine is None else mine
                module.__dict__[bound] = found or Missing(one.name, str(error))
    return notes


def _parts_of_star(
    statements: Iterable[ast.stmt], path: Path, star: ast.Import | ast.ImportFrom, module: ModuleType
) -> dict[str, Any]:
    """Return what statements read and nothing binds, as far as the user's own module that `import *` names has it."""
    bound = {name for one in statements for name in _bound(one)} | vars(module).keys()
    wanted = {name for one in statements for name in _read(one)} - bound
    found = {name: _own_part(name, path, star) for name in sorted(wanted)}
    return {name: part for name, part in found.items() if part is not None}


def _own_part(name: str, path: Path, statement: ast.Import | ast.ImportFrom) -> Any:
    """Return what a package of the user's own tree has under a name, of which no more is run than defines it.

    None where there is none: a package may need another one that is not installed, and the name none of it.
    """
    if isinstance(statement, ast.Import):
        return None
    parts = [part for part in (statement.module or "").split(".") if part]
    if statement.level:
        folder = path.resolve().parents[statement.level - 1]
    else:
        folder = next((one for one in _folders(path) if parts and (one / parts[0]).exists()), None)
    return None if folder is None else _defined_below(name, folder.joinpath(*parts))


def _defined_below(name: str, place: Path, depth: int = 4) -> Any:
    """Return what a package or module defines under a name, or imports from a part of itself."""
    file = place / "__init__.py" if place.is_dir() else place.with_name(f"{place.name}.py")
    if not file.is_file() or not depth:
        return None
    content = file.read_bytes()
    for statement in ast.parse(content).body:
        if isinstance(statement, ast.ImportFrom) and statement.level == 1:
            wanted = next((one.name for one in statement.names if name in (one.asname, one.name)), None)
            inside = file.parent.joinpath(*(statement.module or "").split("."))
            part = None if wanted is None else _defined_below(wanted, inside, depth - 1)
            if part is not None:
                return part
        elif name in _bound(statement) and not isinstance(statement, ast.Import | ast.ImportFrom):
            module = ModuleType(file.stem)
            module.__file__ = str(file)
            sys.modules.setdefault(module.__name__, module)
            try:
                run_definition(file, name, module, content)
            except Exception:  # noqa: BLE001  somebody else's file may raise anything
                return None
            return vars(module).get(name)
    return None


def others_of_file(target: Any, pattern: str) -> dict[str, Any]:
    """Return what the target's file defines under a name that matches, also what the target itself does not need.

    Args:
        target: A class or function; an object's class is looked at.
        pattern: A regular expression, found anywhere in a name in small letters.
    """
    kind = target if inspect.isclass(target) or inspect.isroutine(target) else type(target)
    module = sys.modules.get(getattr(kind, "__module__", ""))
    try:
        path = Path(inspect.getsourcefile(kind) or "")
        content = path.read_bytes()
        tree = ast.parse(content)
    except (OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, Any] = {}
    own = globals_of(kind)  # of a text that is not the module's, what it defines itself
    for name in (name for statement in tree.body for name in sorted(_bound(statement))):
        if module is None or not re.search(pattern, name.lower()):
            continue
        try:
            if name not in own and name not in vars(module):
                run_definition(path, name, module, content)
        except Exception:  # noqa: BLE001  somebody else's file may raise anything
            continue
        value = own.get(name, vars(module).get(name))
        if value is not None and not isinstance(value, ModuleType):
            found[name] = value
    return found


def _run_import(code: Any, module: ModuleType, path: Path, statement: ast.Import | ast.ImportFrom) -> None:
    """Import; where the module is not there, once more with the folder of the user's tree that has it."""
    if isinstance(statement, ast.ImportFrom) and statement.level:
        _set_package(module, path, statement.level)
    with _not_itself(path, module, statement):
        try:
            exec(code, module.__dict__)
        except PackageNotFoundError as error:  # its `__init__` asks for its version, and nobody installed it
            place = folder_of(str(error.name), path)
            if place is None:
                raise
            package = ModuleType(place.name)
            package.__path__ = [str(place)]
            sys.modules[place.name] = package
            exec(code, module.__dict__)
        except ModuleNotFoundError as error:
            folder = folder_with(error.name or "", path)
            if folder is None:
                raise
            sys.path.insert(0, str(folder))
            importlib.invalidate_caches()
            exec(code, module.__dict__)


@contextmanager
def _not_itself(path: Path, module: ModuleType, statement: ast.Import | ast.ImportFrom) -> Iterator[None]:
    """Keep the half-made module out of an import: its package may import it back, and `mxnet.py` may import mxnet."""
    own = sys.modules.pop(module.__name__, None)
    wanted = {one.name.partition(".")[0] for one in statement.names} if isinstance(statement, ast.Import) else set()
    if isinstance(statement, ast.ImportFrom) and not statement.level:
        wanted = {str(statement.module).partition(".")[0]}
    kept, folder = list(sys.path), str(path.resolve().parent)
    if path.stem in wanted:
        sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != folder]
    try:
        yield
    finally:
        if path.stem in wanted:
            sys.path[:] = kept
        if own is not None:
            sys.modules[module.__name__] = own


def folder_of(name: str, path: Path) -> Path | None:
    """Return the package of this name, as an index spells it, that stands in a folder above a file."""
    first = name.replace("-", "_")
    return next((folder / first for folder in _folders(path) if first and (folder / first).is_dir()), None)


def folder_with(name: str, path: Path) -> Path | None:
    """Return the folder above a file in which a module of this name stands, up to the root of the project."""
    first = name.partition(".")[0]
    for folder in _folders(path):
        if first and ((folder / first).is_dir() or (folder / f"{first}.py").is_file()):
            return folder if str(folder) not in sys.path else None
    return None


def _folders(path: Path) -> Iterator[Path]:
    for folder in list(path.resolve().parents)[:_LEVELS]:
        yield folder
        if any((folder / one).exists() for one in _ROOT_FILES):
            return


def _set_package(module: ModuleType, path: Path, level: int) -> None:
    """Make the folders above a file packages without running their `__init__`, as far up as its imports reach."""
    folders = [path.resolve().parent]
    while len(folders) < level or (folders[-1] / "__init__.py").is_file():
        folders.append(folders[-1].parent)
    folders = folders[: max(level, len(folders) - 1)]
    name = ""
    for folder in reversed(folders):
        name = f"{name}.{folder.name}" if name else folder.name
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [str(folder)]
            sys.modules[name] = package
    module.__package__ = name
