"""Edits of how scores become weights: softmaxes by hand, sums that are missing, what stands where weights should."""

import itertools
import re
from collections.abc import Iterator

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.edits_statements import indent_of, lines_of
from attention_surgeon.repair.source import Splice
from attention_surgeon.repair.spelling import called, is_product, subject_of

_MOST = 4
_BY_HAND = ("exp", "exp2", "tanh", "sigmoid", "relu", "power", "pow", "one_hot", "normalize", "argmax", "log", "norm")
"""Calls of which people make what they take for a softmax."""

_PASSED = re.compile(r"(torch|np|F)\.(sigmoid|relu|tanh|exp|softplus|log_softmax)")


def softmax_of(site: Site, code: str) -> Iterator[str]:
    """Yield how the softmax of a text is written here: a helper of the file, the library, by hand in NumPy."""
    try:
        is_plain = isinstance(cst.parse_expression(code), cst.Name | cst.Call | cst.Attribute)
    except cst.ParserSyntaxError:
        return
    yield from (f"{name}({code})" for name in _helpers(site))
    tight = code if is_plain else f"({code})"
    if site.is_numpy:
        above = f"np.exp({code} - {tight}.max(axis=-1, keepdims=True))"
        yield f"{above} / {above}.sum(axis=-1, keepdims=True)"
    else:
        yield f"{tight}.softmax(dim=-1)"


def _helpers(site: Site) -> list[str]:
    """Return the functions of the file that are a softmax by their name, but not the one that is being mended."""
    function = site.source.enclosing(site.node, cst.FunctionDef)
    own = "" if function is None else function.name.value
    return [name for name in site.source.definitions if "softmax" in name.lower() and name != own][:2]


def _value(node: cst.CSTNode) -> cst.BaseExpression | None:
    """Return what a statement assigns or returns; of a pair, the first."""
    value = node.value if isinstance(node, cst.Assign | cst.Return) else None
    return value.elements[0].value if isinstance(value, cst.Tuple) and value.elements else value


def _names_in(site: Site, node: cst.CSTNode) -> list[str]:
    """Return the variables that an expression reads, without masks."""
    found = [one.value for one in m.findall(node, m.Name()) if isinstance(one, cst.Name)]
    return [name for name in dict.fromkeys(found) if name in site.scope.names and "mask" not in name.lower()]


@proposes("axis", cst.Assign, cst.Return, cost=1.1)
def softmax_of_what_is_in_it(site: Site) -> Iterator[Proposal]:
    """`w = 0.5 * (1 + np.tanh(s / 2))`, `w = s / s.sum(-1)` -> `w = softmax(s)`."""
    value = _value(site.node)
    if value is None or isinstance(value, cst.Name | cst.Tuple) or m.findall(value, m.MatrixMultiply()):
        return
    is_quotient = isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.Divide)
    is_by_hand = any(called(one) in _BY_HAND for one in m.findall(value, m.Call()))
    is_of_one = isinstance(site.node, cst.Return) and len(site.scope.parameters) <= 2
    if is_quotient or is_by_hand or is_of_one:
        for name in _names_in(site, value)[:_MOST]:
            yield from ((site.splice(text, value),) for text in softmax_of(site, name))


@proposes("axis", cst.Attribute, cst.Name, cost=0.8)
def softmax_passed(site: Site) -> Iterator[Proposal]:
    """`compose(divide, torch.sigmoid)` -> `compose(divide, softmax)`: a function that is handed on."""
    if not isinstance(site.parent, cst.Arg) or not _PASSED.fullmatch(site.code()):
        return
    yield from _helpers(site)
    yield from (f"lambda scores: {text}" for text in softmax_of(site, "scores"))


@proposes("axis", cst.Return, cst.Assign, cost=1.0)
def exponentiated(site: Site) -> Iterator[Proposal]:
    """`x - m - log(...)` -> its exponential: a softmax in logarithms."""
    value = _value(site.node)
    if isinstance(value, cst.BinaryOperation) and any(called(one) == "log" for one in m.findall(value, m.Call())):
        code = site.code(value)
        yield (site.splice(f"np.exp({code})" if site.is_numpy else f"({code}).exp()", value),)


