"""Edits of the scale: by what scores are divided, and where."""

import re
from collections.abc import Iterator

import libcst as cst

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.spelling import SOFTMAX, called, is_in_softmax, is_product, subject_of, with_its_argument

_MOST_NAMES = 6


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


_SCALED = re.compile(r"[*/]=?\s*(self\.)?\w*scal(e|ing)\b")
"""Where a scale is in a function already, in the wrong place: a second one mends nothing."""


@proposes("scale", cst.BinaryOperation, cst.Call, cst.Name, cost=0.9)
def divided(site: Site) -> Iterator[Proposal]:
    """Scores without a scale -> `scores / math.sqrt(k.shape[-1])`."""
    node, parent = site.node, site.parent
    is_returned = isinstance(parent, cst.Return) and isinstance(node, cst.Name)
    function = site.source.enclosing(node, cst.FunctionDef)
    is_scaled = function is not None and _SCALED.search(site.code(function)) is not None
    if is_scaled or not (is_product(node) or is_returned or is_in_softmax(site)):
        return
    for width in widths(site):
        yield f"{site.tight(node)} / {root_of(site, width)}"


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


@proposes("scale", cst.BinaryOperation, cost=0.8)
def moved_into_the_call(site: Site) -> Iterator[Proposal]:
    """`softmax(x) / c` -> `softmax(x / c)`."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if isinstance(node.left, cst.Call) and called(node.left) in SOFTMAX:
        argument = subject_of(node.left)
        if argument is not None:
            rest = site.source.content[site.source.span(node.left)[1] : site.source.span(node.right)[1]].decode()
            outer = with_its_argument(site, node.left, argument, f"{site.tight(argument)}{rest}")
            yield (
                outer
                if isinstance(node.left.func, cst.Attribute) and node.left.func.value is not argument
                else (with_its_argument(site, node.left, argument, f"({site.tight(argument)}{rest})"))
            )


@proposes("scale", cst.BinaryOperation, cost=1.1)
def only_if_asked(site: Site) -> Iterator[Proposal]:
    """`s / root` -> `s / root if scale else s`, where a switch is given and ignored."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if isinstance(node.operator, cst.Divide | cst.Multiply):
        for name in (name for name in site.scope.parameters if "scale" in name):
            yield f"{site.code()} if {name} else {site.code(node.left)}"
