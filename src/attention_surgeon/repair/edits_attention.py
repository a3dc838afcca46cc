"""Edits that know attention: the scale, the mask, the softmax, heads, projections."""

import itertools
import re
from collections.abc import Callable, Iterator

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.source import Splice

_PRODUCTS = ("matmul", "bmm", "einsum", "dot", "baddbmm", "inner")
_SOFTMAX = ("softmax", "Softmax", "log_softmax", "sigmoid", "relu", "softplus")
_MOST_NAMES = 6


def called(node: cst.CSTNode) -> str:
    """Return the last part of the name of what is called: `softmax` for `torch.softmax(x)`; empty if nothing is."""
    if not isinstance(node, cst.Call):
        return ""
    name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
    return name.value if isinstance(name, cst.Name) else ""


def is_product(node: cst.CSTNode) -> bool:
    """Whether a matrix product is written here."""
    is_operator = isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.MatrixMultiply)
    return is_operator or called(node) in _PRODUCTS


def subject_of(node: cst.Call) -> cst.BaseExpression | None:
    """Return what a call works on: `x` of `x.softmax(-1)` and of `F.softmax(x, -1)`."""
    if isinstance(node.func, cst.Attribute) and not m.matches(
        node.func.value, m.Name("torch") | m.Name("F") | m.Name("np") | m.Name("nn") | m.Name("self") | m.Attribute()
    ):
        return node.func.value
    return node.args[0].value if node.args else None


def widths(site: Site) -> Iterator[str]:
    """Yield what may be the width of a key, the likeliest first."""
    names = sorted(site.scope.names, key=_is_no_operand)[:_MOST_NAMES]
    yield from (f"{name}.shape[-1]" for name in names)
    yield from (name for name in site.scope.names if name in ("d", "d_k", "dk", "head_dim", "dim", "D", "hd", "d_head"))
    yield from (f"self.{name}" for name in site.scope.held if "d" in name or "size" in name)
    for heads in (name for name in site.scope.parameters if re.fullmatch(r"(num_|n_)?(heads?|h)", name)):
        yield from (f"({name} // {heads})" for name in site.scope.parameters if "d" in name and name != heads)


def _is_no_operand(name: str) -> int:
    return 0 if name.lower()[:1] in ("k", "q") and "mask" not in name else 1


def root_of(site: Site, width: str) -> str:
    """Return how the root of a width is written here."""
    return f"math.sqrt({width})" if "math" in site.source.imported else f"{width}**0.5"


@proposes("scale", cst.BinaryOperation, cst.Call, cst.Name, cost=0.9)
def divided(site: Site) -> Iterator[Proposal]:
    """Scores without a scale -> `scores / math.sqrt(k.shape[-1])`."""
    node, parent = site.node, site.parent
    is_returned = isinstance(parent, cst.Return) and isinstance(node, cst.Name)
    function = site.source.enclosing(node, cst.FunctionDef)
    is_scaled = function is not None and _SCALED.search(site.code(function)) is not None
    if is_scaled or not (is_product(node) or is_returned or _is_in_softmax(site)):
        return
    for width in widths(site):
        yield f"{site.tight(node)} / {root_of(site, width)}"


_SCALED = re.compile(r"[*/]=?\s*(self\.)?\w*scal(e|ing)\b")
"""Where a scale is in a function already, in the wrong place: a second one mends nothing."""


def _is_in_softmax(site: Site) -> bool:
    parent = site.parent
    if isinstance(parent, cst.Arg):
        parent = site.source.parent(parent)
    elif isinstance(parent, cst.Attribute):
        parent = site.source.parent(parent)
    if not isinstance(parent, cst.Call) or subject_of(parent) is not site.node:
        return False
    return called(parent) in (*_SOFTMAX, "exp") or "softmax" in called(parent)  # a helper of the file, `_softmax`