@proposes("axis", cst.Assign, cost=1.0)
def divided_by_its_sum(site: Site) -> Iterator[Proposal]:
    """After `w = np.exp(s)` a line more: `w` by its sum."""
    node, statement = site.node, site.parent
    assert isinstance(node, cst.Assign)
    target = node.targets[0].target
    if statement is None or not isinstance(target, cst.Name):
        return
    if any(called(one) in ("exp", "where", "masked_fill") for one in m.findall(node.value, m.Call())):
        name, end = target.value, lines_of(site, statement).end
        keep = "keepdims=True" if site.is_numpy else "keepdim=True"
        total = f"{name}.sum(-1, {keep})"
        total = f"np.maximum({total}, 1e-30)" if site.is_numpy else f"{total}.clamp(min=1e-30)"
        yield (Splice(end, end, f"{indent_of(site, statement)}{name} = {name} / {total}\n"),)


@proposes("axis", cst.Call, cst.BinaryOperation, cost=0.9)
def base_of_nature(site: Site) -> Iterator[Proposal]:
    """`np.power(2, x)`, `2 ** x` -> `np.exp(x)`."""
    node, exponent = site.node, None
    if isinstance(node, cst.Call) and called(node) in ("power", "pow") and len(node.args) == 2:
        exponent = node.args[1].value
    elif isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Power):
        exponent = node.right if isinstance(node.left, cst.Integer | cst.Float) else None
    if exponent is not None:
        yield f"np.exp({site.code(exponent)})" if site.is_numpy else f"{site.tight(exponent)}.exp()"


