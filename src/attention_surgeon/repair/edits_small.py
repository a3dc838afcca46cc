"""Edits of single expressions, whatever they compute: numbers, operators, comparisons, names, arguments."""

import itertools
from collections.abc import Iterator

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.source import Splice

_MOST_STRINGS = 6
_AXES = ("-1", "-2", "0", "1", "2", "3", "-3")
_LIBRARIES = ("torch", "np", "numpy", "math", "F", "nn", "functional", "einops", "self", "cls", "super")


@proposes("axis", cst.Arg, cost=0.8, is_repeated=True)
def other_axis(site: Site) -> Iterator[Proposal]:
    """`dim=1` -> `dim=-1`."""
    node = site.node
    assert isinstance(node, cst.Arg)
    if node.keyword is None or _is_of_the_last(site, node):
        return
    if node.keyword.value in ("dim", "axis", "dim0", "dim1"):
        asked = (name for name in site.scope.parameters if name in ("dim", "axis"))
        yield from (f"{node.keyword.value}={name}" for name in asked)
        yield from (f"{node.keyword.value}={axis}" for axis in _AXES)


def _is_of_the_last(site: Site, node: cst.CSTNode | None) -> bool:
    """Whether an argument is the last axis of a softmax: another one takes queries for keys, and is the rarer slip."""
    call = None if node is None else site.source.parent(node)
    if not isinstance(node, cst.Arg) or not isinstance(call, cst.Call):
        return False
    return site.code(node.value) == "-1" and "softmax" in site.code(call.func).lower()


@proposes("number", cst.Integer, cst.UnaryOperation, cost=1.2, is_repeated=True)
def other_integer(site: Site) -> Iterator[Proposal]:
    """`-2` -> `-1`, `0` -> `1`, and one more or less."""
    code = site.code()
    if isinstance(site.parent, cst.UnaryOperation) or not code.replace("-", "").isdigit():
        return
    if _is_of_the_last(site, site.parent):
        return
    value = int(code)
    near = sorted((-1, -2, -3) if value < 0 else (0, 1, 2, 3), key=lambda one: abs(one - value))
    yield from (str(one) for one in dict.fromkeys((*near, value + 1, value - 1, -value, *_axes_beside(value))))


def _axes_beside(value: int) -> tuple[int, ...]:
    return (0, 1, 2, 3, -1) if -4 < value < 4 else ()


@proposes("number", cst.Integer, cst.Float, cost=0.8)
def what_is_given(site: Site) -> Iterator[Proposal]:
    """`ids != 0` -> `ids != pad_idx`: a number in the place of an argument that nobody reads."""
    function = site.source.enclosing(site.node, cst.FunctionDef)
    if function is not None and isinstance(site.parent, cst.ComparisonTarget | cst.Arg | cst.BinaryOperation):
        read = {one.value for one in m.findall(function.body, m.Name()) if isinstance(one, cst.Name)}
        yield from (name for name in site.scope.parameters if name not in read)


@proposes("number", cst.Float, cst.Integer, cst.UnaryOperation, cst.Call, cst.Attribute, cost=1.0)
def other_fill(site: Site) -> Iterator[Proposal]:
    """A number that hides -> `-1e9`, `float("-inf")`."""
    if not _hides(site):
        return
    yield "-1e9"
    yield 'float("-inf")'
    yield f"-{site.tight(site.node)}"


def _hides(site: Site) -> bool:
    """Whether this is the number that a mask fills in, or that a class holds for it."""
    parent = site.parent
    if not isinstance(parent, cst.Arg):
        return isinstance(parent, cst.Assign) and isinstance(site.node, cst.Float | cst.Integer | cst.UnaryOperation)
    if parent.keyword is not None and "fill" in parent.keyword.value:
        return True
    call = site.source.parent(parent)
    return isinstance(call, cst.Call) and site.code(call.func).split(".")[-1] in (
        "masked_fill",
        "masked_fill_",
        "where",
        "full",
        "full_like",
        "tensor",
    )


@proposes("number", cst.Float, cost=1.0)
def other_float(site: Site) -> Iterator[Proposal]:
    """`0.25` -> `0.5`."""
    is_exponent = isinstance(site.parent, cst.BinaryOperation) and isinstance(site.parent.operator, cst.Power)
    if not isinstance(site.parent, cst.UnaryOperation) and not is_exponent:  # a width to the power 0 is no scale
        yield from ("0.5", "1.0", "0.0")


