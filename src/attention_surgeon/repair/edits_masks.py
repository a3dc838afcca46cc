"""Edits of masks: reversed, transposed, forgotten, or applied after the softmax."""

import re
from collections.abc import Callable, Iterator

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.source import Splice
from attention_surgeon.repair.spelling import called, is_in_softmax, is_softmax, subject_of, with_its_argument

_MASKS = re.compile(r"mask|causal|pad|hid|see|visible|allow|keep|future|window|band|tri[lu]", re.IGNORECASE)
"""Words of what says who may attend."""


@proposes("mask", cst.Name, cst.Comparison, cst.UnaryOperation, cst.Call, cst.Subscript, cst.Attribute, cost=0.8)
def mask_turned_around(site: Site) -> Iterator[Proposal]:
    """`masked_fill(mask, ...)` -> `masked_fill(~mask, ...)`, `masked_fill(mask == 0, ...)`."""
    if not _is_condition(site):
        return
    tight = site.tight(site.node)
    if not isinstance(site.node, cst.Comparison | cst.UnaryOperation):
        yield f"~{tight}"
        yield f"{tight} == 0"
    if site.is_numpy:
        yield f"np.logical_not({site.code()})"


@proposes("mask", cst.Name, cst.Comparison, cst.UnaryOperation, cst.Call, cst.Subscript, cst.Attribute, cost=1.3)
def mask_transposed(site: Site) -> Iterator[Proposal]:
    """`masked_fill(mask, ...)` -> `masked_fill(mask.mT, ...)`, and with the other meaning."""
    if not _is_condition(site):
        return
    tight = site.tight(site.node)
    yield f"{tight}.mT"
    yield f"{tight}.swapaxes(-1, -2)"
    yield f"~{tight}.mT"


def _is_condition(site: Site) -> bool:
    """Whether this says which entries a mask hides or keeps, or is a mask that is returned."""
    parent = site.parent
    if site.code() in ("None", "True", "False"):
        return False
    if isinstance(parent, cst.Index):  # `scores[mask] = -1e9`, but no key of a cache
        return site.source.enclosing(site.node, cst.AssignTarget) is not None or "mask" in site.code()
    if isinstance(parent, cst.Return):
        function = site.source.enclosing(site.node, cst.FunctionDef)
        name = "" if function is None else function.name.value
        return bool(_MASKS.search(name + site.code())) or isinstance(site.node, cst.Comparison)
    if not isinstance(parent, cst.Arg):
        return False
    call = site.source.parent(parent)
    if not isinstance(call, cst.Call):
        return False
    name = called(call)
    is_first = bool(call.args) and call.args[0] is parent
    return (is_first and name in ("masked_fill", "masked_fill_", "where", "masked_bias")) or "mask" in site.code(parent)


@proposes("mask", cst.Name, cst.Call, cst.BinaryOperation, cost=1.1)
def scores_masked(site: Site) -> Iterator[Proposal]:
    """The argument of a softmax -> the same with the mask that was given, or with the future hidden."""
    if not is_in_softmax(site):
        return
    code, tight = site.code(), site.tight(site.node)
    for name in (name for name in site.scope.parameters if "mask" in name.lower()):
        hidden = f"np.where({name}, {code}, -1e9)" if site.is_numpy else f"{tight}.masked_fill({name} == 0, -1e9)"
        if not is_added(site, name):
            yield f"{code} if {name} is None else {hidden}"
            yield f"np.where({name}, -1e9, {code})" if site.is_numpy else f"{tight}.masked_fill({name}, -1e9)"
        yield f"{code} if {name} is None else {code} + {name}"
        if site.scope.held and not site.is_numpy and not is_added(site, name):
            of_heads = f"({name} if {name}.dim() != 3 else {name}[:, None])"
            yield f"{code} if {name} is None else {tight}.masked_fill({of_heads} == 0, -1e9)"
            yield f"{code} if {name} is None else {code} + {of_heads}"
    for name in (name for name in site.scope.held if "mask" in name.lower() or name in ("tril", "bias")):
        yield f"{tight}.masked_fill(self.{name}[..., :{tight}.shape[-2], :{tight}.shape[-1]] == 0, -1e9)"
    if site.is_numpy:
        yield f"np.where(np.tri(*{tight}.shape[-2:], {tight}.shape[-1] - {tight}.shape[-2]), {code}, -1e9)"
    else:
        yield (
            f"{tight}.masked_fill({tight}.new_ones({tight}.shape[-2:])"
            f".tril({tight}.shape[-1] - {tight}.shape[-2]) == 0, -1e9)"
        )


