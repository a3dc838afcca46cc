"""What a target's own text says: the fields of its configuration, the shapes that it unpacks, what it adds to scores.

Only syntax is read here; nothing of it is believed before a call has shown it.
"""

import ast
import copy
import functools
import inspect
import itertools
import linecache
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attention_surgeon.signatures import parameters_of

_BATCH = (
    r"b|bs|bsz|bsize|batch(_size)?s?|nb|n_batch|nbatch|batches|num_batch|n_batches|b_|bn|b_?n|b_windows|total_windows"
)
_TOKENS = r"""
    t| l| s| n| m| nq| nk| tq| tk| lq| lk| sq| sk| n_?[qkvxt]| q_?len| k_?len| kv_?len| seq(_?len(gth)?)?|
    (q|k|kv|tgt|src|target|source|query|key)_?(seq)?_?(len(gth)?|l|n|t|s)| len_?[qkv]| seq_?len_?(q|k|kv|v)|
    seqlen| slen| qlen| klen| length| tokens?| num_tokens| n_tokens| sequence(_length)?| time| i| j| n_ctx|
    ctx| block| seq_length| t_?[qk]| q| k| positions?| num_(queries|keys)| patches| l_?[qk]| context_length|
    s_?[qkxy]| num_key_value_pairs| no_?of_.*pairs| no\.\sof\s(queries|key-value\spairs)| total(_[qk])?|
    max_?len| n_?words
"""
_HEADS = r"""
    h| nh| hs?| heads?| n_?heads?| num_heads?| nheads?(_k)?| n_?h| kv_?heads?| hk| hq| h_?kv| g|
    num_kv_heads| h_?[qk]| n_?kv_?heads?
"""
_WIDTH = r"""
    d| c| e| f| dim| d_?(model|k|v|q|in|out|head|h)?| dk| dv| head_?(dim|size)| headdim| hd| hs|
    emb(ed)?(_?dim)?| embed_?dim| embedding_?dim| hidden(_?(size|dim))?| channels?| features?| width|
    model_dim| embed_size| n_embd| num_hiddens| c_?in| ch| dim_head| d_head| k_?dim| emb_dim| hidden_states|
    query_dim| context_dim| key_dim| inner_dim| size
"""


_METHODS = frozenset(("get", "update", "items", "keys", "values", "copy", "pop"))  # of a dictionary, not fields