@proposes("scale", cst.BinaryOperation, cost=0.8)
def divided_by_another(site: Site) -> Iterator[Proposal]:
    """`scores / 8`, `scores * d` -> `scores / math.sqrt(k.shape[-1])`."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if isinstance(node.operator, cst.Divide | cst.Multiply):
        for width in widths(site):
            yield f"{site.code(node.left)} / {root_of(site, width)}"


@proposes("scale", cst.Call, cost=0.8)
def argument_is_a_width(site: Site) -> Iterator[Proposal]:
    """`math.sqrt(self.embed_dim)` -> `math.sqrt(k.shape[-1])`; `x.mul(c)` -> `x.mul(k.shape[-1] ** -0.5)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) == "sqrt" and len(node.args) == 1:
        yield from ((site.splice(width, node.args[0]),) for width in widths(site))
    if called(node) in ("mul", "div", "mul_", "div_") and len(node.args) == 1:
        root = "0.5" if "div" in called(node) else "-0.5"
        yield from ((site.splice(f"{width} ** {root}", node.args[0]),) for width in widths(site))


@proposes("scale", cst.BinaryOperation, cost=0.8)
def power_of_a_width(site: Site) -> Iterator[Proposal]:
    """`C ** -0.5` -> `k.shape[-1] ** -0.5`, and another exponent."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if not isinstance(node.operator, cst.Power):
        return
    yield from ((site.splice(exponent, node.right),) for exponent in ("-0.5", "0.5", "-0.25", "0.25"))
    yield from ((site.splice(width, node.left),) for width in widths(site))


@proposes("scale", cst.Assign, cost=0.9)
def value_is_a_root(site: Site) -> Iterator[Proposal]:
    """`scale = d` -> `scale = d ** -0.5`, `d ** 0.5`."""
    node = site.node
    assert isinstance(node, cst.Assign)
    if "mask" in site.code(node.targets[0]).lower():
        return  # a root of zeros and ones hides nothing, and is right by chance
    if isinstance(node.value, cst.Name | cst.Attribute | cst.Subscript | cst.Call | cst.Float | cst.Integer):
        for power in ("-0.5", "0.5"):
            yield (site.splice(f"{site.tight(node.value)} ** {power}", node.value),)


@proposes("scale", cst.BinaryOperation, cost=0.8)
def divisor_is_a_root(site: Site) -> Iterator[Proposal]:
    """`scores / d` -> `scores / d ** 0.5`; `scores * d` -> `scores * d ** -0.5`."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if isinstance(node.operator, cst.Divide):
        yield f"{site.code(node.left)} / {site.tight(node.right)} ** 0.5"
    elif isinstance(node.operator, cst.Multiply):
        yield f"{site.code(node.left)} * {site.tight(node.right)} ** -0.5"
        yield f"{site.code(node.left)} / {site.tight(node.right)} ** 0.5"


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


_MASKS = re.compile(r"mask|causal|pad|hid|see|visible|allow|keep|future|window|band|tri[lu]", re.IGNORECASE)
"""Words of what says who may attend."""


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
    if not _is_in_softmax(site):
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
        if not isinstance(softmax, cst.Call) or not _is_softmax(softmax):
            continue
        argument = subject_of(softmax)
        if argument is None:
            continue
        scores, masked = site.code(argument), masked_scores(argument)
        if _overlap(site, site.node, argument):
            yield (site.splice(_within(site, weights, argument, masked)),)
            continue
        guard = _guard(site)
        if guard is not None:
            masked = f"{masked} if {site.code(guard.test)} else {scores}"
            yield _gone(site, guard), site.splice(masked, argument)
        yield _left_as_it_is(site, weights), site.splice(masked, argument)


def _is_softmax(node: cst.Call) -> bool:
    """Whether a call makes weights of its argument: `softmax(x)`, `nn.Softmax(dim=-1)(x)`, `exp(x)`."""
    return called(node) == "exp" or "softmax" in called(node) or called(node.func) == "Softmax"


def _left_as_it_is(site: Site, weights: cst.BaseExpression) -> Splice:
    """Return the splice that puts the weights where they were masked; `p = p * mask` goes, its line with it."""
    statement = site.source.parent(site.parent) if isinstance(site.parent, cst.Assign) else None
    block = None if statement is None else site.source.parent(statement)
    if isinstance(site.parent, cst.Assign) and statement is not None and isinstance(block, cst.IndentedBlock):
        if len(block.body) > 1 and [site.code(one.target) for one in site.parent.targets] == [site.code(weights)]:
            return _gone(site, statement)
    return site.splice(site.code(weights), site.node)


def _within(site: Site, weights: cst.CSTNode, argument: cst.CSTNode, masked: str) -> str:
    """Return the text of the weights with what goes into their softmax masked."""
    (start, end), (first, last) = site.source.span(weights), site.source.span(argument)
    content = site.source.content
    return content[start:first].decode() + masked + content[last:end].decode()


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


@proposes("shape", cst.Name, cst.Call, cst.Attribute, cst.Subscript, cost=1.1)
def transposed(site: Site) -> Iterator[Proposal]:
    """An operand -> its transpose; a transpose -> what it is made of."""
    node, parent = site.node, site.parent
    if called(node) in ("transpose", "swapaxes", "permute", "t", "movedim") or (
        isinstance(node, cst.Attribute) and node.attr.value in ("T", "mT")
    ):
        assert isinstance(node, cst.Call | cst.Attribute)
        inner = subject_of(node) if isinstance(node, cst.Call) else node.value
        if inner is not None:
            yield site.code(inner)
            yield from _turned(site, inner)
    elif called(node) in ("reshape", "view") and isinstance(node, cst.Call):
        inner = subject_of(node)
        if inner is not None:
            yield from _turned(site, inner)
    elif isinstance(parent, cst.BinaryOperation | cst.Return | cst.Assign) or (
        isinstance(parent, cst.Arg) and parent.value is node
    ):
        yield from _turned(site, node)


def _turned(site: Site, node: cst.CSTNode) -> Iterator[str]:
    tight = site.tight(node)
    yield f"{tight}.swapaxes(-2, -1)" if site.is_numpy else f"{tight}.transpose(-2, -1)"
    if not is_product(site.parent or node):  # there the last two are meant, however many there are
        yield f"{tight}.swapaxes(1, 2)" if site.is_numpy else f"{tight}.transpose(1, 2)"


@proposes("shape", cst.Call, cost=0.9, is_repeated=True)
def heads_cut(site: Site) -> Iterator[Proposal]:
    """`x.view(b, h, n, d)` -> `x.view(b, n, h, d).transpose(1, 2)`, in every order of the sizes."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) not in ("view", "reshape", "unflatten") or len(node.args) not in (4, 5):
        return
    is_method = not m.matches(node.func, m.Attribute(value=m.Name("np") | m.Name("torch")))
    if not is_method:
        return
    sizes = [site.code(one.value) for one in node.args]
    function = site.code(node.func)
    swap = "swapaxes" if site.is_numpy else "transpose"
    first, *rest = sizes
    for order in itertools.permutations(rest):
        cut = f"{function}({', '.join([first, *order])})"
        yield cut
        if len(order) == 3:
            yield f"{cut}.{swap}(1, 2)"
            yield f"{cut}.{swap}(-2, -1)"


@proposes("shape", cst.Call, cost=0.8, is_repeated=True)
def cut_as_it_lies(site: Site) -> Iterator[Proposal]:
    """`x.view(b, h, -1, d).transpose(2, 3)` -> `x.view(b, h, d, -1)`: the sizes exchanged, not the axes."""
    node = site.node
    assert isinstance(node, cst.Call)
    inner = subject_of(node)
    if called(node) not in ("transpose", "swapaxes") or called(inner or node) not in ("view", "reshape"):
        return
    axes = [site.code(one.value) for one in node.args]
    assert isinstance(inner, cst.Call)
    sizes = [site.code(one.value) for one in inner.args]
    if len(axes) == 2 and len(sizes) > 2 and all(re.fullmatch(r"-?\d", axis) for axis in axes):
        first, second = (int(axis) % len(sizes) for axis in axes)
        sizes[first], sizes[second] = sizes[second], sizes[first]
        yield f"{site.code(inner.func)}({', '.join(sizes)})"


@proposes("shape", cst.Call, cost=0.9, is_repeated=True)
def heads_merged(site: Site) -> Iterator[Proposal]:
    """`x.view(b, n, -1)` -> `x.transpose(1, 2).reshape(b, n, -1)`, and without the transpose."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) not in ("view", "reshape", "flatten", "contiguous") or not isinstance(node.func, cst.Attribute):
        return
    inner, arguments = node.func.value, ", ".join(site.code(one).rstrip(", ") for one in node.args)
    name = "reshape" if called(node) in ("view", "contiguous") else called(node)
    while called(inner) == "contiguous" and isinstance(inner, cst.Call):
        inner = subject_of(inner) or inner
    swap = "swapaxes" if site.is_numpy else "transpose"
    yield f"{site.tight(inner)}.{swap}(1, 2).{name}({arguments})"
    yield f"{site.tight(inner)}.{name}({arguments}).{swap}(1, 2)"
    yield f"{site.tight(inner)}.{swap}(-1, -2).{name}({arguments})"
    yield f"{site.tight(inner)}.{swap}(0, 1).{name}({arguments})"
    if called(inner) in ("transpose", "swapaxes", "permute") and isinstance(inner, cst.Call):
        yield f"{site.code(subject_of(inner) or inner)}.{name}({arguments})"
        yield f"{site.code(subject_of(inner) or inner)}.{swap}(1, 2).{name}({arguments})"


@proposes("shape", cst.Call, cost=0.7, is_repeated=True)
def heads_interleaved(site: Site) -> Iterator[Proposal]:
    """`k.repeat(1, r, 1, 1)` -> `k.repeat_interleave(r, dim=1)`; tiles in NumPy too."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) not in ("repeat", "tile", "expand") or not node.args:
        return
    subject, sizes = subject_of(node), [site.code(one.value) for one in node.args]
    if subject is not None and sizes and sizes[0] == site.code(subject):
        sizes = sizes[1:]
    if len(sizes) == 1 and sizes[0].startswith("("):
        sizes = [one.strip() for one in sizes[0].strip("()").split(",") if one.strip()]
    several = [(axis, size) for axis, size in enumerate(sizes) if size not in ("1", "-1")]
    if subject is not None and len(several) == 1:
        axis, size = several[0]
        yield (
            f"{site.tight(subject)}.repeat({size}, axis={axis})"
            if site.is_numpy
            else (f"{site.tight(subject)}.repeat_interleave({size}, dim={axis})")
        )


@proposes("shape", cst.Call, cost=0.9)
def concatenated_in_another_order(site: Site) -> Iterator[Proposal]:
    """`cat([y, out])` -> `cat([out, y])`; `stack(heads).mean(0)` -> `cat(heads, -1)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) in ("cat", "concat", "concatenate", "stack", "hstack") and node.args:
        items = node.args[0].value
        if isinstance(items, cst.List | cst.Tuple) and len(items.elements) == 2:
            first, second = (one.value for one in items.elements)
            yield site.splice(site.code(second), first), site.splice(site.code(first), second)
        yield (site.splice(f"list({site.code(items)})[::-1]", items),)
    if called(node) == "reversed" and node.args:
        yield site.code(node.args[0].value)