def is_added(site: Site, mask: str) -> bool:
    """Whether a mask is added somewhere in the function: its zeros keep, and are no entries to fill."""
    function = site.source.enclosing(site.node, cst.FunctionDef)
    return function is not None and re.search(rf"\+=? *{re.escape(mask)}\b", site.code(function)) is not None


@proposes("mask", cst.Call, cst.BinaryOperation, cost=1.2)
def mask_moved_before_softmax(site: Site) -> Iterator[Proposal]:
    """`softmax(s).masked_fill(mask == 0, 0)` -> `softmax(s.masked_fill(mask == 0, -1e9))`, over statements too."""
    found = _hidden_by(site)
    function = site.source.enclosing(site.node, cst.FunctionDef)
    if found is None or function is None:
        return
    weights, masked_scores = found
    for softmax in m.findall(function.body, m.Call()):
        if not isinstance(softmax, cst.Call) or not is_softmax(softmax):
            continue
        argument = subject_of(softmax)
        if argument is None:
            continue
        scores, masked = site.code(argument), masked_scores(argument)
        if _overlap(site, site.node, argument):
            yield (site.splice(with_its_argument(site, weights, argument, masked)),)
            continue
        guard = _guard(site)
        if guard is not None:
            masked = f"{masked} if {site.code(guard.test)} else {scores}"
            yield _gone(site, guard), site.splice(masked, argument)
        yield _left_as_it_is(site, weights), site.splice(masked, argument)


def _left_as_it_is(site: Site, weights: cst.BaseExpression) -> Splice:
    """Return the splice that puts the weights where they were masked; `p = p * mask` goes, its line with it."""
    statement = site.source.parent(site.parent) if isinstance(site.parent, cst.Assign) else None
    block = None if statement is None else site.source.parent(statement)
    if isinstance(site.parent, cst.Assign) and statement is not None and isinstance(block, cst.IndentedBlock):
        if len(block.body) > 1 and [site.code(one.target) for one in site.parent.targets] == [site.code(weights)]:
            return _gone(site, statement)
    return site.splice(site.code(weights), site.node)


def _hidden_by(site: Site) -> tuple[cst.BaseExpression, Callable[[cst.BaseExpression], str]] | None:
    """Return the weights that are masked here, and how scores are masked by the same mask."""
    node = site.node
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
        added = site.code(node.right)
        return (node.left, lambda scores: f"{site.code(scores)} + {added}") if "mask" in added.lower() else None
    found = _hidden_where(site)
    if found is None:
        return None
    weights, hides, keeps = found
    if site.is_numpy:
        return weights, lambda scores: f"np.where({keeps}, {site.code(scores)}, -1e9)"
    return weights, lambda scores: f"{site.tight(scores)}.masked_fill({hides}, -1e9)"


def _hidden_where(site: Site) -> tuple[cst.BaseExpression, str, str] | None:
    """Return the weights that are masked here, which entries are hidden, and which are kept."""
    node = site.node
    if isinstance(node, cst.Call) and called(node) in ("masked_fill", "masked_fill_") and len(node.args) == 2:
        subject, condition = subject_of(node), node.args[0].value
        return None if subject is None else (subject, site.code(condition), f"~({site.code(condition)})")
    if isinstance(node, cst.Call) and called(node) == "where" and len(node.args) == 3:
        condition, kept, other = (one.value for one in node.args)
        code = site.code(condition)
        if isinstance(kept, cst.Name | cst.Call):
            return kept, f"~({code})", code
        return other, code, f"~({code})"
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Multiply):
        return node.left, f"{site.tight(node.right)} == 0", site.code(node.right)
    return None


def _guard(site: Site) -> cst.If | None:
    """Return the `if mask is not None:` around the only statement, where that is all it does."""
    around = site.source.enclosing(site.node, cst.If)
    is_alone = around is not None and around.orelse is None and len(around.body.body) == 1
    return around if is_alone else None


def _gone(site: Site, node: cst.CSTNode) -> Splice:
    """Return the splice that takes a statement out, its line with it."""
    start, end = site.source.span(node)
    content = site.source.content
    start = content.rfind(b"\n", 0, start) + 1
    after = content.find(b"\n", end)
    return Splice(start, len(content) if after < 0 else after + 1, "")


def _overlap(site: Site, one: cst.CSTNode, other: cst.CSTNode) -> bool:
    (a, b), (c, d) = site.source.span(one), site.source.span(other)
    return a < d and c < b


@proposes("number", cst.Call, cst.Attribute, cst.UnaryOperation, cost=0.9)
def finite(site: Site) -> Iterator[Proposal]:
    """`float("-inf")` -> `-1e9`, wherever it stands."""
    code = site.code()
    if (
        "inf" in code
        and len(code) < 16
        and code.startswith(("float(", "-float(", "-torch.", "-np.", "-math.", "-numpy."))
    ):
        yield "-1e9"
