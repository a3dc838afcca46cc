"""Edits of what is hidden: masks in arithmetic and in loops, triangles from the wrong corner, bounds one off."""

import itertools
import re
from collections.abc import Iterator

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.spelling import called, subject_of

_MOST = 8


def hidden(site: Site, scores: str, keeps: str) -> str:
    """Return the text of scores with what a mask does not keep hidden."""
    return f"np.where({keeps}, {scores}, -1e9)" if site.is_numpy else f"{scores}.masked_fill({keeps} == 0, -1e9)"


@proposes("mask", cst.BinaryOperation, cst.AugAssign, cost=0.7)
def hidden_by_the_mask(site: Site) -> Iterator[Proposal]:
    """`s * mask`, `s + mask.to(s.dtype)`, `s *= mask` -> `s.masked_fill(mask == 0, -1e9)`."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation | cst.AugAssign)
    left, right = (node.left, node.right) if isinstance(node, cst.BinaryOperation) else (node.target, node.value)
    if not isinstance(left, cst.Name | cst.Call | cst.BinaryOperation) or m.matches(left, m.Name("mask")):
        return
    keeps = _mask_in(site, right)
    if keeps:
        text = hidden(site, site.tight(left), keeps)
        yield text if isinstance(node, cst.BinaryOperation) else f"{site.code(left)} = {text}"


def _mask_in(site: Site, node: cst.BaseExpression) -> str:
    """Return the mask that an expression is made of, as it is written; empty if it is of none."""
    if isinstance(node, cst.Call) and called(node) in ("to", "astype", "float", "type", "double", "int"):
        node = subject_of(node) or node
    names = [one.value for one in m.findall(node, m.Name()) if isinstance(one, cst.Name)]
    is_mask = any("mask" in name.lower() for name in names)
    is_plain = isinstance(node, cst.Name | cst.Subscript | cst.IfExp)
    return site.tight(node) if is_mask and is_plain else ""


@proposes("mask", cst.BinaryOperation, cost=0.9)
def zero_hides_nothing(site: Site) -> Iterator[Proposal]:
    """`s * 0` -> `s - 1e9`: a score of zero is a score."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if isinstance(node.operator, cst.Multiply) and site.code(node.right) in ("0", "0.0"):
        yield f"{site.code(node.left)} - 1e9"


@proposes("mask", cst.Call, cost=0.8)
def aligned_at_the_end(site: Site) -> Iterator[Proposal]:
    """`torch.ones(n, m).tril()` -> `.tril(m - n)`: the last query sees every key."""
    node = site.node
    assert isinstance(node, cst.Call)
    name = called(node).rstrip("_")
    if name not in ("tril", "triu", "tri") or any(one.keyword and one.keyword.value != "dtype" for one in node.args):
        return
    is_method = isinstance(node.func, cst.Attribute) and site.code(node.func.value) not in ("torch", "np", "numpy")
    positional = [one for one in node.args if one.keyword is None]
    if name != "tri" and len(positional) != (0 if is_method else 1):
        return
    given = [site.code(one).rstrip(", ") for one in node.args]
    word = "" if is_method else "k=" if site.is_numpy else "diagonal="
    for offset in _offsets(site):
        offset = f"{offset} + 1" if name == "triu" else offset
        yield f"{site.code(node.func)}({', '.join([*given, f'{word}{offset}'])})"


def _offsets(site: Site) -> Iterator[str]:
    """Yield how many keys more than queries there may be."""
    names = [name for name in site.scope.names if "mask" not in name.lower()]
    lengths = [name for name in names if re.fullmatch(r"n|m|n_\w|\w_len|[tsTS]|\w?len\w*", name)]
    yield from (f"{one} - {other}" for other, one in itertools.pairwise(lengths))
    made = [name for name in names if name not in site.scope.parameters and name not in lengths]
    yield from (f"{name}.shape[-1] - {name}.shape[-2]" for name in made[:_MOST])
    if len(site.scope.parameters) >= 2:
        query, key = site.scope.parameters[:2]
        yield f"{key}.shape[-2] - {query}.shape[-2]"


@proposes("mask", cst.ListComp, cost=0.8)
def hidden_in_the_loop(site: Site) -> Iterator[Proposal]:
    """`[s(j) for j in keys]` -> `[s(j) if seen[j] else -1e9 for j in keys]`, as a later `if seen[j]:` has it."""
    node = site.node
    assert isinstance(node, cst.ListComp)
    function = site.source.enclosing(node, cst.FunctionDef)
    loop, inner = site.code(node.for_in.target), site.code(node.elt)
    if function is None:
        return
    for condition in m.findall(function.body, m.If()):
        assert isinstance(condition, cst.If)
        test = site.code(condition.test)
        if re.search(rf"\b{re.escape(loop)}\b", test) and " if " not in inner:
            yield (site.splice(f"{inner} if {test} else -1e9", node.elt),)