@proposes("shape", cst.SimpleString, cost=0.9, is_repeated=True)
def other_letters(site: Site) -> Iterator[Proposal]:
    """`"bqd,bkd->bqk"`: two letters of one part exchanged, or one letter another."""
    code = site.code()
    text = code.strip("\"'")
    if "->" not in text or '"""' in code:
        return
    quote, is_spaced = code[0], " " in text
    parts = text.replace("->", ",->").split(",")
    for index, part in enumerate(parts):
        letters = part.removeprefix("->").split() if is_spaced else list(part.removeprefix("->").replace("...", ""))
        for other in _letters_changed(part, letters, is_spaced):
            yield quote + ",".join([*parts[:index], other, *parts[index + 1 :]]).replace(",->", "->") + quote


def _letters_changed(part: str, letters: list[str], is_spaced: bool) -> Iterator[str]:
    for one, other in itertools.combinations(dict.fromkeys(letters), 2):
        if is_spaced:
            swapped = {one: other, other: one}
            yield " ".join(swapped.get(word, word) for word in part.split(" "))
        else:
            yield part.translate(str.maketrans(one + other, other + one))


@proposes("projection", cst.BinaryOperation, cst.Call, cost=0.8, is_repeated=True)
def layer_called(site: Site) -> Iterator[Proposal]:
    """`x @ self.query.weight`, `F.linear(x, self.query.weight)` -> `self.query(x)`."""
    node = site.node
    weights = m.findall(node, m.Attribute(attr=m.Name("weight")))
    if len(weights) != 1 or not isinstance(weights[0], cst.Attribute):
        return
    layer = site.code(weights[0].value)
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.MatrixMultiply):
        yield f"{layer}({site.code(node.left)})"
        yield f"{site.code(node.left)} @ {layer}.weight.T"
        yield f"{site.code(node.left)} @ {layer}.weight"
    if called(node) in ("linear", "matmul") and isinstance(node, cst.Call) and node.args:
        yield f"{layer}({site.code(node.args[0].value)})"


