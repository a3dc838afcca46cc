"""Attention without a scale: by its words, by its name, or because what calls it has scaled the queries.

Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine Translation", compare vectors by their plain
dot product; a helper `_attention(q, k, v)` is often given queries that the layer around it has divided already.
"""

import ast
import inspect
import linecache
import re
from typing import Any

from torch import nn

_SAID = re.compile(r"\bunscaled\b|without scal|no scal|not scal|\bT5", re.IGNORECASE)
_DOT_PRODUCT = re.compile(r"luong|dot_?(product)?_?att", re.IGNORECASE)
_SCALES = re.compile(r"scal|sqrt|\*\* *\(?-? *\(?(0?\.5|1 */ *2)|temperature", re.IGNORECASE)
_SCALED_QUERIES = re.compile(
    r"^\s*(self\.)?x?q(uery|ueries|s)?\w* *([*/]=|=[^=\n]*[*/]).*(scal|sqrt|\*\* *\(?-? *\(?(0?\.5|1 */ *2))",
    re.IGNORECASE | re.MULTILINE,
)


def promises_no_scale(name: str) -> bool:
    """Whether the name of a target says that nothing divides its scores."""
    return bool(_SAID.search(name))


def speaks_of_no_scale(says: str) -> bool:
    """Whether a target's text speaks of attention without a scale; it may mean another's, so a scale is no mistake."""
    return bool(_SAID.search(says))


def may_be_unscaled(target: Any, made: Any, name: str, says: str) -> bool:
    """Whether scores that nothing divides are as good as those that something does.

    Args:
        target: The class, function or object.
        made: The object that is called.
        name: Of the target.
        says: Its text.
    """
    if _SCALES.search(f"{name} {says}"):
        return False
    has_weights = isinstance(made, nn.Module) and any(True for _ in made.parameters())
    return (bool(_DOT_PRODUCT.search(name)) and not has_weights) or _is_given_scaled_queries(target)


def _is_given_scaled_queries(target: Any) -> bool:
    """Whether a function is called in its file by what scales its queries before."""
    if not inspect.isfunction(target):
        return False
    source = "".join(linecache.getlines(target.__code__.co_filename))
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    return any(
        _calls(node, target.__name__) and bool(_SCALED_QUERIES.search(ast.get_source_segment(source, node) or ""))
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name != target.__name__
    )


def _calls(node: ast.AST, name: str) -> bool:
    return any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == name
        for part in ast.walk(node)
    )