@proposes("axis", cst.Subscript, cost=0.8)
def sink_dropped(site: Site) -> Iterator[Proposal]:
    """`cat([s, zeros], -1).softmax(-1)[..., :-1]` -> `s.softmax(dim=-1)`: nothing beside the keys has a weight."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    subject = subject_of(node.value) if isinstance(node.value, cst.Call) and called(node.value) == "softmax" else None
    if not isinstance(subject, cst.Call) or not subject.args:
        return
    first = subject.args[0].value
    if called(subject) == "pad":
        yield from softmax_of(site, site.code(first))
    elif called(subject) in ("cat", "concat", "concatenate") and isinstance(first, cst.List | cst.Tuple):
        for one in first.elements:
            yield from softmax_of(site, site.code(one.value))


@proposes("operand", cst.UnaryOperation, cost=0.9)
def product_for_distance(site: Site) -> Iterator[Proposal]:
    """`-((q - k) ** 2).sum(-1)` -> `(q * k).sum(-1)`; the difference may have a name."""
    node = site.node
    assert isinstance(node, cst.UnaryOperation)
    call = node.expression
    if not isinstance(node.operator, cst.Minus) or not isinstance(call, cst.Call) or called(call) != "sum":
        return
    squared = subject_of(call)
    if not isinstance(squared, cst.BinaryOperation) or not isinstance(squared.operator, cst.Power | cst.Multiply):
        return
    difference: cst.BaseExpression | None = squared.left
    if isinstance(difference, cst.Name):
        difference = assigned(site, difference.value)
    if isinstance(difference, cst.BinaryOperation) and isinstance(difference.operator, cst.Subtract):
        product = f"({site.tight(difference.left)} * {site.tight(difference.right)})"
        yield f"{product}.sum({', '.join(site.code(one).rstrip(', ') for one in call.args)})"


def assigned(site: Site, name: str) -> cst.BaseExpression | None:
    """Return what the function around first assigns to a name."""
    function = site.source.enclosing(site.node, cst.FunctionDef)
    if function is None:
        return None
    found = m.findall(function.body, m.Assign(targets=[m.AssignTarget(target=m.Name(name))]))
    return next((one.value for one in found if isinstance(one, cst.Assign)), None)


@proposes("operand", cst.Call, cst.BinaryOperation, cost=0.9)
def names_exchanged(site: Site) -> Iterator[Proposal]:
    """`bmm(K, Q.transpose(1, 2))` -> `bmm(Q, K.transpose(1, 2))`: two names change their places, nothing else does."""
    if not is_product(site.node):
        return
    names = [
        one for one in m.findall(site.node, m.Name()) if isinstance(one, cst.Name) and one.value in site.scope.names
    ]
    distinct = list(dict.fromkeys(one.value for one in names))[:_MOST]
    for first, second in itertools.combinations(distinct, 2):
        other = {first: second, second: first}
        yield tuple(site.splice(other[one.value], one) for one in names if one.value in other)


@proposes("operand", cst.Arg, cst.BinaryOperation, cost=1.2)
def named_instead(site: Site) -> Iterator[Proposal]:
    """`einsum(..., torch.ones_like(w) / n, v)` -> `einsum(..., w, v)`: a name where a product has an expression."""
    node = site.node
    operands: list[cst.CSTNode] = []
    if isinstance(node, cst.Arg) and site.parent is not None and is_product(site.parent):
        operands = [node.value]
    elif isinstance(node, cst.BinaryOperation) and is_product(node):
        operands = [node.left]
    for operand in operands:
        if isinstance(operand, cst.Call | cst.BinaryOperation):
            yield from ((site.splice(name, operand),) for name in _names_in(site, operand)[:_MOST])


@proposes("operand", cst.Call, cost=0.9)
def product_without_a_summand(site: Site) -> Iterator[Proposal]:
    """`torch.baddbmm(Q, weights, V)` -> `torch.bmm(weights, V)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    values = [site.code(one.value) for one in node.args if one.keyword is None]
    if called(node) in ("baddbmm", "addmm") and len(values) == 3:
        yield f"torch.{'bmm' if called(node) == 'baddbmm' else 'mm'}({values[1]}, {values[2]})"


@proposes("operand", cst.Return, cst.Assign, cost=1.0)
def weights_used(site: Site) -> Iterator[Proposal]:
    """`return V.mean(dim=1)` -> `return weights @ V`, where weights are given and nobody reads them."""
    value = _value(site.node)
    function = site.source.enclosing(site.node, cst.FunctionDef)
    if not isinstance(value, cst.Call) or function is None:
        return
    read = {one.value for one in m.findall(function.body, m.Name()) if isinstance(one, cst.Name)}
    unread = [name for name in site.scope.parameters if name not in read and "mask" not in name]
    for name in _names_in(site, value)[:2]:
        yield from ((site.splice(f"{weights} @ {name}", value),) for weights in unread[:2])


@proposes("number", cst.BinaryOperation, cost=0.9)
def zero_at_zero(site: Site) -> Iterator[Proposal]:
    """`w * torch.log(w)` -> `torch.xlogy(w, w)`: 0 log 0 is 0."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    for factor, other in ((node.left, node.right), (node.right, node.left)):
        if called(other) == "log" and isinstance(other, cst.Call) and isinstance(node.operator, cst.Multiply):
            subject, code = subject_of(other), site.code(factor)
            if subject is not None and site.code(subject) == code:
                yield (
                    f"{code} * np.log(np.where({code} > 0, {code}, 1))"
                    if site.is_numpy
                    else f"torch.xlogy({code}, {code})"
                )


@proposes("call", cst.Call, cost=1.0)
def mean_of_sums(site: Site) -> Iterator[Proposal]:
    """`x.sum()` -> `x.sum(-1).mean()`, `x.mean()`."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) == "sum" and not node.args and isinstance(node.func, cst.Attribute):
        inner = site.code(node.func.value)
        yield from (f"{inner}.sum(-1).mean()", f"{inner}.mean()")


@proposes("operator", cst.Call, cost=1.2)
def negated(site: Site) -> Iterator[Proposal]:
    """`f(w)` -> `-f(w)`, where it is handed on, assigned or returned."""
    if isinstance(site.parent, cst.Arg | cst.Assign | cst.Return | cst.DictElement):
        yield f"-{site.code()}"


@proposes("state", cst.BinaryOperation, cost=0.8)
def rescaled(site: Site) -> Iterator[Proposal]:
    """`w * (torch.rand_like(w) >= p)` -> `... / (1 - p)`: what dropout leaves is made larger."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if not isinstance(node.operator, cst.Multiply) or "rand" not in site.code(node.right) + site.code(node.left):
        return
    held = [f"self.{name}" for name in site.scope.held if "drop" in name or name == "p"]
    for name in (*held, *(one for one in site.scope.names if "drop" in one or one == "p")):
        yield f"{site.code()} / (1 - {name})"


@proposes("state", cst.Call, cost=0.8)
def rows_kept_as_tensors(site: Site) -> Iterator[Proposal]:
    """`rows.append(y.tolist())`, `torch.tensor(rows)` -> `rows.append(y)`, `torch.stack(rows)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    function = site.source.enclosing(node, cst.FunctionDef)
    if called(node) not in ("tolist", "item") or not isinstance(node.func, cst.Attribute) or function is None:
        return
    for made in m.findall(function.body, m.Call(func=m.Attribute(value=m.Name("torch"), attr=m.Name("tensor")))):
        assert isinstance(made, cst.Call)
        yield (
            site.splice(site.code(node.func.value)),
            site.splice(f"torch.stack({site.code(made.args[0].value)})", made),
        )