@proposes("call", cst.Call, cost=0.4)
def mask_handed_on(site: Site) -> Iterator[Proposal]:
    """`self._attend(q, k, v)` -> `self._attend(q, k, v, mask)`, where that function of the file takes one."""
    node = site.node
    assert isinstance(node, cst.Call)
    given = [site.code(one).rstrip(", ") for one in node.args]
    for defined in m.findall(site.source.module, m.FunctionDef(name=m.Name(called(node)))):
        assert isinstance(defined, cst.FunctionDef)
        taken = [one.name.value for one in defined.params.params if one.name.value not in ("self", "cls")]
        wanted = [name for name in taken[len(given) :] if "mask" in name and not any(name in one for one in given)]
        for name in wanted[:1]:
            for mask in (one for one in site.scope.parameters if "mask" in one.lower()):
                is_next = taken.index(name) == len(given) and not any(one.keyword for one in node.args)
                yield f"{site.code(node.func)}({', '.join([*given, mask if is_next else f'{name}={mask}'])})"


@proposes("number", cst.ComparisonTarget, cost=0.9)
def bound_in_steps(site: Site) -> Iterator[Proposal]:
    """`offset.abs() <= reach` -> `offset.abs() <= reach * self.dilation`: a reach that is counted in steps."""
    node = site.node
    assert isinstance(node, cst.ComparisonTarget)
    names = [*site.scope.parameters, *(f"self.{name}" for name in site.scope.held)]
    for name in (name for name in names if re.search("dilat|stride|step", name)):
        if name not in site.code(node.comparator):
            yield (site.splice(f"{site.tight(node.comparator)} * {name}", node.comparator),)


@proposes("number", cst.BinaryOperation, cst.Name, cst.Call, cost=1.2)
def one_more_or_less(site: Site) -> Iterator[Proposal]:
    """`n = i + shift` -> `n = i + shift + 1`; a bound of a slice or a range likewise."""
    node, parent = site.node, site.parent
    is_sum = isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add | cst.Subtract)
    is_bound = isinstance(parent, cst.Slice)
    if isinstance(parent, cst.Arg):
        call = site.source.parent(parent)
        is_bound = call is not None and called(call) == "range"
    if is_bound or (is_sum and isinstance(parent, cst.Assign)):
        yield from (f"{site.code()} + 1", f"{site.code()} - 1")


@proposes("number", cst.Slice, cost=1.0)
def slice_turned(site: Site) -> Iterator[Proposal]:
    """`row[length:]` -> `row[:length]`; `rows[1 : n + 1]` -> `rows[:n]`."""
    node = site.node
    assert isinstance(node, cst.Slice)
    if node.lower is not None and node.upper is not None and site.code(node.lower) == "1":
        yield f":{re.sub(r' ?[+] ?1$', '', site.code(node.upper))}"
    if node.lower is not None and node.upper is None:
        yield f":{site.code(node.lower)}"
    elif node.upper is not None and node.lower is None:
        yield f"{site.code(node.upper)}:"


@proposes("mask", cst.Subscript, cost=0.9)
def along_the_keys(site: Site) -> Iterator[Proposal]:
    """`arange(q.shape[1])[None, :, None]` -> `arange(k.shape[1])[None, None, :]`: positions along another axis."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    parts = [site.code(one).rstrip(", ") for one in node.slice]
    if sorted(set(parts)) != [":", "None"] or parts.count(":") != 1:
        return
    base = site.code(node.value)
    bases = [base]
    for one, other in itertools.permutations(site.scope.parameters[:2], 2):
        bases += [re.sub(rf"\b{re.escape(one)}\b", other, base)]
    for place in range(len(parts)):
        order = ", ".join(":" if index == place else "None" for index in range(len(parts)))
        yield from (f"{text}[{order}]" for text in dict.fromkeys(bases))


@proposes("mask", cst.Subscript, cost=0.9)
def lengths_of_each(site: Site) -> Iterator[Proposal]:
    """`lengths.reshape(b, -1)[:, :1, None]` -> without the cut: what is said of each query counts for it."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    cuts = [one for one in node.slice if isinstance(one.slice, cst.Slice) and site.code(one.slice) in (":1", "0:1")]
    yield from ((site.splice(":", one.slice),) for one in cuts)
