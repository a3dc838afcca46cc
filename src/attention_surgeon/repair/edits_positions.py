"""Edits of what today's layers do besides: rotary positions, slopes, windows, caps, caches, shared heads."""

import itertools
import re
from collections.abc import Iterator

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.edits_statements import indent_of, lines_of
from attention_surgeon.repair.source import Splice
from attention_surgeon.repair.spelling import called, subject_of

_MOST = 6
_LENGTH = re.compile(
    r"[ntslmNTSL]|seq|(n|num|len|total|past|start|offset|pos)(_\w+|gth|ition|itions)?|\w+_(len|length|pos)"
)
"""A name of a number of tokens, or of the position at which they start."""


@proposes("operand", cst.Tuple, cst.Dict, cost=0.7)
def as_its_neighbour(site: Site) -> Iterator[Proposal]:
    """`f(q), k` -> `f(q), f(k)`: what is done to one of two is done to the other, its own name in it."""
    node = site.node
    assert isinstance(node, cst.Tuple | cst.Dict)
    items = [one.value for one in node.elements]
    if not 2 <= len(items) <= 4 or isinstance(site.parent, cst.AssignTarget):
        return
    for place, item in enumerate(items):
        for other in (one for one in items if one is not item):
            for text in _spoken_of_another(site.code(other), site.code(item)):
                yield (site.splice(text, items[place]),)
            if isinstance(other, cst.Call) and len(other.args) == 1:
                yield (site.splice(f"{site.code(other.func)}({site.code(item)})", item),)


@proposes("operand", cst.Tuple, cost=0.7)
def each_from_its_own(site: Site) -> Iterator[Proposal]:
    """`f(query), g(query), h(query)` -> `f(query), g(key), h(value)`, or the last two from the context."""
    node = site.node
    assert isinstance(node, cst.Tuple)
    given = [name for name in site.scope.parameters if "mask" not in name]
    texts = [site.code(one.value) for one in node.elements]
    if len(texts) != 3 or len(given) < 2:
        return
    for sources in ((given[0], *given[1:3]) if len(given) > 2 else None, (given[0], given[1], given[1])):
        if sources is not None:
            of_given = re.compile(rf"\b({'|'.join(map(re.escape, given))})\b(?!\s*=)")
            made = [of_given.sub(source, text) for text, source in zip(texts, sources, strict=True)]
            yield tuple(site.splice(text, one.value) for text, one in zip(made, node.elements, strict=True))


@proposes("operand", cst.Assign, cost=0.9)
def as_the_statement_before(site: Site) -> Iterator[Proposal]:
    """`q = f(q)`, `k = g(k)` -> `k = f(k)`."""
    node = site.node
    assert isinstance(node, cst.Assign)
    for other in (_statement_beside(site, -1), _statement_beside(site, 1)):
        if other is None or not isinstance(other.targets[0].target, cst.Name):
            continue
        ours, theirs = site.code(node.targets[0].target), other.targets[0].target.value
        if ours != theirs and ours.isidentifier():
            text = re.sub(rf"\b{re.escape(theirs)}\b", ours, site.code(other.value))
            yield (site.splice(text, node.value),)


@proposes("operand", cst.Assign, cost=0.8)
def of_another_throughout(site: Site) -> Iterator[Proposal]:
    """`q, v = rotate(q), rotate(v)` -> `q, k = rotate(q), rotate(k)`: one name for another, on both sides."""
    node, function = site.node, site.source.enclosing(site.node, cst.FunctionDef)
    assert isinstance(node, cst.Assign)
    if function is None:
        return
    own = [one for one in m.findall(node, m.Name()) if isinstance(one, cst.Name)]
    both = {one.value for one in m.findall(node.targets[0], m.Name()) if isinstance(one, cst.Name)}
    both &= {one.value for one in m.findall(node.value, m.Name()) if isinstance(one, cst.Name)}
    words = {one.value for one in own}
    for made in m.findall(function.body, m.AssignTarget(target=m.Tuple())):
        beside = [one.value for one in m.findall(made, m.Name()) if isinstance(one, cst.Name)]
        for name in dict.fromkeys(one for one in beside if one in both):
            for other in (one for one in beside if one not in words):
                yield tuple(site.splice(other, one) for one in own if one.value == name)


