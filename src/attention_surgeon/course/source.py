"""What can be seen of a learner's file without running it: is it Python, begun, finished, the learner's own."""

import ast
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

_OURS = "attention_surgeon"
_HARMLESS = ("attention_surgeon.course", "attention_surgeon.testing", "attention_surgeon.errors")
_READY_MADE = ("scaled_dot_product_attention", "MultiheadAttention", "multi_head_attention_forward", "flex_attention")
_SOLUTIONS = ("solution", "solutions")
_HERE = "YOUR CODE HERE"


@final
@dataclass(frozen=True)
class Seen:
    """Why a file need not be run.

    Attributes:
        status: `untouched`, `unfinished` or `stopped`.
        sentence: For the learner.
        line: Where.
    """

    status: str
    sentence: str
    line: int | None = None


def read_source(content: bytes, name: str, wanted: str, stub: str, solution: str) -> Seen | None:
    """Return why a file need not be run, None if it must be.

    Args:
        content: The file.
        name: Of the file, for sentences.
        wanted: The name of the function or class in it.
        stub: The file as the course gives it.
        solution: A right one: what it borrows may be borrowed.
    """
    try:
        tree = ast.parse(content)
    except SyntaxError as error:
        return Seen("stopped", _syntax_in_words(error, name), error.lineno)
    except ValueError as error:
        return Seen("stopped", f"{name} is no Python text: {error}. Save it as UTF-8 text.")
    given, right = ast.parse(stub), ast.parse(solution)
    mine = find_definition(tree, wanted)
    if mine is None:
        return None  # whoever loads it says which names there are
    if _without_texts(mine) == _without_texts(find_definition(given, wanted)):
        return Seen("untouched", f"{wanted} is as it was given: write the part under YOUR CODE HERE.", _todo(mine))
    line = _todo(mine)
    if line is not None:
        return Seen("unfinished", f"{wanted} still says `raise NotImplementedError` at line {line}.", line)
    return _borrowed(tree, mine, given, right, name, wanted)


def find_definition(tree: ast.AST | None, dotted: str) -> ast.AST | None:
    """Return the last definition of a name in a module, dots reach into classes."""
    for part in dotted.split("."):
        found = [node for node in getattr(tree, "body", ()) if part in _names_of(node)]
        if not found:
            return None
        tree = found[-1]
    return tree


def _names_of(node: ast.AST) -> tuple[str, ...]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return (node.name,)
    if isinstance(node, ast.Assign):
        return tuple(target.id for target in node.targets if isinstance(target, ast.Name))
    return ()