@proposes("projection", cst.Return, cst.Assign, cost=0.9)
def projected(site: Site) -> Iterator[Proposal]:
    """`return y` -> `return self.proj(y)`: a layer that is held and never called, or another."""
    node = site.node
    assert isinstance(node, cst.Return | cst.Assign)
    value = node.value
    if value is None or isinstance(value, cst.Tuple):
        if isinstance(value, cst.Tuple):
            first = value.elements[0].value
            yield from ((site.splice(f"self.{name}({site.code(first)})", first),) for name in _layers(site))
        return
    for name in _layers(site):
        yield (site.splice(f"self.{name}({site.code(value)})", value),)


def _layers(site: Site) -> Iterator[str]:
    named = [
        n
        for n in (*site.scope.held, *site.scope.called)
        if any(w in n.lower() for w in ("proj", "out", "o", "fc", "dense"))
    ]
    yield from dict.fromkeys(sorted(named, key=lambda name: "o" not in name.lower()))


@proposes("state", cst.Call, cost=0.8, is_repeated=True)
def gradient_kept(site: Site) -> Iterator[Proposal]:
    """`x.detach()`, `x.float()`, `x.data` -> `x`."""
    node = site.node
    assert isinstance(node, cst.Call)
    if isinstance(node.func, cst.Attribute) and called(node) in (
        "detach",
        "float",
        "double",
        "half",
        "to",
        "numpy",
        "clone",
        "item",
    ):
        yield site.code(node.func.value)


