"""A file as text that can be edited: which statements the target is made of, and where each expression stands."""

import builtins
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import libcst as cst
import libcst.matchers as m
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, ParentNodeProvider

from attention_surgeon.errors import FileFormatError, LoadError

Node = TypeVar("Node", bound=cst.CSTNode)


@dataclass(frozen=True)
class Splice:
    """Bytes `start` to `end` of the text replaced by `text`; with `start == end` it is put in between."""

    start: int
    end: int
    text: str


class Source:
    """The text of a Python file, parsed once.

    Spans are counted in bytes of UTF-8, as libcst gives them.
    """

    def __init__(self, text: str) -> None:
        """Parse the text.

        Raises:
            FileFormatError: it is no Python.
        """
        self.text, self.content = text, text.encode()
        try:
            wrapper = MetadataWrapper(cst.parse_module(self.content), unsafe_skip_copy=True)
        except cst.ParserSyntaxError as error:
            raise FileFormatError(
                f"line {error.raw_line}: {error.message}; only Python that runs can be mended."
            ) from None
        self.module = wrapper.module
        self._spans = wrapper.resolve(ByteSpanPositionProvider)
        self._parents = wrapper.resolve(ParentNodeProvider)

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return where a node starts and ends, its parentheses included."""
        found = self._spans[node]
        start, end = found.start, found.start + found.length
        if isinstance(node, cst.BaseExpression) and node.lpar:  # libcst counts from what is inside of them
            last = self._spans[node.rpar[-1]]
            start, end = self._spans[node.lpar[0]].start, last.start + last.length
        return start, end

    def code(self, node: cst.CSTNode) -> str:
        """Return a node's own text."""
        start, end = self.span(node)
        return self.content[start:end].decode()

    def line(self, node: cst.CSTNode) -> int:
        """Return the line a node starts in, counted from 1."""
        return self.content.count(b"\n", 0, self.span(node)[0]) + 1

    def starts_of(self, lines: Sequence[int]) -> list[int]:
        """Return where lines start, in bytes; lines are counted from 1, and those that are not there left out."""
        starts = [0, *(place + 1 for place, byte in enumerate(self.content) if byte == 10)]
        return [starts[line - 1] for line in lines if 0 < line <= len(starts)]

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """Return the node around a node; None for the module."""
        return self._parents.get(node)

    def around(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Yield the nodes around a node, the nearest first."""
        while (node_or_none := self.parent(node)) is not None:
            node = node_or_none
            yield node

    def enclosing(self, node: cst.CSTNode, kind: type[Node]) -> Node | None:
        """Return the nearest node of a kind around a node."""
        return next((one for one in self.around(node) if isinstance(one, kind)), None)

    def spliced(self, splices: Sequence[Splice]) -> str:
        """Return the text with every splice in it; they may not overlap."""
        content = self.content
        for splice in sorted(splices, key=lambda one: (one.start, one.end), reverse=True):
            content = content[: splice.start] + splice.text.encode() + content[splice.end :]
        return content.decode()

    @cached_property
    def definitions(self) -> dict[str, int]:
        """Which statement of the file defines a name, by its index; the last one counts."""
        return {name: index for index, one in enumerate(self.module.body) for name in _defined_by(one)}

    @cached_property
    def imported(self) -> frozenset[str]:
        """The names that imports of the file bind: `np`, `math`, `F`."""
        names: set[str] = set()
        for one in m.findall(self.module, m.ImportAlias()):
            assert isinstance(one, cst.ImportAlias)
            bound = one.asname.name if one.asname else one.name
            names.add(self.module.code_for_node(bound).split(".")[0])
        return frozenset(names)

    def closure(self, name: str, *handed: str) -> "Closure":
        """Return the statements that an object of the file is made of, and what is handed to it.

        Args:
            name: Of the object.
            handed: Names of classes of the file that it is given objects of: a cache.

        Raises:
            LoadError: the file does not define it.
        """
        first = name.partition(".")[0]
        if first not in self.definitions:
            raise LoadError(f"the file does not define {first} itself; give the file that does.")
        found, waiting = set[int](), [self.definitions[one] for one in (first, *handed)]
        while waiting:
            index = waiting.pop()
            if index not in found:
                found.add(index)
                waiting += [self.definitions[one] for one in self._used_in(index) if one in self.definitions]
        return Closure(self, tuple(sorted(found)), self.definitions[first])

    def _used_in(self, index: int) -> set[str]:
        """Return the names of the file that a statement reads: a local `s` is no `def s` of the file."""
        return set(_globals_in(symtable.symtable(self.code(self.module.body[index]), "<statement>", "exec")))


@dataclass(frozen=True)
class Closure:
    """The statements that an object is made of: its own, and what they use of the same file.

    Attributes:
        source: The file.
        indices: Of these statements in the module.
        own: The index of the one that defines the object.
    """

    source: Source
    indices: tuple[int, ...]
    own: int

    @cached_property
    def spans(self) -> dict[int, tuple[int, int]]:
        """Where each statement starts and ends, its decorators included."""
        return {index: self.source.span(self.source.module.body[index]) for index in self.indices}

    def index_at(self, place: int) -> int:
        """Return which of the statements a place of the text is in."""
        return next((index for index, (start, end) in self.spans.items() if start <= place < end), self.own)

    @cached_property
    def shared(self) -> frozenset[int]:
        """The statements that others of the file use too: what is changed in them changes for everybody."""
        body = self.source.module.body
        others = "\n".join(self.source.code(one) for index, one in enumerate(body) if index not in self.indices)
        return frozenset(
            index
            for index in self.indices
            for name in _defined_by(body[index])
            if index != self.own and re.search(rf"\b{re.escape(name)}\b", others)
        )

    def nodes(self) -> Iterator[cst.CSTNode]:
        """Yield every node of these statements that may be edited, those of the object itself first."""
        for index in sorted(self.indices, key=lambda index: index != self.own):
            statement = self.source.module.body[index]
            if not m.matches(statement, m.SimpleStatementLine(body=[m.Import() | m.ImportFrom()])):
                yield from _walk(statement)


@dataclass(frozen=True)
class Scope:
    """What an expression may name where it stands.

    Attributes:
        names: Parameters and variables of the functions around it, the parameters first.
        parameters: The parameters alone.
        called: Attributes of `self` that are called somewhere in the file: `q_proj`.
        held: Its other attributes: `num_heads`.
        read: Attributes that somebody uses after they were made.
        is_numpy: Whether NumPy is spoken here and not torch.
    """

    names: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    read: frozenset[str] = frozenset()
    is_numpy: bool = False


@dataclass
class Scopes:
    """Finds the scope of nodes, once for every function."""

    closure: Closure
    _known: dict[cst.CSTNode | None, Scope] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """The file."""
        return self.closure.source

    def of(self, node: cst.CSTNode) -> Scope:
        """Return what may be named where a node stands."""
        function = self.source.enclosing(node, cst.FunctionDef)
        if function not in self._known:
            self._known[function] = self._of_function(function)
        return self._known[function]

    def _of_function(self, function: cst.FunctionDef | None) -> Scope:
        called, held, read = self._attributes
        if function is None:
            return Scope(called=called, held=held, read=read, is_numpy=self._is_numpy(None))
        around = [function, *(one for one in self.source.around(function) if isinstance(one, cst.FunctionDef))]
        parameters = [
            one.name.value
            for outer in around
            for one in m.findall(outer.params, m.Param())
            if isinstance(one, cst.Param) and one.name.value not in ("self", "cls")
        ]
        assigned = [name for outer in around for name in _assigned_in(outer)]
        names = tuple(dict.fromkeys([*parameters, *assigned]))
        return Scope(names, tuple(dict.fromkeys(parameters)), called, held, read, self._is_numpy(function))

    def _is_numpy(self, function: cst.FunctionDef | None) -> bool:
        """Whether the definition around speaks NumPy and not torch; one that speaks neither, as the others do."""
        if not {"np", "numpy"} & self.source.imported or "torch" not in self.source.imported:
            return "np" in self.source.imported
        outer = [function, *self.source.around(function)][-2:-1] if function is not None else []
        texts = [self.source.code(one) for one in outer if one is not None]
        statements = (self.source.module.body[index] for index in self.closure.indices)
        texts.append("\n".join(self.source.code(one) for one in statements))
        for text in texts:
            if _NUMPY.search(text) or _TORCH.search(text):
                return not _TORCH.search(text)
        return False

    @cached_property
    def _attributes(self) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
        """The attributes of `self` that are called, those that are only held, and those that are read."""
        called: dict[str, None] = {}
        held: dict[str, None] = {}
        read: set[str] = set()
        for index in self.closure.indices:
            for one in m.findall(self.source.module.body[index], m.Attribute(value=m.Name("self"))):
                assert isinstance(one, cst.Attribute)
                parent = self.source.parent(one)
                is_called = isinstance(parent, cst.Call) and parent.func is one
                (called if is_called else held)[one.attr.value] = None
                if not isinstance(parent, cst.AssignTarget):
                    read.add(one.attr.value)
        return tuple(called), tuple(name for name in held if name not in called), frozenset(read)


_NUMPY, _TORCH = re.compile(r"\bnp\.|\bnumpy\."), re.compile(r"\btorch\.|\bnn\.|\bF\.")


def _globals_in(table: symtable.SymbolTable) -> Iterator[str]:
    is_module = table.get_type() == "module"
    yield from (one.get_name() for one in table.get_symbols() if one.is_referenced() and (is_module or one.is_global()))
    for inner in table.get_children():
        yield from _globals_in(inner)


def _assigned_in(function: cst.FunctionDef) -> list[str]:
    targets = m.findall(function.body, m.AssignTarget() | m.CompFor() | m.For())
    return [
        name.value
        for one in targets
        for name in m.findall(one.target, m.Name())  # type: ignore[attr-defined]
        if isinstance(name, cst.Name) and name.value != "self" and not hasattr(builtins, name.value)
    ]


def _defined_by(statement: cst.BaseStatement | cst.SimpleStatementLine) -> list[str]:
    if isinstance(statement, cst.FunctionDef | cst.ClassDef):
        return [statement.name.value]
    if not isinstance(statement, cst.SimpleStatementLine):
        return []
    names = []
    for one in statement.body:
        if isinstance(one, cst.Assign):
            names += [name for target in one.targets for name in _names_in(target.target)]
        elif isinstance(one, cst.AnnAssign):
            names += _names_in(one.target)
    return names


def _names_in(target: cst.CSTNode) -> list[str]:
    return [one.value for one in m.findall(target, m.Name()) if isinstance(one, cst.Name)]


def _walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield a node and what is in it, in the order of the text, without decorators, annotations and docstrings."""
    if isinstance(node, cst.Decorator | cst.Annotation | cst.BaseParenthesizableWhitespace | cst.TrailingWhitespace):
        return
    yield node
    for child in node.children:
        yield from _walk(child)