@proposes("axis", cst.BinaryOperation, cst.Name, cst.Call, cost=1.0)
def normalised(site: Site) -> Iterator[Proposal]:
    """What is taken for weights without a softmax -> its softmax."""
    parent = site.parent
    is_left = (
        isinstance(parent, cst.BinaryOperation)
        and isinstance(parent.operator, cst.MatrixMultiply)
        and parent.left is site.node
    )
    is_assigned = isinstance(parent, cst.Assign) and not isinstance(site.node, cst.Name)
    is_assigned |= isinstance(parent, cst.Element) and site.source.enclosing(site.node, cst.Return) is not None
    is_argument = isinstance(parent, cst.Arg) and is_product(site.source.parent(parent) or parent)
    if not (is_left or is_assigned or is_argument):
        return
    if site.is_numpy:
        code = site.code()
        yield f"np.exp({code}) / np.exp({code}).sum(axis=-1, keepdims=True)"
    else:
        yield f"{site.tight(site.node)}.softmax(dim=-1)"


@proposes("axis", cst.Call, cost=0.8)
def softmax_for_another(site: Site) -> Iterator[Proposal]:
    """`sigmoid(x)`, `relu(x)`, `x.softmax(-1)` over the wrong axis -> `softmax(x, dim=-1)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    subject = subject_of(node)
    if (
        called(node) not in ("softmax", "sigmoid", "relu", "softplus", "tanh", "log_softmax", "softmin", "exp")
        or subject is None
    ):
        return
    code = site.tight(subject)
    yield f"{code}.softmax(dim=-1)"


@proposes("axis", cst.Call, cost=0.9, is_repeated=True)
def largest_subtracted(site: Site) -> Iterator[Proposal]:
    """`exp(x)` -> `exp(x - x.max(-1, keepdim))`; a maximum of all -> one of each row."""
    node = site.node
    assert isinstance(node, cst.Call)
    subject = subject_of(node)
    if subject is None:
        return
    code, tight = site.code(subject), site.tight(subject)
    axis = next((name for name in site.scope.parameters if name in ("axis", "dim")), "-1")
    numpy, torch = f"{tight}.max(axis={axis}, keepdims=True)", f"{tight}.amax(dim={axis}, keepdim=True)"
    if called(node) in ("exp", "exp2"):
        there = [name for name in site.scope.names if "max" in name.lower() and name not in code]
        for largest in (*there, numpy) if site.is_numpy else (*there, torch, numpy):
            less = f"{code} - {largest}"
            yield (site.splice(less if isinstance(site.source.parent(subject), cst.Arg) else f"({less})", subject),)
    if called(node) in ("max", "amax"):
        yield from (numpy, torch)
    if called(node) in ("sum", "mean"):
        yield f"{tight}.sum({axis}, keepdims=True)"
        yield f"{tight}.sum(dim={axis}, keepdim=True)"
