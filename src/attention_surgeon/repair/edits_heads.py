"""Edits of shapes: transposes, how heads are cut, merged and shared, letters of einsum."""

import itertools
import re
from collections.abc import Iterator

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.spelling import called, is_product, subject_of


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