def _without_texts(node: ast.AST | None) -> str:
    """Return what a definition does, without its docstrings, which are no beginning."""
    if node is None:
        return ""
    copy = ast.parse(ast.unparse(node))
    for inner in ast.walk(copy):
        body = getattr(inner, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[:] = body[1:] or [ast.Pass()]
    return ast.dump(copy)


def _todo(node: ast.AST) -> int | None:
    """Return the line of the first `raise NotImplementedError` in a definition."""
    lines = []
    for inner in ast.walk(node):
        raised = inner.exc if isinstance(inner, ast.Raise) else None
        called = raised.func if isinstance(raised, ast.Call) else raised
        if isinstance(inner, ast.Raise) and isinstance(called, ast.Name) and called.id == "NotImplementedError":
            lines.append(inner.lineno)
    return min(lines, default=None)


def _borrowed(tree: ast.AST, mine: ast.AST, given: ast.AST, right: ast.AST, name: str, wanted: str) -> Seen | None:
    allowed = {module for module, _ in _imports(given)} | {module for module, _ in _imports(right)}
    for module, line in _imports(tree):
        top = module.partition(".")[0]
        if module in allowed:
            continue
        if top == _OURS and not module.startswith(_HARMLESS):
            return Seen(
                "stopped",
                f"{name} imports {module} at line {line}: that is this package's own attention. What is judged must be "
                f"yours; take the import out.",
                line,
            )
        if top in _SOLUTIONS:
            return Seen(
                "stopped", f"{name} imports {module} at line {line}: that is no work of yours; write it here.", line
            )
    known = {word for word, _ in _words(right)} | {word for word, _ in _words(given)}
    own = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for part in _with_helpers(mine, own):
        for word, line in _words(part, own):
            if word in _READY_MADE and word not in known:
                return Seen(
                    "stopped",
                    f"{wanted} uses {word} at line {line}: that is the ready-made one, and here it is to be built. "
                    f"Use it to compare, outside {wanted}.",
                    line,
                )
    return None


def _with_helpers(mine: ast.AST, own: Mapping[str, ast.AST]) -> list[ast.AST]:
    """Return a definition, and those of the file's own functions that it uses, whatever they are called."""
    found, left = [mine], [mine]
    while left:
        part = left.pop()
        for word, _ in _words(part):
            if word in own and own[word] not in found and not any(own[word] is each for each in ast.walk(mine)):
                found.append(own[word])
                left.append(own[word])
    return found


def asked_by(stub: str, wanted: str) -> str:
    """Return what a stub says of its function or class, as Markdown: docstrings and the comments to be replaced."""
    node, lines = find_definition(ast.parse(stub), wanted), stub.splitlines()
    if not isinstance(node, ast.ClassDef | ast.FunctionDef):
        return ""
    is_class = isinstance(node, ast.ClassDef)
    told = [ast.get_docstring(node) or ""] if is_class else []
    for part in node.body if is_class else [node]:
        if isinstance(part, ast.FunctionDef) and _todo(part) is not None:
            told += [f"`{part.name}({ast.unparse(part.args)})`"] if is_class else []
            told += [ast.get_docstring(part) or "", *_comments(lines[part.lineno : part.end_lineno])]
    return "\n\n".join(filter(None, told))


def _comments(lines: Sequence[str]) -> Iterator[str]:
    """Yield the comments that stand where something is to be written, as a block."""
    comments = [line.strip().removeprefix("#")[1:] for line in lines if line.strip().startswith("#")]
    kept = [line for line in comments if line != _HERE]
    if kept:
        yield "\n".join(["```text", *kept, "```"])


def imports_of(text: str) -> list[str]:
    r"""Return the modules that a file of the course imports.

    >>> imports_of("import torch\nfrom torch import nn\nimport matplotlib.pyplot as plt")
    ['matplotlib.pyplot', 'torch']
    """
    return sorted({module for module, _ in _imports(ast.parse(text))})


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno


def _words(tree: ast.AST, own: Container[str] = ()) -> Iterator[tuple[str, int]]:
    """Yield the names that are used; those of the file's own functions and methods are left out if they are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            is_own = node.attr in own and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not is_own:
                yield node.attr, node.lineno
        elif isinstance(node, ast.Name) and node.id not in own:
            yield node.id, node.lineno


def _syntax_in_words(error: SyntaxError, name: str) -> str:
    text = (error.text or "").rstrip("\n")
    line = text.strip()
    shown = f" (`{line[:70]}`)" if line and line.isprintable() else ""
    return f"{name}, line {error.lineno or 1}{shown}: {_plain(error)}"


def _plain(error: SyntaxError) -> str:
    """Return what Python says of a line in plainer words, where there are some."""
    said = error.msg or "invalid syntax"
    if isinstance(error, TabError) or "inconsistent use of tabs" in said:
        return "tabs and blanks are mixed at the beginning of the line; use four blanks."
    plain = {
        "expected ':'": "a colon is missing at the end of this line.",
        "unexpected indent": "this line is indented further than the one before it; move it to the left.",
        "invalid syntax": "Python cannot read this line; look at the place just before where it stops.",
        "source code string cannot contain null bytes": "there are zero bytes in it; save it as UTF-8 text.",
    }
    if said in plain:
        return plain[said]
    if said.startswith("expected an indented block"):
        return f"{said}; what belongs to it must be indented by four blanks."
    if said.startswith("unindent does not match"):
        return "its indentation fits no line above it; count the blanks."
    if "was never closed" in said:
        return f"the bracket {said.split()[0]} is opened here and never closed."
    if "unterminated string" in said:
        return "a text begins here and its quotation mark at the end is missing."
    return f"{said}."
