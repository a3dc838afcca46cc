"""How attention is spelled: products, softmaxes, what a call works on."""

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Site

_PRODUCTS = ("matmul", "bmm", "einsum", "dot", "baddbmm", "inner")
SOFTMAX = ("softmax", "Softmax", "log_softmax", "sigmoid", "relu", "softplus")


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


def is_in_softmax(site: Site) -> bool:
    """Whether this is what a softmax, or what stands in for one, is taken of."""
    parent = site.parent
    if isinstance(parent, cst.Arg):
        parent = site.source.parent(parent)
    elif isinstance(parent, cst.Attribute):
        parent = site.source.parent(parent)
    if not isinstance(parent, cst.Call) or subject_of(parent) is not site.node:
        return False
    return called(parent) in (*SOFTMAX, "exp") or "softmax" in called(parent)  # a helper of the file, `_softmax`


def is_softmax(node: cst.Call) -> bool:
    """Whether a call makes weights of its argument: `softmax(x)`, `nn.Softmax(dim=-1)(x)`, `exp(x)`."""
    return called(node) == "exp" or "softmax" in called(node) or called(node.func) == "Softmax"


def with_its_argument(site: Site, weights: cst.CSTNode, argument: cst.CSTNode, masked: str) -> str:
    """Return the text of the weights with what goes into their softmax masked."""
    (start, end), (first, last) = site.source.span(weights), site.source.span(argument)
    content = site.source.content
    return content[start:first].decode() + masked + content[last:end].decode()