@proposes("operand", cst.Assign, cost=0.6)
def of_what_its_neighbour_is_of(site: Site) -> Iterator[Proposal]:
    """`k = self.key(x if xa is None else xa)`, `v = self.value(x)` -> `v = self.value(x if xa is None else xa)`."""
    node = site.node
    assert isinstance(node, cst.Assign)
    for step in (-1, 1):
        other = _statement_beside(site, step)
        ours, theirs = (None if one is None else _made_of(one.value) for one in (node, other))
        if ours is not None and theirs is not None:
            yield (site.splice(site.code(theirs), ours),)


@proposes("state", cst.Assign, cost=0.8)
def kept_as_its_neighbour(site: Site) -> Iterator[Proposal]:
    """`keys[:, place] = k` -> after it also `values[:, place] = v`, where there are such names."""
    node, function, line = site.node, site.source.enclosing(site.node, cst.FunctionDef), site.parent
    assert isinstance(node, cst.Assign)
    if function is None or line is None or not isinstance(node.targets[0].target, cst.Subscript):
        return
    text = _OF_A_ROLE.sub(lambda found: _OTHER_ROLE[found[0]], site.code())
    known = {*site.scope.names, *site.scope.held, *_WORD.findall(site.code())}
    if known.issuperset(_WORD.findall(text)) and text not in site.code(function):
        end = lines_of(site, line).end
        yield (Splice(end, end, f"{indent_of(site, line)}{text}\n"),)


_WORD = re.compile(r"[A-Za-z_]\w*")
_OTHER_ROLE = {"keys": "values", "key": "value", "k": "v", "values": "keys", "value": "key", "v": "k"}
_OF_A_ROLE = re.compile(r"(?<![A-Za-z])(keys?|k|values?|v)(?![A-Za-z])")
"""What a name says of its role: `k` of `k_cache`."""


def _made_of(node: cst.BaseExpression) -> cst.BaseExpression | None:
    """Return what a layer is applied to, under what follows it: `x` of `self.key(x).view(b, n, h, d)`."""
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        if m.matches(node.func.value, m.Name("self")):
            return node.args[0].value if len(node.args) == 1 else None
        node = node.func.value
    return None


def _statement_beside(site: Site, step: int) -> cst.Assign | None:
    """Return the assignment in the statement before (-1) or after (1) this one."""
    line = site.parent
    block = site.source.parent(line) if line is not None else None
    if not isinstance(block, cst.IndentedBlock):
        return None
    place = next((index for index, one in enumerate(block.body) if one is line), None)
    if place is None or not 0 <= place + step < len(block.body):
        return None
    beside = block.body[place + step]
    found = beside.body[0] if isinstance(beside, cst.SimpleStatementLine) and beside.body else None
    return found if isinstance(found, cst.Assign) else None