@dataclass
class Text:
    """The text of a target, and the names that its file defines.

    Attributes:
        source: Of the class or function alone; empty where there is none.
        names: The globals of its file.
    """

    source: str
    names: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def tree(self) -> ast.AST:
        """The syntax; an empty module where the text is none."""
        try:
            return ast.parse(textwrap.dedent(self.source))
        except SyntaxError:
            return ast.Module([], [])

    @functools.cached_property
    def code(self) -> str:
        """The text without comments and strings that stand alone; as it is where it is no Python."""
        tree = copy.deepcopy(self.tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                node.body = [each for each in node.body if not _is_string(each)] or [ast.Pass()]
        return ast.unparse(tree) or self.source

    @functools.cached_property
    def strings(self) -> list[str]:
        """The docstrings, comments and string annotations, in order."""
        found = [
            node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        return [*found, *re.findall(r"#(.*)", self.source)]

    @functools.cached_property
    def globals_read(self) -> list[str]:
        """The names that are read here and defined in the file."""
        names = [node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)]
        return [name for name in dict.fromkeys(names) if name in self.names]

    def fields(self, name: str) -> dict[str, Any]:
        """Return what is read of a configuration called `name` (or `self.name`), each with its default or `...`.

        A field that is read as `config.attn.heads` is a dictionary of fields.
        """
        found: dict[str, Any] = {}
        for path, default in self._reads(name):
            place = found
            for part in path[:-1]:
                if not isinstance(place.get(part), dict):
                    place[part] = {}
                place = place[part]
            if not isinstance(place.get(path[-1]), dict) and place.get(path[-1], ...) is ...:
                place[path[-1]] = default
        return found

    def handed_to(self, name: str) -> Iterator[tuple[type, str]]:
        """Yield the classes of the file that are given a parameter as it is, each with what they call it."""
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            kind = self.names.get(node.func.id)
            if not inspect.isclass(kind) or kind.__module__.startswith("torch"):
                continue
            parameters = [p.name for p in parameters_of(kind) or ()]
            for place, argument in enumerate(node.args[: len(parameters)]):
                if _root(argument) == name:
                    yield kind, parameters[place]
            for keyword in node.keywords:
                if _root(keyword.value) == name and keyword.arg in parameters:
                    yield kind, str(keyword.arg)

    def is_subscripted(self, name: str) -> bool:
        """Whether a configuration is read as a dictionary."""
        return any(
            isinstance(node, ast.Subscript) and _path(node.value)[-1:] == (name,) for node in ast.walk(self.tree)
        )

    def is_indexed(self, name: str) -> bool:
        """Whether a parameter is read by number, or unpacked: a window of rows and columns."""
        return bool(name) and bool(re.search(rf"\b{re.escape(name)}\[[01]\]", self.source))

    def is_called(self, name: str) -> bool:
        """Whether a parameter is called: a module, not a tensor."""
        return bool(re.search(rf"\b{re.escape(name)}\(", self.source))

    def _reads(self, name: str) -> Iterator[tuple[tuple[str, ...], Any]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield from self._read_with_default(node, name)
                continue
            path = _path(node)
            if path and path[0] == name:
                path = tuple(itertools.takewhile(lambda part: part not in _METHODS, path[1:]))
                if path:
                    yield path, ...

    def _read_with_default(self, node: ast.Call, name: str) -> Iterator[tuple[tuple[str, ...], Any]]:
        is_getattr = isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")
        is_get = isinstance(node.func, ast.Attribute) and node.func.attr == "get" and _root(node.func.value) == name
        if is_getattr and len(node.args) >= 2 and _root(node.args[0]) == name:
            key, default = node.args[1], node.args[2] if len(node.args) > 2 else None
        elif is_get and node.args:
            key, default = node.args[0], node.args[1] if len(node.args) > 1 else None
        else:
            return
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            try:
                yield (key.value,), ast.literal_eval(default) if default is not None else None
            except ValueError:
                yield (key.value,), ...

    def choices(self, name: str) -> list[str]:
        """Return the strings with which a parameter, or an attribute or field of that name, is compared."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Compare) and name in (_path(node.left) or ("",))[-1:]:
                for part in node.comparators:
                    parts = part.elts if isinstance(part, ast.Tuple | ast.List | ast.Set) else [part]
                    found += [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]
        return list(dict.fromkeys(found))

    def may_be_none(self, name: str) -> bool:
        """Whether a parameter or field is compared with None."""
        return bool(re.search(rf"\b{re.escape(name)}\s+is\s+(not\s+)?None\b", self.source))

    def may_not_be_none(self, name: str) -> bool:
        """Whether it is asserted of a field that it is not None."""
        return bool(re.search(rf"\bassert\s+(\w+\.)*{re.escape(name)}\s+is\s+not\s+None\b", self.source))

    def is_switch(self, name: str) -> bool:
        """Whether a parameter or field is asked for as yes or no: `if self.name:`, `not name`."""
        return bool(re.search(rf"\b(if|elif|not|and|or)\s+(\w+\.)*{re.escape(name)}\s*(:|\)|\bor\b|\band\b|\belse\b|$)",
                              self.source, re.MULTILINE))  # fmt: skip

    def is_added(self, name: str) -> bool:
        """Whether an argument is added to something: a mask that is added to scores."""
        return bool(re.search(rf"(\+=?|add\w*\()\s*{re.escape(name)}\b", self.source))

    def unpacked(self, name: str) -> str:
        """Return the axes that `b, n, d = name.shape` give an argument; `?` for another name, `*` for any more."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                axes = _unpacking(node.targets[0], node.value, name)
                if axes:
                    return axes
        return ""

    def in_einsum(self, name: str) -> str:
        """Return the axes that `einsum("bthd,...", q, k)` gives an argument whose name stands for nothing else."""
        stored = (
            node for node in ast.walk(self.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
        if any(node.id == name for node in stored):
            return ""
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("einsum"):
                continue
            equation = next((part.value for part in node.args if isinstance(part, ast.Constant)), "")
            operands = [
                part.id if isinstance(part, ast.Name) else ""
                for part in node.args
                if not isinstance(part, ast.Constant)
            ]
            letters = str(equation).partition("->")[0].split(",")
            if name in operands and len(letters) == len(operands):
                given = letters[operands.index(name)].strip()
                axes = "".join(map(axis_of, given.split() if " " in given else given))
                return axes if "?" not in axes and len(set(axes)) == len(axes) > 1 else ""
        return ""

    def declared(self, name: str) -> str:
        """Return the axes that the docstring or a comment gives an argument: `queries: (batch, n, d)`."""
        helpers = self._helpers(name)
        for text in self._without(helpers).strings if helpers else self.strings:
            for match in re.finditer(
                rf"\b{re.escape(name)}\b[^\n(\[]{{0,80}}[(\[]([^()\[\]]+)[)\]]", text, re.IGNORECASE
            ):
                axes = axes_of_words(match[1])
                if axes and "n" in axes:
                    return axes
        return ""

    def _helpers(self, name: str) -> list[str]:
        """Return the texts of the methods beside the one that is called whose own argument has this name."""
        kind = next((node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)), None)
        methods = [node for node in kind.body if isinstance(node, ast.FunctionDef)] if kind is not None else []
        if not {"forward", "__call__"} & {method.name for method in methods}:
            return []
        text = textwrap.dedent(self.source)
        return [
            ast.get_source_segment(text, method) or ""
            for method in methods
            if method.name not in ("forward", "__call__", "__init__")
            and name in {a.arg for a in (*method.args.args, *method.args.kwonlyargs)}
        ]

    def _without(self, parts: Sequence[str]) -> "Text":
        source = textwrap.dedent(self.source)
        for part in parts:
            source = source.replace(part, "pass")
        return Text(source, self.names)


def _is_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _unpacking(targets: ast.Tuple, value: ast.expr, name: str) -> str:
    """Return the axes of one unpacking: `b, n, _ = x.shape`; `b, c, *rest = x.shape` ends with `*`."""
    others = 0
    if isinstance(value, ast.Tuple) and isinstance(value.elts[0], ast.Starred):  # `b, n, _, h = *x.shape, self.heads`
        value, others = value.elts[0].value, len(value.elts) - 1
    text = ast.unparse(value)
    if not re.match(rf"\*?\(?{re.escape(name)}\.(shape|size\(\))", text.strip("(")):
        return ""
    if text not in (f"{name}.shape", f"{name}.size()"):
        return ""
    *firsts, last = targets.elts[: len(targets.elts) - others]
    if any(isinstance(part, ast.Starred) for part in firsts) or not firsts:
        return ""
    named = [part.id if isinstance(part, ast.Name) else "" for part in (*firsts, last)]
    axes = [axis_of(word) if word else "?" for word in named]
    words = [word.lower().strip("_") for word in named]
    for rows, columns in (("h", "w"), ("height", "width"), ("n_h", "n_w")):  # `b, h, w, _`: a picture, no heads
        if rows in words and columns in words:
            axes[words.index(rows)], axes[words.index(columns)] = "y", "x"
    return "".join([*axes[:-1], "*" if isinstance(last, ast.Starred) else axes[-1]])


def axis_of(word: str) -> str:
    """Return the letter of an axis by its name, `?` where the name says nothing.

    >>> axis_of("bsz"), axis_of("seq_len"), axis_of("n_heads"), axis_of("C"), axis_of("_")
    ('b', 'n', 'h', 'd', '?')
    """
    plain = word.strip().lower().strip("_")
    for letter, pattern in (("b", _BATCH), ("h", _HEADS), ("n", _TOKENS), ("d", _WIDTH)):
        if re.fullmatch(pattern, plain, re.VERBOSE):
            return letter
    return "?"


def axes_of_words(text: str) -> str:
    """Return the axes of `batch, seq, dim`; empty where a word says nothing or two axes are the same."""
    parts = [part.strip(" `'\"") for part in re.split(r"[,x×]\s+|,|\s{1}(?=\S)" if "," not in text else ",", text)]
    axes = "".join(axis_of(part) for part in parts if part)
    if len(axes) == 4 and axes[0] == "b" and axes.count("h") == 1:  # [B, M, H, K]: the heads tell the rest
        return {1: "bhnd", 2: "bnhd"}.get(axes.index("h"), "")
    return axes if "?" not in axes and len(set(axes)) == len(axes) and len(axes) > 1 else ""


def _path(node: ast.AST) -> tuple[str, ...]:
    """Return `("config", "n_head")` for `config.n_head`, `self.config.n_head` and `config["n_head"]`."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        before = _path(node.value)
        return () if not before else (node.attr,) if before == ("self",) else (*before, node.attr)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        before = _path(node.value)
        return (*before, node.slice.value) if before else ()
    return ()


def _root(node: ast.AST) -> str:
    path = _path(node)
    return path[0] if len(path) == 1 else ""


def text_of(target: Any, source: str | None = None) -> Text:
    """Return the text of a target; `source` is the text of its whole file, for what was executed from a string."""
    subject = target if inspect.isclass(target) or inspect.isroutine(target) else type(target)
    name = getattr(subject, "__name__", "")
    names = globals_of(subject)
    if source is not None:
        cut = _cut(source, name)
        if cut:
            return Text(cut, names)
    try:
        return Text(inspect.getsource(subject), names)
    except (OSError, TypeError):
        return Text(_from_file(subject, name), names)


def globals_of(subject: Any) -> Mapping[str, Any]:
    """Return the names of the file that a function or a class was made in."""
    if hasattr(subject, "__globals__"):
        return subject.__globals__
    for part in vars(subject).values() if inspect.isclass(subject) else ():
        function = getattr(part, "__func__", part)
        if inspect.isfunction(function):
            return function.__globals__
    return vars(sys.modules.get(getattr(subject, "__module__", ""), object)) if inspect.isclass(subject) else {}


def is_installed(file: str) -> bool:
    """Whether a file belongs to an installed package.

    >>> is_installed("/usr/lib/python3/dist-packages/einops/einops.py"), is_installed("/home/me/attention.py")
    (True, False)
    """
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _from_file(subject: Any, name: str) -> str:
    codes = [getattr(subject, "__code__", None)]
    if inspect.isclass(subject):
        codes += [getattr(part, "__code__", None) for part in vars(subject).values()]
    for code in codes:
        if code is not None:
            return _cut("".join(linecache.getlines(code.co_filename)), name)
    return ""


def _cut(source: str, name: str) -> str:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return ast.get_source_segment(source, node) or ""
    return ""