@proposes("state", cst.Attribute, cost=0.8)
def data_not_taken(site: Site) -> Iterator[Proposal]:
    """`x.data` -> `x`; `np.float32` -> the dtype of what was given."""
    node = site.node
    assert isinstance(node, cst.Attribute)
    if node.attr.value == "data":
        yield site.code(node.value)
    if node.attr.value in ("float32", "float64", "float16", "bfloat16"):
        yield from (f"{name}.dtype" for name in site.scope.parameters[:3])


@proposes("state", cst.Return, cost=1.0)
def returned_as_given(site: Site) -> Iterator[Proposal]:
    """`return output` -> in the dtype of the query, without NaN."""
    node = site.node
    assert isinstance(node, cst.Return)
    value = node.value
    if isinstance(value, cst.Tuple):
        value = value.elements[0].value
    if value is None or site.is_numpy:
        return
    for name in site.scope.parameters[:1]:
        yield (site.splice(f"{site.tight(value)}.to({name}.dtype)", value),)
    yield (site.splice(f"{site.tight(value)}.nan_to_num()", value),)


@proposes("state", cst.Call, cost=0.7)
def only_in_training(site: Site) -> Iterator[Proposal]:
    """`F.dropout(x, p)` -> `F.dropout(x, p, self.training)`, or none in a function."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) != "dropout" or not node.args:
        return
    in_class = site.source.enclosing(node, cst.ClassDef) is not None
    given = [site.code(one).rstrip(", ") for one in node.args if site.code(one.keyword or one) != "training"][:2]
    if in_class:
        yield f"{site.code(node.func)}({', '.join([*given, 'training=self.training'])})"
    yield f"{site.code(node.func)}({', '.join([*given, 'training=False'])})"


@proposes("scale", cst.BinaryOperation, cost=0.8)
def moved_into_the_call(site: Site) -> Iterator[Proposal]:
    """`softmax(x) / c` -> `softmax(x / c)`."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if isinstance(node.left, cst.Call) and called(node.left) in _SOFTMAX:
        argument = subject_of(node.left)
        if argument is not None:
            rest = site.source.content[site.source.span(node.left)[1] : site.source.span(node.right)[1]].decode()
            outer = _within(site, node.left, argument, f"{site.tight(argument)}{rest}")
            yield (
                outer
                if isinstance(node.left.func, cst.Attribute) and node.left.func.value is not argument
                else (_within(site, node.left, argument, f"({site.tight(argument)}{rest})"))
            )


@proposes("scale", cst.BinaryOperation, cost=1.1)
def only_if_asked(site: Site) -> Iterator[Proposal]:
    """`s / root` -> `s / root if scale else s`, where a switch is given and ignored."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if isinstance(node.operator, cst.Divide | cst.Multiply):
        for name in (name for name in site.scope.parameters if "scale" in name):
            yield f"{site.code()} if {name} else {site.code(node.left)}"


@proposes("operand", cst.Parameters, cost=0.9)
def parameters_turned(site: Site) -> Iterator[Proposal]:
    """`def attention(query, value, key)` -> `(query, key, value)`: the order in which callers give them."""
    node = site.node
    assert isinstance(node, cst.Parameters)
    names = [one.name for one in node.params if one.default is None and one.name.value != "self"]
    if names and names[0].value.lower().startswith(("k", "v")):
        return  # an order of one's own, `(keys, values, queries)`, is meant
    for first, second in itertools.combinations(names[:4], 2):
        yield site.splice(second.value, first), site.splice(first.value, second)
    for turned in (names[1:3] + names[:1], names[2:3] + names[:2]) if len(names) >= 3 else ():
        yield tuple(site.splice(other.value, one) for one, other in zip(names[:3], turned, strict=True))


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
