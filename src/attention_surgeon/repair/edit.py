"""What an edit is, and the catalogue of those who propose them: a node goes in, texts in its place come out."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, get_args

import libcst as cst

from attention_surgeon.repair.source import Closure, Scope, Scopes, Source, Splice

Kind: TypeAlias = Literal[
    "axis", "scale", "mask", "operand", "shape", "projection", "call", "number", "operator", "statement", "state"
]
"""What an edit changes; a fault's stage says which kinds are tried first."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Site:
    """One node of the text, and what may be said there.

    Attributes:
        source: The file.
        node: The node.
        scope: What may be named there.
    """

    source: Source
    node: cst.CSTNode
    scope: Scope

    def code(self, node: cst.CSTNode | None = None) -> str:
        """Return the text of the node, or of one in it."""
        return self.source.code(self.node if node is None else node)

    def tight(self, node: cst.CSTNode) -> str:
        """Return the text of a node so that an operator or a dot may stand beside it."""
        return tight(self.code(node), node)

    def splice(self, text: str, node: cst.CSTNode | None = None) -> Splice:
        """Return the splice that puts a text in the place of the node, or of another."""
        return Splice(*self.source.span(self.node if node is None else node), text)

    @property
    def parent(self) -> cst.CSTNode | None:
        """The node around it."""
        return self.source.parent(self.node)

    @property
    def is_numpy(self) -> bool:
        """Whether NumPy is spoken here and not torch."""
        return self.scope.is_numpy


def tight(code: str, node: cst.CSTNode) -> str:
    """Return an expression's text so that an operator or a dot may stand beside it."""
    is_loose = isinstance(
        node, cst.BinaryOperation | cst.UnaryOperation | cst.Comparison | cst.BooleanOperation | cst.IfExp | cst.Lambda
    )
    return f"({code})" if is_loose and not getattr(node, "lpar", ()) else code


Proposal: TypeAlias = str | tuple[Splice, ...]
"""A text in the node's place, or splices of any places."""

Proposer: TypeAlias = Callable[..., Iterator[Proposal]]


@dataclass(frozen=True)
class Rule:
    """One proposer of the catalogue.

    Attributes:
        kind: What its edits change.
        propose: From a site to proposals.
        cost: How far an edit goes; small ones are tried first.
        is_repeated: Whether people copy this mistake, so that it may have to be mended in several places at once.
    """

    kind: Kind
    propose: Proposer
    cost: float
    is_repeated: bool


RULES: dict[type[cst.CSTNode], list[Rule]] = defaultdict(list)
"""The catalogue: who proposes edits of a kind of node."""

AnyProposer = TypeVar("AnyProposer", bound=Proposer)


def proposes(
    kind: Kind, *nodes: type[cst.CSTNode], cost: float = 1.0, is_repeated: bool = False
) -> Callable[[AnyProposer], AnyProposer]:
    """Enter a proposer into the catalogue."""

    def enter(propose: AnyProposer) -> AnyProposer:
        for node in nodes:
            RULES[node].append(Rule(kind, propose, cost, is_repeated))
        return propose

    return enter


@dataclass(frozen=True)
class Edit:
    """A proposed change of the text.

    Attributes:
        splices: What is replaced by what.
        kind: What it changes.
        rule: The name of the proposer.
        cost: How far it goes.
        detail: Equal for edits that do the same in several places: they may be made together.
    """

    splices: tuple[Splice, ...]
    kind: Kind
    rule: str
    cost: float
    detail: tuple[object, ...] = ()


_TOGETHER = 4
"""The same edit in more places than these is no small change."""

_FOREIGN = 0.5
"""What is added to the cost of an edit in a helper that the target uses."""

_SHARED = 1.0
"""What is added where others of the file use the helper too."""


def edits_of(closure: Closure) -> list[Edit]:
    """Return every edit that the catalogue proposes for the statements of a target, no text twice."""
    source, scopes = closure.source, Scopes(closure)
    found: dict[tuple[Splice, ...], Edit] = {}
    copied: list[Edit] = []
    for node in closure.nodes():
        rules = RULES.get(type(node), ())
        if not rules:
            continue
        site = Site(source, node, scopes.of(node))
        place = closure.index_at(source.span(node)[0])
        extra = 0.0 if place == closure.own else _SHARED if place in closure.shared else _FOREIGN
        for edit in _proposed(site, rules, extra):
            found.setdefault(edit.splices, edit)
            if edit.detail:
                copied.append(edit)
    return [*found.values(), *_made_together(copied)]


def _proposed(site: Site, rules: Iterable[Rule], extra: float) -> Iterator[Edit]:
    for rule in rules:
        for place, proposal in enumerate(rule.propose(site)):
            splices = (site.splice(_fitted(site, proposal)),) if isinstance(proposal, str) else proposal
            detail = (rule.propose.__name__, place, _likeness(site)) if rule.is_repeated else ()
            if any(site.source.content[one.start : one.end].decode() != one.text for one in splices):
                yield Edit(splices, rule.kind, rule.propose.__name__, rule.cost + extra + 0.01 * place, detail)


def _likeness(site: Site) -> str:
    """Return what a copied mistake has in common: the function that is called, the operator, the number."""
    node = site.node
    if isinstance(node, cst.Call):
        return site.code(node.func).rpartition(".")[2]
    return type(node.operator).__name__ if isinstance(node, cst.BinaryOperation) else site.code()


def _fitted(site: Site, text: str) -> str:
    """Put parentheses around a text that would fall apart beside an operator or a dot."""
    parent = site.parent
    is_tight = isinstance(parent, cst.BinaryOperation | cst.UnaryOperation | cst.Attribute | cst.Comparison) or (
        isinstance(parent, cst.Call) and parent.func is site.node
    )
    is_tight |= isinstance(parent, cst.Subscript) and parent.value is site.node
    if not is_tight:
        return text
    try:
        return tight(text, cst.parse_expression(text))
    except cst.ParserSyntaxError:
        return text


def _made_together(edits: Iterable[Edit]) -> Iterator[Edit]:
    """Yield edits that do the same in two to four places of the text: a mistake that was copied."""
    alike: dict[tuple[object, ...], list[Edit]] = defaultdict(list)
    for edit in edits:
        if edit.detail:
            alike[edit.detail].append(edit)
    for group in alike.values():
        for some in _runs(group):
            splices = tuple(splice for edit in some for splice in edit.splices)
            if _are_apart(splices):
                yield Edit(splices, some[0].kind, some[0].rule, some[0].cost + 0.3 * (len(some) - 1))


def _runs(group: list[Edit]) -> Iterator[list[Edit]]:
    """Yield the neighbours, two to four."""
    for size in range(2, _TOGETHER + 1):
        for start in range(len(group) - size + 1):
            yield group[start : start + size]


def _are_apart(splices: Iterable[Splice]) -> bool:
    ordered = sorted(splices, key=lambda one: one.start)
    return all(one.end <= after.start for one, after in itertools.pairwise(ordered))
