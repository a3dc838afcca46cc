"""What stood where an error came up: the expression, and the values that its names had."""

import ast
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from types import FrameType
from typing import Any

_HARMLESS_METHODS = frozenset(
    "transpose permute swapaxes reshape view unsqueeze squeeze sum mean max min amax amin masked_fill T mT exp".split()
)


@dataclass(frozen=True)
class Scene:
    """The place of an error.

    Attributes:
        error: What was raised there.
        frame: Of the file's innermost function.
        line: In the file.
        instruction: Which one of the function's was running.
    """

    error: BaseException
    frame: FrameType
    line: int
    instruction: int

    @property
    def file(self) -> str:
        """The file."""
        return self.frame.f_code.co_filename

    @property
    def message(self) -> str:
        """What the error says, without its type."""
        return str(self.error)

    @cached_property
    def tree(self) -> ast.Module:
        """The whole file; empty where it can no longer be read."""
        try:
            return ast.parse("".join(linecache.getlines(self.file)))
        except SyntaxError:
            return ast.Module([], [])

    @cached_property
    def node(self) -> ast.expr | None:
        """The expression that was being worked out, None where Python does not say."""
        positions = self.frame.f_code.co_positions()
        found = next(islice(positions, self.instruction // 2, None), None)
        if found is None or None in found:
            return None
        same = [node for node in ast.walk(self.tree) if isinstance(node, ast.expr) and _position(node) == found]
        return same[0] if same else None

    @cached_property
    def function(self) -> ast.FunctionDef | None:
        """The function that the line stands in, the innermost one."""
        around = [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef) and node.lineno <= self.line <= (node.end_lineno or 0)
        ]
        return around[-1] if around else None

    def value(self, node: ast.expr | None, unknown: Any = None) -> Any:
        """Return what an expression was worth, `unknown` where that is not known, or finding out might do something."""
        if node is None or not all(map(_is_harmless, ast.walk(node))):
            return unknown
        code = compile(ast.fix_missing_locations(ast.Expression(node)), self.file, "eval")
        try:
            return eval(code, dict(self.frame.f_globals), dict(self.frame.f_locals))
        except Exception:  # noqa: BLE001  it raised once; what it was worth is then not known
            return unknown

    def shape(self, node: ast.expr | None) -> tuple[int, ...] | None:
        """Return the shape of what an expression was worth, None where it has none."""
        shape = getattr(self.value(node), "shape", None)
        return None if shape is None else tuple(shape)

    def assigned(self, node: ast.expr) -> ast.expr:
        """Return what a name was last set to above the line, or the expression itself where it is no such name."""
        if not isinstance(node, ast.Name) or self.function is None:
            return node
        found = [
            each.value
            for each in ast.walk(self.function)
            if isinstance(each, ast.Assign)
            and each.lineno < self.line
            and any(isinstance(target, ast.Name) and target.id == node.id for target in each.targets)
        ]
        return found[-1] if found else node

    def inside(self, kind: type[ast.expr]) -> Iterator[Any]:
        """Yield the parts of the expression that are of a kind."""
        yield from (each for each in ast.walk(self.node or ast.Tuple([], ast.Load())) if isinstance(each, kind))


def _position(node: ast.expr) -> tuple[int | None, ...]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def _is_harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr in _HARMLESS_METHODS
    return isinstance(
        node,
        ast.Name | ast.Attribute | ast.Constant | ast.UnaryOp | ast.USub | ast.Tuple | ast.keyword | ast.Load
        | ast.Subscript | ast.Slice,
    )  # fmt: skip