def _spoken_of_another(code: str, own: str) -> Iterator[str]:
    """Yield a text with the names of a role in it replaced by those that the other text has."""
    theirs = [name for name in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", code))]
    ours = [name for name in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", own))]
    for mine in ours[:_MOST]:
        for other in theirs[:_MOST]:
            if mine not in theirs and other not in ours:
                yield re.sub(rf"\b{re.escape(other)}\b", mine, code)


@proposes("shape", cst.Call, cost=0.8, is_repeated=True)
def moved_for_the_call(site: Site) -> Iterator[Proposal]:
    """`rotate(q, cos)` -> `rotate(q.transpose(1, 2), cos).transpose(1, 2)`: positions where the helper expects them."""
    node = site.node
    assert isinstance(node, cst.Call)
    if not any(word in called(node).lower() for word in ("rot", "rope")) or not node.args:
        return
    _, *rest = [site.code(one).rstrip(", ") for one in node.args]
    function, swap = site.code(node.func), "swapaxes" if site.is_numpy else "transpose"
    moved = ", ".join([f"{site.tight(node.args[0].value)}.{swap}(1, 2)", *rest])
    yield f"{function}({moved}).{swap}(1, 2)"
    if called(node.args[0].value) in ("transpose", "swapaxes", "permute"):
        inner = subject_of(node.args[0].value) if isinstance(node.args[0].value, cst.Call) else None
        if inner is not None:
            yield f"{function}({', '.join([site.code(inner), *rest])}).{swap}(1, 2)"


@proposes("number", cst.BinaryOperation, cost=0.9)
def slower_not_faster(site: Site) -> Iterator[Proposal]:
    """`base ** (torch.arange(0, d, 2) / d)` -> `1.0 / (base ** (...))`: the speeds of rotary positions."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if isinstance(node.operator, cst.Power) and "arange" in site.code(node.right):
        yield f"1.0 / ({site.code()})"


@proposes("operand", cst.Assign, cost=0.9)
def not_done(site: Site) -> Iterator[Proposal]:
    """`v = rotate(v)` -> nothing: the values are not turned."""
    node = site.node
    assert isinstance(node, cst.Assign)
    if isinstance(node.value, cst.Call) and node.value.args:
        inner = subject_of(node.value)
        if inner is not None:
            yield (site.splice(site.code(inner), node.value),)


@proposes("axis", cst.Call, cost=0.7, is_repeated=True)
def interleaved(site: Site) -> Iterator[Proposal]:
    """`cat([a, a], -1)` <-> `repeat_interleave(2, -1)`; `cat([-b, a])` <-> the same in pairs."""
    node = site.node
    assert isinstance(node, cst.Call)
    name = called(node)
    items = node.args[0].value if node.args else None
    if name in ("cat", "concat", "concatenate", "stack") and isinstance(items, cst.List | cst.Tuple):
        texts = [site.code(one.value) for one in items.elements]
        if len(texts) == 2 and texts[0] == texts[1]:
            yield f"{site.tight(items.elements[0].value)}.repeat_interleave(2, dim=-1)"
        if len(texts) == 2 and name != "stack":
            yield f"torch.stack([{', '.join(texts)}], dim=-1).flatten(-2)"
        if len(texts) == 2:
            for first, second in _turned(texts):
                yield (site.splice(f"[{first}, {second}]", items),)
    if name == "repeat_interleave" and len(node.args) >= 1:
        subject = subject_of(node)
        if subject is not None:
            code = site.code(subject)
            yield f"torch.cat([{code}, {code}], dim=-1)"


def _turned(texts: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the four quarter turns of a pair: `-b, a`."""
    first, second = (text.removeprefix("-") for text in texts)
    yield f"-{second}", first
    yield second, f"-{first}"
    yield f"-{first}", second
    yield first, f"-{second}"


@proposes("shape", cst.Assign, cost=0.9)
def halves_or_pairs(site: Site) -> Iterator[Proposal]:
    """`a, b = x.chunk(2, -1)` <-> `a, b = x[..., 0::2], x[..., 1::2]`, with `cat` <-> `stack` below it."""
    node = site.node
    assert isinstance(node, cst.Assign)
    target = node.targets[0].target
    if not isinstance(target, cst.Tuple) or len(target.elements) != 2:
        return
    function = site.source.enclosing(node, cst.FunctionDef)
    joined = (
        []
        if function is None
        else [
            one
            for one in m.findall(function.body, m.Call())
            if called(one) in ("cat", "concat", "stack", "concatenate")
        ]
    )
    whole = site.code(node.value)
    if called(node.value) in ("chunk", "split", "tensor_split") and isinstance(node.value, cst.Call):
        subject = subject_of(node.value)
        if subject is None:
            return
        tight = site.tight(subject)
        value = f"{tight}[..., 0::2], {tight}[..., 1::2]"
        for call in joined:
            assert isinstance(call, cst.Call)
            items = site.code(call.args[0].value)
            yield site.splice(value, node.value), site.splice(f"torch.stack({items}, dim=-1).flatten(-2)", call)
    elif "::2" in whole:
        tight = whole.partition("[")[0]
        for call in joined:
            assert isinstance(call, cst.Call)
            outer = site.source.parent(site.source.parent(call) or call)
            replaced = outer if outer is not None and called(outer) in ("flatten", "reshape", "view") else call
            items = site.code(call.args[0].value)
            yield (
                site.splice(f"{tight}.chunk(2, dim=-1)", node.value),
                site.splice(f"torch.cat({items}, dim=-1)", replaced),
            )


@proposes("mask", cst.Subscript, cost=0.7)
def rows_of_the_newest(site: Site) -> Iterator[Proposal]:
    """`mask[:, :, :n_q, :n_k]` -> `mask[:, :, n_k - n_q : n_k, :n_k]`: with a cache the queries are the last ones."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    slices = [one.slice for one in node.slice if isinstance(one.slice, cst.Slice)]
    for rows, columns in itertools.pairwise(slices):
        if rows.lower is None and rows.upper is not None and columns.upper is not None and columns.lower is None:
            n_q, n_k = site.code(rows.upper), site.code(columns.upper)
            first = n_k.removesuffix(f" + {n_q}")
            yield (site.splice(f"{first if first != n_k else f'{n_k} - {n_q}'} : {n_k}", rows),)


@proposes("mask", cst.Call, cost=1.0, is_repeated=True)
def positions_shifted(site: Site) -> Iterator[Proposal]:
    """`arange(n)` -> `arange(total - n, total)`, `arange(1, n + 1)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) != "arange" or not node.args:
        return
    values = [one for one in node.args if one.keyword is None]
    if not values:
        return
    last, function = site.code(values[min(1, len(values) - 1)].value), site.code(node.func)
    rest = [site.code(one).rstrip(", ") for one in node.args if one.keyword is not None]
    starts = [site.code(values[0].value)] if len(values) > 1 else ["0"]
    yield f"{function}({', '.join([_plus(starts[0], 1), f'{last} + 1', *rest])})"
    if len(values) == 1:
        for name in _lengths(site):
            if name != last:
                yield f"{function}({', '.join([f'{name} - {last}', name, *rest])})"
                yield f"{function}({', '.join([name, f'{name} + {last}', *rest])})"


def _plus(code: str, step: int) -> str:
    return str(int(code) + step) if code.lstrip("-").isdigit() else f"{code} + {step}"


def _lengths(site: Site) -> Iterator[str]:
    """Yield what may be a number of keys or a position from which the queries start."""
    names = [name for name in site.scope.names if _LENGTH.fullmatch(name)]
    yield from names[:_MOST]
    yield from (f"{name}.shape[-2]" for name in site.scope.names if name[:1].lower() == "k" and "mask" not in name)


@proposes("mask", cst.Call, cost=0.7)
def triangle_turned(site: Site) -> Iterator[Proposal]:
    """`tril(x, -1)` -> `triu(x, 1)`, `x.triu(1)` -> `x.tril(-1)`: the other half, cut at the same distance."""
    node = site.node
    assert isinstance(node, cst.Call)
    name = called(node).rstrip("_")
    if not name.startswith(("tril", "triu")):
        return
    other = ("triu" if name.startswith("tril") else "tril") + name[4:]
    last = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
    steps = [one.value for one in node.args if site.code(one.value).lstrip("-").isdigit()]
    if len(steps) == 1:
        yield site.splice(other, last), site.splice(str(-int(site.code(steps[0]))), steps[0])


@proposes("shape", cst.Assign, cost=0.8)
def turned_after_the_move(site: Site) -> Iterator[Proposal]:
    """`q = rotate(q, cos[:h])`, then `q = q.transpose(1, 2)` -> the other way round, tables as long as the text."""
    node, line, later = site.node, site.parent, _statement_beside(site, 1)
    assert isinstance(node, cst.Assign)
    below = None if later is None else site.source.parent(later)
    code = site.code(node.value)
    if line is None or below is None or later is None or "transpose" not in site.code(later.value):
        return
    if not re.search(r"rot|rope", code, re.IGNORECASE):
        return
    ours, theirs = lines_of(site, line), lines_of(site, below)
    moved = site.source.content[theirs.start : theirs.end].decode()
    own = site.source.content[ours.start : ours.end].decode()
    for length in ("", *_lengths(site)):
        turned = re.sub(r"\[\s*:\s*[\w.]+\s*\]", f"[:{length}]", own) if length else own
        yield (Splice(ours.start, theirs.end, moved + turned),)


@proposes("mask", cst.Call, cost=0.7)
def triangle_of_the_newest(site: Site) -> Iterator[Proposal]:
    """`ones(n, total).triu(1)` -> `ones(n, total).triu(total - n + 1)`: the queries are the last ones."""
    node = site.node
    assert isinstance(node, cst.Call)
    inner = subject_of(node)
    if called(node).rstrip("_") not in ("triu", "tril") or not isinstance(inner, cst.Call):
        return
    sizes = [site.code(one.value) for one in inner.args if one.keyword is None]
    steps = [one.value for one in node.args if site.code(one.value).lstrip("-").isdigit()]
    if len(sizes) >= 2 and sizes[0] != sizes[1] and len(steps) == 1:
        step = int(site.code(steps[0]))
        later = f" {'+' if step > 0 else '-'} {abs(step)}" if step else ""
        yield (site.splice(f"{sizes[1]} - {sizes[0]}{later}", steps[0]),)


@proposes("number", cst.Arg, cost=0.8)
def bound_moved(site: Site) -> Iterator[Proposal]:
    """`triu(x, diagonal=-window)` -> `diagonal=-window + 1`, and one less."""
    node = site.node
    assert isinstance(node, cst.Arg)
    call = site.parent
    if not isinstance(call, cst.Call) or called(call) not in ("triu", "tril", "triu_", "tril_", "tri"):
        return
    if node.keyword is None and node is call.args[0] and len(call.args) > 1:
        return
    code = site.code(node.value)
    if not code.lstrip("-").isdigit():
        yield from ((site.splice(text, node.value),) for text in (f"{code} + 1", f"{code} - 1", f"-({code})"))


@proposes("scale", cst.Assign, cost=0.9)
def capped(site: Site) -> Iterator[Proposal]:
    """Of `s / cap`, `tanh`, `* cap` one line is missing: put it after this statement."""
    node, statement = site.node, site.parent
    assert isinstance(node, cst.Assign)
    caps = [f"self.{name}" for name in site.scope.held if "cap" in name.lower()]
    caps += [name for name in site.scope.names if "cap" in name.lower()]
    target = node.targets[0].target
    if not caps or statement is None or not isinstance(target, cst.Name):
        return
    name, indent = target.value, indent_of(site, statement)
    end = lines_of(site, statement).end
    yield (Splice(end, end, f"{indent}{name} = torch.tanh({name})\n"),)
    for cap in caps[:2]:
        yield (Splice(end, end, f"{indent}{name} = {name} * {cap}\n"),)
        yield (Splice(end, end, f"{indent}{name} = {cap} * torch.tanh({name} / {cap})\n"),)


@proposes("projection", cst.Call, cst.Name, cst.Assign, cst.Return, cost=1.0)
def unused_layer_called(site: Site) -> Iterator[Proposal]:
    """What the constructor makes and nobody uses is applied: `v = x` -> `v = self.value(x)`, `x @ self.W_v`.

    In the place of what is applied twice, not around it: `k = self.query(x)` -> `k = self.key(x)`.
    """
    node, parent = site.node, site.parent
    unused = [name for name in site.scope.held if name not in site.scope.read]
    if not unused or len(unused) > _MOST:
        return
    if isinstance(node, cst.Call) and _is_used_again(site, node):
        yield from ((site.splice(f"self.{name}", node.func),) for name in unused)
        return
    if isinstance(node, cst.Assign | cst.Return):
        inner = node.value.elements[0].value if isinstance(node.value, cst.Tuple) else node.value
    else:
        inner = node if isinstance(parent, cst.Arg) else None
    around = None if parent is None else site.source.parent(parent)
    if inner is None or _is_used_again(site, around) or _is_used_again(site, inner):
        return
    for name in unused:
        yield (site.splice(f"self.{name}({site.code(inner)})", inner),)
        yield (site.splice(f"{site.tight(inner)} @ self.{name}", inner),)


def _is_used_again(site: Site, node: cst.CSTNode | None) -> bool:
    """Whether a layer is applied here that is applied elsewhere too: the unused one belongs in its place."""
    if not isinstance(node, cst.Call) or not m.matches(node.func, m.Attribute(value=m.Name("self"))):
        return False
    owner, code = site.source.enclosing(node, cst.FunctionDef), site.code(node.func)
    return owner is not None and len(re.findall(rf"\b{re.escape(code)}\(", site.code(owner))) > 1


@proposes("scale", cst.Call, cost=0.9, is_repeated=True)
def moved_out_of_the_call(site: Site) -> Iterator[Proposal]:
    """`self.q_proj(x * scale)` -> `(self.q_proj(x) * scale)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    inner = node.args[0].value if len(node.args) == 1 else None
    if isinstance(inner, cst.BinaryOperation) and isinstance(inner.operator, cst.Multiply | cst.Divide):
        sign = "*" if isinstance(inner.operator, cst.Multiply) else "/"
        yield f"({site.code(node.func)}({site.code(inner.left)}) {sign} {site.tight(inner.right)})"


@proposes("state", cst.Arg, cost=0.7)
def probability_in_training(site: Site) -> Iterator[Proposal]:
    """`dropout_p=self.dropout` -> `dropout_p=self.dropout if self.training else 0.0`."""
    node = site.node
    assert isinstance(node, cst.Arg)
    is_in_class = site.source.enclosing(node, cst.ClassDef) is not None
    if node.keyword is not None and node.keyword.value == "dropout_p" and is_in_class:
        yield f"dropout_p={site.code(node.value)} if self.training else 0.0"


@proposes("shape", cst.Call, cost=0.9)
def heads_first(site: Site) -> Iterator[Proposal]:
    """`bias.reshape(h, n, n)` -> `bias.permute(2, 0, 1)`: in a table of biases the heads stand last."""
    node = site.node
    assert isinstance(node, cst.Call)
    subject = subject_of(node)
    if called(node) not in ("reshape", "view") or subject is None:
        return
    if len(node.args) == 3:
        yield f"{site.tight(subject)}.permute(2, 0, 1)"
    if len(node.args) == 4 and site.code(node.args[0].value) == "1":
        yield f"{site.tight(subject)}.permute(2, 0, 1).unsqueeze(0)"


@proposes("shape", cst.Call, cost=0.8, is_repeated=True)
def heads_folded_into_the_batch(site: Site) -> Iterator[Proposal]:
    """`x.view(b * h, -1, d)` -> `x.view(b, -1, h, d).transpose(1, 2).flatten(0, 1)`, and the way back."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) not in ("view", "reshape") or len(node.args) != 3 or site.is_numpy:
        return
    first, middle, last = (one.value for one in node.args)
    subject = subject_of(node)
    if subject is None:
        return
    tight = site.tight(subject)
    if isinstance(first, cst.BinaryOperation) and isinstance(first.operator, cst.Multiply):
        for batch, heads in ((first.left, first.right), (first.right, first.left)):
            sizes = ", ".join(site.code(one) for one in (batch, middle, heads, last))
            yield f"{tight}.view({sizes}).transpose(1, 2).flatten(0, 1)"
    if isinstance(last, cst.BinaryOperation) and isinstance(last.operator, cst.Multiply):
        for heads, size in ((last.left, last.right), (last.right, last.left)):
            sizes = ", ".join(site.code(one) for one in (first, heads, middle, size))
            merged = ", ".join(site.code(one.value) for one in node.args)
            yield f"{tight}.view({sizes}).transpose(1, 2).reshape({merged})"