@proposes("operator", cst.BinaryOperation, cost=1.0)
def other_operator(site: Site) -> Iterator[Proposal]:
    """`*` for `/`, `-` for `+`, `&` for `|`, and back."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    others = {"*": "/", "/": "*", "+": "-", "-": "+", "&": "|", "|": "&", "//": "/"}
    sign = site.code(node.operator).strip() or _sign(site, node)
    if sign in others and not (sign == "*" and _is_tensor(site, node.right)):
        yield f"{site.code(node.left)} {others[sign]} {site.tight(node.right)}"


def _is_tensor(site: Site, node: cst.BaseExpression) -> bool:
    """Whether something is computed here that nobody divides by: a method's answer, and no root or size."""
    name = site.code(node.func).rpartition(".")[2] if isinstance(node, cst.Call) else ""
    return bool(name) and name not in ("sqrt", "size", "len", "float", "pow", "exp", "root")


def _sign(site: Site, node: cst.BinaryOperation) -> str:
    left, right = site.source.span(node.left)[1], site.source.span(node.right)[0]
    return site.source.content[left:right].decode().strip()


@proposes("operator", cst.BinaryOperation, cost=1.1, is_repeated=True)
def one_operand(site: Site) -> Iterator[Proposal]:
    """`a + b` -> `a` or `b`: something is there once too often."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    yield site.code(node.left)
    yield site.code(node.right)


@proposes("operand", cst.BinaryOperation, cost=1.0)
def operands_turned(site: Site) -> Iterator[Proposal]:
    """`a @ b` -> `b @ a`, and the right one taken twice or transposed."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    sign = _sign(site, node)
    left, right = site.tight(node.left), site.tight(node.right)
    if sign in ("@", "-", "/", "<", ">"):
        yield f"{right} {sign} {left}"


@proposes("operator", cst.Comparison, cost=0.9)
def other_comparison(site: Site) -> Iterator[Proposal]:
    """`mask == 1` -> `mask == 0`, `<` -> `<=`, `>`."""
    node = site.node
    assert isinstance(node, cst.Comparison)
    if len(node.comparisons) != 1:
        return
    target = node.comparisons[0]
    left, right = site.code(node.left), site.code(target.comparator)
    between = site.source.content[site.source.span(node.left)[1] : site.source.span(target.comparator)[0]].decode()
    others = {
        "==": ("!=",),
        "!=": ("==",),
        "is": ("is not",),
        "is not": ("is",),
        "<": ("<=", ">=", ">"),
        "<=": ("<", ">", ">="),
        ">": (">=", "<=", "<"),
        ">=": (">", "<", "<="),
    }
    yield from (f"{left} {sign} {right}" for sign in others.get(between.strip(), ()))
    if between.strip() in ("<", "<=", ">", ">="):
        yield from (f"{left} {between.strip()} {right} {step}" for step in ("+ 1", "- 1"))


@proposes("operator", cst.UnaryOperation, cost=0.9)
def sign_dropped(site: Site) -> Iterator[Proposal]:
    """`-x` -> `x`, `~mask` -> `mask`, `not scale` -> `scale`."""
    node = site.node
    assert isinstance(node, cst.UnaryOperation)
    yield site.code(node.expression)


@proposes("operator", cst.BooleanOperation, cost=1.1)
def one_condition(site: Site) -> Iterator[Proposal]:
    """`a and b` -> `a`, `b`, `a or b`."""
    node = site.node
    assert isinstance(node, cst.BooleanOperation)
    left, right = site.code(node.left), site.code(node.right)
    yield from (left, right, f"{left} or {right}", f"{left} and {right}")


@proposes("operator", cst.IfExp, cost=1.0)
def one_branch(site: Site) -> Iterator[Proposal]:
    """`a if c else b` -> `b if c else a`, `a`, `b`."""
    node = site.node
    assert isinstance(node, cst.IfExp)
    body, test, orelse = site.code(node.body), site.code(node.test), site.code(node.orelse)
    yield from (f"{orelse} if {test} else {body}", body, orelse)


@proposes("operator", cst.If, cost=1.0)
def condition_turned(site: Site) -> Iterator[Proposal]:
    """`if scale:` -> `if not scale:`."""
    node = site.node
    assert isinstance(node, cst.If)
    yield (site.splice(f"not {site.tight(node.test)}", node.test),)


@proposes("operand", cst.Name, cost=1.5)
def other_name(site: Site) -> Iterator[Proposal]:
    """A variable in the place of another."""
    node = site.node
    assert isinstance(node, cst.Name)
    if node.value in _LIBRARIES or node.value not in site.scope.names or _is_written(site):
        return
    yield from (name for name in site.scope.names if name != node.value)


