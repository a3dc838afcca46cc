"""Edits of whole statements: assigned or not, out, in another order, or one more."""

from collections.abc import Iterator, Sequence

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.edits_masks import is_added
from attention_surgeon.repair.source import Splice
from attention_surgeon.repair.spelling import called, subject_of

_FARTHEST = 3


@proposes("statement", cst.Expr, cost=0.5)
def result_assigned(site: Site) -> Iterator[Proposal]:
    """`scores.masked_fill(...)` -> `scores = scores.masked_fill(...)`."""
    node = site.node
    assert isinstance(node, cst.Expr)
    if isinstance(node.value, cst.Call):
        subject = subject_of(node.value)
        if subject is not None and isinstance(subject, cst.Name | cst.Attribute):
            yield f"{site.code(subject)} = {site.code()}"


@proposes("statement", cst.Assign, cost=0.6)
def assigned_to_its_subject(site: Site) -> Iterator[Proposal]:
    """`_ = scores.masked_fill(...)` -> `scores = scores.masked_fill(...)`, where nobody reads what was assigned."""
    node, function = site.node, site.source.enclosing(site.node, cst.FunctionDef)
    assert isinstance(node, cst.Assign)
    name = site.code(node.targets[0].target)
    if function is None or len(m.findall(function.body, m.Name(name))) > 1:
        return
    target, subject = node.targets[0].target, subject_of(node.value) if isinstance(node.value, cst.Call) else None
    if isinstance(subject, cst.Name) and isinstance(target, cst.Name) and subject.value != target.value:
        yield (site.splice(subject.value, target),)


@proposes("state", cst.AugAssign, cost=0.7)
def not_in_place(site: Site) -> Iterator[Proposal]:
    """`Q /= c` -> `Q = Q / c`; `Q *= c` -> `Q = Q / c`."""
    node = site.node
    assert isinstance(node, cst.AugAssign)
    start, end = site.source.span(node.target)[1], site.source.span(node.value)[0]
    sign = site.source.content[start:end].decode().strip().removesuffix("=")
    target, value = site.code(node.target), site.tight(node.value)
    yield f"{target} = {target} {sign} {value}"
    others = {"*": "/", "/": "*", "+": "-", "-": "+", "&": "|", "|": "&"}
    if sign in others:
        yield f"{target} {others[sign]}= {site.code(node.value)}"
        yield f"{target} = {target} {others[sign]} {value}"
        yield f"{target} = {site.code(node.value)}"


@proposes("statement", cst.SimpleStatementLine, cst.If, cst.For, cost=1.0)
def taken_out(site: Site) -> Iterator[Proposal]:
    """A statement that should not be there; of an `if` also the condition alone."""
    node, block = site.node, _block(site)
    if block is None or m.matches(node, m.SimpleStatementLine(body=[m.Return() | m.Import() | m.ImportFrom()])):
        return
    if len(block) > 1:
        yield (lines_of(site, node),)
    elif not _is_all_of_an_if(site):
        yield (Splice(*site.source.span(node), "pass"),)
    if isinstance(node, cst.If) and node.orelse is None:
        yield (dedented(site, node),)


def _is_all_of_an_if(site: Site) -> bool:
    """Whether an `if` does nothing besides: then it is the `if` that is taken out, and no `pass` stands in it."""
    around = site.source.parent(site.parent) if site.parent is not None else None
    is_all = isinstance(around, cst.If) and around.body is site.parent and around.orelse is None
    return is_all and around is not None and isinstance(site.source.parent(around), cst.IndentedBlock)


@proposes("mask", cst.If, cost=0.7)
def asked_on_its_own(site: Site) -> Iterator[Proposal]:
    """`elif padding_mask is not None:` -> `if padding_mask is not None:`: two masks may be given at once."""
    word, start = b"elif", site.source.span(site.node)[0]
    if site.source.content.startswith(word, start):
        yield (Splice(start, start + len(word), "if"),)


@proposes("statement", cst.SimpleStatementLine, cst.If, cost=0.9)
def moved_up(site: Site) -> Iterator[Proposal]:
    """A statement before the one, two or three that stand before it."""
    block = _block(site)
    if block is None or m.matches(site.node, m.SimpleStatementLine(body=[m.Return()])):
        return
    index = next(place for place, one in enumerate(block) if one is site.node)
    lines = lines_of(site, site.node)
    text = site.source.content[lines.start : lines.end].decode()
    for other in reversed(block[max(0, index - _FARTHEST) : index]):
        start = lines_of(site, other).start
        yield Splice(start, start, text if text.endswith("\n") else text + "\n"), Splice(lines.start, lines.end, "")


@proposes("statement", cst.Return, cst.Assign, cost=1.0)
def copied_first(site: Site) -> Iterator[Proposal]:
    """Before the first statement of a function: an argument that is changed in place is copied."""
    node = site.node
    function = site.source.enclosing(node, cst.FunctionDef)
    if function is None or not isinstance(function.body, cst.IndentedBlock) or isinstance(node, cst.Return):
        return
    first = function.body.body[0]
    if site.source.span(first)[0] != site.source.span(site.source.parent(node) or node)[0]:
        return
    start = lines_of(site, first).start
    for name in site.scope.parameters[:4]:
        copy = f"{name}.copy()" if site.is_numpy else f"{name}.clone()"
        yield (Splice(start, start, f"{indent_of(site, first)}{name} = {copy}\n"),)


@proposes("statement", cst.Assign, cst.Return, cost=0.9)
def line_before(site: Site) -> Iterator[Proposal]:
    """Before a softmax one line more: scale, or hide."""
    statement = site.source.parent(site.node)
    found = [one for one in m.findall(site.node, m.Call()) if called(one) in ("softmax", "exp", "softmax_")]
    if not found or statement is None or not isinstance(found[0], cst.Call):
        return
    scores = subject_of(found[0])
    if isinstance(scores, cst.BinaryOperation) and isinstance(scores.operator, cst.Subtract):
        scores = scores.left  # `exp(z - z.max(-1))`: what is hidden must not be the largest
    if not isinstance(scores, cst.Name):
        return
    start, indent, name = lines_of(site, statement).start, indent_of(site, statement), scores.value
    for mask in (one for one in site.scope.parameters if "mask" in one.lower() and not is_added(site, one)):
        hidden = f"np.where({mask}, {name}, -1e9)" if site.is_numpy else f"{name}.masked_fill({mask} == 0, -1e9)"
        yield (Splice(start, start, f"{indent}if {mask} is not None:\n{indent}    {name} = {hidden}\n"),)


@proposes("axis", cst.Return, cost=1.0)
def softmax_before(site: Site) -> Iterator[Proposal]:
    """Before `return scores @ v, scores` a line more: `scores = scores.softmax(dim=-1)`."""
    statement = site.source.parent(site.node)
    if statement is None or site.is_numpy:
        return
    names = {one.value: None for one in m.findall(site.node, m.Name()) if isinstance(one, cst.Name)}
    start, indent = lines_of(site, statement).start, indent_of(site, statement)
    for name in (one for one in names if one in site.scope.names and one not in site.scope.parameters):
        yield (Splice(start, start, f"{indent}{name} = {name}.softmax(dim=-1)\n"),)


@proposes("operand", cst.Return, cost=0.9)
def residual_added(site: Site) -> Iterator[Proposal]:
    """`return self.norm(out)` -> `return self.norm(out + x)`: what came in, or was kept and is read by nobody."""
    node, function = site.node, site.source.enclosing(site.node, cst.FunctionDef)
    assert isinstance(node, cst.Return)
    if function is None or not isinstance(node.value, cst.Name | cst.Call):
        return
    words = [one.value for one in m.findall(function.body, m.Name()) if isinstance(one, cst.Name)]
    unread = [name for name in site.scope.names if words.count(name) == 1 and name not in site.scope.parameters]
    places: list[cst.BaseExpression] = [node.value]
    if isinstance(node.value, cst.Call) and len(node.value.args) == 1:
        places = [node.value.args[0].value] + ([] if "norm" in site.code(node.value.func) else places)
    for place in places:
        for name in (*unread[:2], *site.scope.parameters[:1]):
            yield (site.splice(f"{site.tight(place)} + {name}", place),)


@proposes("operand", cst.BinaryOperation, cost=0.9)
def residual_is_a_sum(site: Site) -> Iterator[Proposal]:
    """`x * self.proj(heads)` -> `x + self.proj(heads)`: an input is multiplied with what a layer makes."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    both = {type(node.left), type(node.right)}
    if isinstance(node.operator, cst.Multiply) and both == {cst.Name, cst.Call}:
        yield f"{site.code(node.left)} + {site.code(node.right)}"


@proposes("statement", cst.Return, cost=1.0)
def return_after_the_loop(site: Site) -> Iterator[Proposal]:
    """A `return` inside of a loop -> after it."""
    loop = site.source.enclosing(site.node, cst.For)
    statement = site.source.parent(site.node)
    if loop is None or statement is None or site.source.parent(site.source.parent(statement) or statement) is not loop:
        return
    lines = lines_of(site, statement)
    text = site.source.content[lines.start : lines.end].decode().strip()
    yield (Splice(lines.start, lines.end, f"{indent_of(site, loop)}{text}\n"),)


def _block(site: Site) -> Sequence[cst.BaseStatement] | None:
    """Return the statements of the block that a statement stands in; None for those of the file itself."""
    parent = site.parent
    return parent.body if isinstance(parent, cst.IndentedBlock) else None


def lines_of(site: Site, node: cst.CSTNode) -> Splice:
    """Return the splice that takes the lines of a statement out."""
    start, end = site.source.span(node)
    content = site.source.content
    after = content.find(b"\n", max(start, end - 1))
    return Splice(content.rfind(b"\n", 0, start) + 1, len(content) if after < 0 else after + 1, "")


def indent_of(site: Site, node: cst.CSTNode) -> str:
    """Return the blanks before a statement."""
    start = site.source.span(node)[0]
    content = site.source.content
    return content[content.rfind(b"\n", 0, start) + 1 : start].decode()


def dedented(site: Site, node: cst.If | cst.With) -> Splice:
    """Return the splice that leaves of an `if` or a `with` what it does."""
    lines, inner = lines_of(site, node), node.body
    text = site.source.content[lines.start : lines.end].decode().splitlines(keepends=True)
    if not isinstance(inner, cst.IndentedBlock):
        return Splice(lines.start, lines.start, "")
    return Splice(lines.start, lines.end, "".join(line.removeprefix("    ") for line in text[1:]))