def _is_written(site: Site) -> bool:
    """Whether the name is bound here, or is the name of a keyword or of an attribute."""
    parent = site.parent
    if isinstance(parent, cst.AssignTarget | cst.Param | cst.CompFor | cst.FunctionDef | cst.Annotation):
        return getattr(parent, "iter", None) is not site.node
    if isinstance(parent, cst.Arg):
        return parent.keyword is site.node
    if isinstance(parent, cst.Attribute):
        return parent.attr is site.node
    if isinstance(parent, cst.For):
        return parent.target is site.node
    is_in_target = isinstance(parent, cst.Element) and site.source.enclosing(site.node, cst.AssignTarget) is not None
    return is_in_target or isinstance(parent, cst.AnnAssign | cst.NameItem)


@proposes("projection", cst.Attribute, cost=1.3)
def other_attribute(site: Site) -> Iterator[Proposal]:
    """`self.key` -> `self.query`; `self.embed_dim` -> `self.head_dim`, or a variable of that sense."""
    node = site.node
    assert isinstance(node, cst.Attribute)
    if not m.matches(node.value, m.Name("self")) or isinstance(site.parent, cst.AssignTarget):
        return
    parent = site.parent
    is_called = isinstance(parent, cst.Call) and parent.func is node
    others = site.scope.called if is_called else (*site.scope.held, *site.scope.called)
    yield from (f"self.{name}" for name in others if name != node.attr.value)
    if not is_called:
        yield from (name for name in site.scope.names if "d" in name.lower() or "size" in name)


@proposes("projection", cst.Assign, cost=0.9)
def targets_in_another_order(site: Site) -> Iterator[Proposal]:
    """`k, q, v = ...` -> `q, k, v = ...`."""
    node = site.node
    assert isinstance(node, cst.Assign)
    target = node.targets[0].target
    if len(node.targets) == 1 and isinstance(target, cst.Tuple):
        yield from ((splice,) for splice in _permuted(site, target))


@proposes("operand", cst.Tuple, cost=1.0)
def items_in_another_order(site: Site) -> Iterator[Proposal]:
    """`return weights, output` -> `return output, weights`."""
    node = site.node
    assert isinstance(node, cst.Tuple)
    if not isinstance(site.parent, cst.AssignTarget):
        yield from ((splice,) for splice in _permuted(site, node))


def _permuted(site: Site, node: cst.Tuple) -> Iterator[Splice]:
    items = [site.code(one.value) for one in node.elements]
    if 2 <= len(items) <= 3:
        whole = site.code(node)
        for order in itertools.permutations(items):
            text = ", ".join(order)
            yield site.splice(f"({text})" if whole.startswith("(") and node.lpar else text, node)


@proposes("call", cst.Call, cost=1.2, is_repeated=True)
def arguments_turned(site: Site) -> Iterator[Proposal]:
    """`attend(k, q, v)` -> `attend(q, k, v)`: every order of two or three arguments beside each other."""
    node = site.node
    assert isinstance(node, cst.Call)
    values = [one for one in node.args if one.keyword is None and not one.star]
    for first, second in itertools.combinations(values, 2):
        yield site.splice(site.code(second.value), first.value), site.splice(site.code(first.value), second.value)


@proposes("call", cst.Call, cost=1.2)
def argument_dropped(site: Site) -> Iterator[Proposal]:
    """`triu(x, diagonal=1)` -> `triu(x)`, and back."""
    node = site.node
    assert isinstance(node, cst.Call)
    texts = [site.code(one).rstrip(", ") for one in node.args]
    for index in range(len(texts)):
        yield f"{site.code(node.func)}({', '.join(texts[:index] + texts[index + 1 :])})"


@proposes("call", cst.Call, cost=1.3)
def argument_added(site: Site) -> Iterator[Proposal]:
    """Something in scope that the call forgets: `attend(q, k, v)` -> `attend(q, k, v, mask)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    function, given = site.code(node.func), [site.code(one).rstrip(", ") for one in node.args]
    last = function.split(".")[-1]
    by_name = any(one.keyword for one in node.args)  # then nothing may follow by its place alone
    for extra in _EXTRA.get(last, ()):
        if "=" in extra.split(",")[0] or not by_name:
            yield f"{function}({', '.join([*given, extra])})"
    for name in site.scope.parameters:
        if name not in given and ("mask" in name or name in ("scale", "dropout", "causal", "context")):
            if not by_name:
                yield f"{function}({', '.join([*given, name])})"
            yield f"{function}({', '.join([*given, f'{name}={name}'])})"


_EXTRA = {
    "triu": ("1", "diagonal=1", "k=1"),
    "tril": ("-1",),
    "sum": ("-1, keepdim=True", "axis=-1, keepdims=True", "keepdim=True", "keepdims=True"),
    "max": ("axis=-1, keepdims=True", "keepdims=True"),
    "amax": ("-1, keepdim=True", "keepdim=True"),
    "mean": ("-1",),
    "dropout": ("self.training", "training=self.training"),
    "linear": ("self.bias",),
    "scaled_dot_product_attention": ("is_causal=True", "attn_mask=mask"),
}


@proposes("call", cst.Call, cost=1.1, is_repeated=True)
def call_dropped(site: Site) -> Iterator[Proposal]:
    """`f(x)` -> `x`, `x.detach()` -> `x`: a call too many."""
    node = site.node
    assert isinstance(node, cst.Call)
    if isinstance(node.func, cst.Attribute) and not _is_library(site, node.func.value):
        yield site.code(node.func.value)
    yield from (site.code(one.value) for one in node.args[:2] if not one.star)


def _is_library(site: Site, node: cst.CSTNode) -> bool:
    return site.code(node).split(".")[0] in (*_LIBRARIES, *site.source.imported)


@proposes("call", cst.Call, cost=0.9)
def other_function(site: Site) -> Iterator[Proposal]:
    """`triu` -> `tril`, `log_softmax` -> `softmax`, `masked_fill_` -> `masked_fill`."""
    node = site.node
    assert isinstance(node, cst.Call)
    name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
    if not isinstance(name, cst.Name):
        return
    for other in _FUNCTIONS.get(name.value, ()):
        yield (site.splice(other, name),)
    if name.value.endswith("_") and isinstance(node.func, cst.Attribute):
        yield (site.splice(name.value.rstrip("_"), name),)


_FUNCTIONS = {
    "triu": ("tril",),
    "tril": ("triu",),
    "log_softmax": ("softmax",),
    "softmin": ("softmax",),
    "gumbel_softmax": ("softmax",),
    "LogSoftmax": ("Softmax",),
    "zeros": ("ones",),
    "ones": ("zeros",),
    "zeros_like": ("ones_like",),
    "ones_like": ("zeros_like",),
    "exp2": ("exp",),
    "sinh": ("exp",),
    "log2": ("log",),
    "log10": ("log",),
    "min": ("max",),
    "amin": ("amax",),
    "mean": ("sum",),
    "sum": ("mean",),
    "prod": ("sum",),
    "any": ("all",),
    "all": ("any",),
    "logical_or": ("logical_and",),
    "logical_and": ("logical_or",),
    "view": ("reshape",),
    "repeat": ("repeat_interleave",),
    "cumsum": ("sum",),
    "floor": ("sqrt",),
}


@proposes("number", cst.Index, cst.Slice, cost=1.1)
def other_index(site: Site) -> Iterator[Proposal]:
    """`shape[-2]` -> `shape[-1]`; `x[:-1]` -> `x[1:]`."""
    code = site.code()
    if isinstance(site.node, cst.Slice):
        yield from (":", "1:", ":-1", "::-1") if code != "" else ()
    elif code.lstrip("-").isdigit():
        yield from ("-1", "-2", "-3", "0", "1", "2")


@proposes("operator", cst.Name, cost=0.8)
def other_switch(site: Site) -> Iterator[Proposal]:
    """`is_causal=False` -> `is_causal=True`."""
    node = site.node
    assert isinstance(node, cst.Name)
    if node.value in ("True", "False"):
        yield str(node.value == "False")


@proposes("operand", cst.SimpleString, cost=1.2)
def other_key(site: Site) -> Iterator[Proposal]:
    """`cache["k"]` -> `cache["v"]`: another string that stands in an index nearby."""
    function = site.source.enclosing(site.node, cst.FunctionDef)
    if function is None or not isinstance(site.parent, cst.Index):
        return
    others = [site.code(one) for one in m.findall(function, m.SimpleString())]
    yield from [text for text in dict.fromkeys(others) if text != site.code()][:_MOST_STRINGS]


@proposes("operand", cst.Subscript, cost=1.2)
def index_dropped(site: Site) -> Iterator[Proposal]:
    """`mask[0]` -> `mask`."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    yield site.code(node.value)
