"""Edits of layers: which projection makes what, how heads are put together, constants in constructors, gradients."""

import itertools
import re
from collections.abc import Iterable, Iterator

import libcst as cst
import libcst.matchers as m

from attention_surgeon.repair.edit import Proposal, Site, proposes
from attention_surgeon.repair.edits_scale import root_of, widths
from attention_surgeon.repair.edits_statements import dedented, indent_of, lines_of
from attention_surgeon.repair.edits_weights import assigned
from attention_surgeon.repair.source import Splice
from attention_surgeon.repair.spelling import called, subject_of

_MOST = 6
_HEADS = re.compile(r"(num_|n_|nb_)?(attention_)?(heads?|h|nhead)")
"""A name of the number of heads."""


def _projections(site: Site) -> list[str]:
    """Return the attributes that are called on a layer's input, by their names."""
    return [name for name in (*site.scope.called, *site.scope.held) if _is_projection(name)]


def _is_projection(name: str) -> bool:
    return bool(
        re.search(r"(^|_)(q|k|v|wq|wk|wv|query|queries|key|keys|value|values|[qkv]_?\w*|w_?[qkv])($|_)", name.lower())
    )


def _made_by(site: Site, code: str) -> str:
    """Return the projection that makes a text, if there is one."""
    found = [name for name in _projections(site) if re.search(rf"\bself\.{re.escape(name)}\b", code)]
    return found[0] if len(found) == 1 else ""


@proposes("projection", cst.Name, cost=1.0)
def made_by_another_layer(site: Site) -> Iterator[Proposal]:
    """`k = f(self.key(x))`, `weights @ k` -> `weights @ f(self.value(x))`."""
    node = site.node
    assert isinstance(node, cst.Name)
    if node.value not in site.scope.names or isinstance(site.parent, cst.AssignTarget | cst.Param | cst.Attribute):
        return
    value = assigned(site, node.value)
    code = "" if value is None else site.code(value)
    maker = _made_by(site, code)
    if maker:
        for name in _projections(site)[:_MOST]:
            if name != maker:
                yield re.sub(rf"\bself\.{re.escape(maker)}\b", f"self.{name}", code)


@proposes("projection", cst.Tuple, cost=0.8)
def each_by_its_own_layer(site: Site) -> Iterator[Proposal]:
    """`h = self.query(x)`, `return h, h, h` -> `self.query(x), self.key(x), self.value(x)`."""
    node = site.node
    assert isinstance(node, cst.Tuple)
    items = [one.value for one in node.elements]
    if len({site.code(one) for one in items}) != 1 or not 2 <= len(items) <= 3:
        return
    value = assigned(site, items[0].value) if isinstance(items[0], cst.Name) else items[0]
    code = "" if value is None else site.code(value)
    maker = _made_by(site, code)
    if maker:
        for names in itertools.permutations(_projections(site)[:_MOST], len(items)):
            if maker in names:
                made = (re.sub(rf"\bself\.{re.escape(maker)}\b", f"self.{name}", code) for name in names)
                yield ", ".join(made)


@proposes("projection", cst.Call, cost=1.2)
def called_itself(site: Site) -> Iterator[Proposal]:
    """`head.value(x)` -> `head(x)`: the whole of it, not a part."""
    node = site.node
    assert isinstance(node, cst.Call)
    if isinstance(node.func, cst.Attribute) and isinstance(node.func.value, cst.Name):
        owner = node.func.value.value
        if owner != "self" and owner not in site.source.imported:
            yield f"{owner}({', '.join(site.code(one).rstrip(', ') for one in node.args)})"


@proposes("shape", cst.Call, cost=0.8)
def not_turned_and_back(site: Site) -> Iterator[Proposal]:
    """`f(x.transpose(0, 1)).transpose(0, 1)` -> `f(x)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    inner = subject_of(node)
    if called(node) not in ("transpose", "swapaxes", "permute", "movedim") or not isinstance(inner, cst.Call):
        return
    first = inner.args[0].value if inner.args else None
    turned = subject_of(first) if isinstance(first, cst.Call) and called(first) == called(node) else None
    if turned is not None:
        rest = [site.code(one).rstrip(", ") for one in inner.args[1:]]
        yield f"{site.code(inner.func)}({', '.join([site.code(turned), *rest])})"


@proposes("shape", cst.Call, cost=0.8)
def heads_beside_each_other(site: Site) -> Iterator[Proposal]:
    """`stack(heads, dim=1).reshape(x.shape)`, `stack(heads).mean(0)` -> `cat(heads, dim=-1)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    inner = subject_of(node)
    if not isinstance(inner, cst.Call) or called(node) not in ("reshape", "view", "mean", "sum", "flatten", "repeat"):
        return
    if called(inner) == "stack" and inner.args:
        joined = f"torch.cat({site.code(inner.args[0].value)}, dim=-1)"
        yield joined
        yield from ((site.splice(joined), again) for again in _repeated(site))
    if called(node) == "repeat" and called(inner) == "mean" and inner.args:
        subject, axis = subject_of(inner), site.code(inner.args[0].value)
        if subject is not None:
            yield f"{site.tight(subject)}.flatten({axis})"


def _repeated(site: Site) -> Iterator[Splice]:
    """Yield splices that put a name in the place of its repetition, where this expression is what the name means."""
    statement = site.source.enclosing(site.node, cst.Assign)
    function = site.source.enclosing(site.node, cst.FunctionDef)
    target = None if statement is None else statement.targets[0].target
    if function is not None and isinstance(target, cst.Name):
        for one in m.findall(function.body, m.Call(func=m.Attribute(attr=m.Name("repeat")))):
            if isinstance(one, cst.Call) and site.code(subject_of(one) or one) == target.value:
                yield site.splice(target.value, one)


@proposes("shape", cst.Call, cost=0.8)
def heads_split(site: Site) -> Iterator[Proposal]:
    """`q_proj(x).unsqueeze(1)` -> `q_proj(x).unflatten(-1, (self.h, -1)).transpose(1, 2)`."""
    node = site.node
    assert isinstance(node, cst.Call)
    subject = subject_of(node)
    if called(node) == "unsqueeze" and subject is not None and site.code(node.args[-1].value) == "1":
        for name in (name for name in site.scope.held if _HEADS.fullmatch(name)):
            yield f"{site.tight(subject)}.unflatten(-1, (self.{name}, -1)).transpose(1, 2)"


@proposes("shape", cst.Call, cost=0.7, is_repeated=True)
def expanded_beside_its_own(site: Site) -> Iterator[Proposal]:
    """`k[:, None].expand(-1, r, -1, -1, -1).flatten(1, 2)` -> `k.repeat_interleave(r, dim=1)`, or turned before."""
    node = site.node
    assert isinstance(node, cst.Call)
    inner = subject_of(node)
    if called(node) not in ("flatten", "reshape") or not isinstance(inner, cst.Call) or called(inner) != "expand":
        return
    base = subject_of(inner)
    sizes = [site.code(one.value) for one in inner.args if site.code(one.value) not in ("-1", "1")]
    if isinstance(base, cst.Subscript) and len(sizes) == 1:
        yield f"{site.tight(base.value)}.repeat_interleave({sizes[0]}, dim=1)"
    if called(node) == "flatten" and len(node.args) == 2:
        axes = ", ".join(site.code(one.value) for one in node.args)
        yield f"{site.code(inner)}.transpose({axes}).flatten({axes})"


@proposes("number", cst.Integer, cost=1.0)
def over_all_heads(site: Site) -> Iterator[Proposal]:
    """`range(1)` -> `range(self.num_heads)`."""
    call = None if not isinstance(site.parent, cst.Arg) else site.source.parent(site.parent)
    if call is not None and called(call) == "range":
        yield from (f"self.{name}" for name in site.scope.held if _HEADS.fullmatch(name))
        yield from (f"len(self.{name})" for name in site.scope.held if _HEADS.fullmatch(name))


@proposes("projection", cst.Call, cost=0.8)
def layer_for_identity(site: Site) -> Iterator[Proposal]:
    """`self.to_out = nn.Identity()` -> `nn.Linear(dim, dim)`: a projection that was left out."""
    node = site.node
    assert isinstance(node, cst.Call)
    if called(node) == "Identity":
        library = site.code(node.func).removesuffix("Identity")
        yield from (f"{library}Linear({width}, {width})" for width in _whole_widths(site.scope.parameters))


@proposes("projection", cst.Return, cost=1.2)
def projected_by_a_new_layer(site: Site) -> Iterator[Proposal]:
    """`return y` of a class without an output projection -> `return self.out_proj(y)`, and the constructor makes it."""
    node, function = site.node, site.source.enclosing(site.node, cst.FunctionDef)
    owner = site.source.enclosing(site.node, cst.ClassDef)
    assert isinstance(node, cst.Return)
    value = node.value.elements[0].value if isinstance(node.value, cst.Tuple) else node.value
    if owner is None or function is None or value is None or function.name.value not in ("forward", "__call__"):
        return
    for made in m.findall(owner.body, m.FunctionDef(name=m.Name("__init__"))):
        if isinstance(made, cst.FunctionDef) and isinstance(made.body, cst.IndentedBlock):
            last = made.body.body[-1]
            end, indent = lines_of(site, last).end, indent_of(site, last)
            parameters = [one.name.value for one in made.params.params]
            nn = "nn" if "nn" in site.source.imported else "torch.nn"
            for width in _whole_widths(parameters):
                line = f"{indent}self.out_proj = {nn}.Linear({width}, {width})\n"
                yield Splice(end, end, line), site.splice(f"self.out_proj({site.code(value)})", value)


def _whole_widths(parameters: Iterable[str]) -> list[str]:
    """Return the parameters of a constructor that may be the width of a layer's tokens."""
    return [name for name in parameters if _WIDTH.search(name) and "head" not in name][:_MOST]


_WIDTH = re.compile(r"(^|_)(d|c|dim|width|size|features|channels|embd|embed|hidden|model)($|_)|^n_embd$", re.IGNORECASE)


@proposes("mask", cst.Return, cost=0.9)
def given_for_a_constant(site: Site) -> Iterator[Proposal]:
    """`def bias(self, mask): return 0.0` -> `return mask`: what the function is given and does not read."""
    node, function = site.node, site.source.enclosing(site.node, cst.FunctionDef)
    assert isinstance(node, cst.Return)
    is_in_class = site.source.enclosing(node, cst.ClassDef) is not None  # elsewhere nothing but the constant is there
    if function is None or not is_in_class or not isinstance(node.value, cst.Integer | cst.Float):
        return
    words = m.findall(function.body, m.Name())
    read = {one.value for one in words if isinstance(one, cst.Name) and not _is_a_part(site, one)}
    own = [one.name.value for one in function.params.params if one.name.value != "self"]
    for name in (name for name in own if name not in read):
        yield (site.splice(name, node.value),)
        if "mask" in name and not site.is_numpy:
            yield (site.splice(f"{name} if {name}.dim() != 3 else {name}[:, None]", node.value),)


def _is_a_part(site: Site, name: cst.Name) -> bool:
    parent = site.source.parent(name)
    return isinstance(parent, cst.Attribute) and parent.attr is name


@proposes("scale", cst.Integer, cst.Float, cost=0.9)
def width_for_a_constant(site: Site) -> Iterator[Proposal]:
    """`self.scale = 1.0` -> `self.scale = (dim // heads) ** -0.5`; `return 1` -> `return math.sqrt(k.shape[-1])`."""
    parent = site.parent
    if isinstance(parent, cst.Arg):
        if parent.keyword is None or not re.search("scal|root|temp|norm", parent.keyword.value):
            return
    elif not isinstance(parent, cst.Assign | cst.Return):
        return
    if isinstance(parent, cst.Assign) and site.scope.names == ():  # an attribute of a class: no width is known there
        yield from ("0.5", "-0.5")
        return
    for width in widths(site):
        yield root_of(site, width)
        yield f"{width} ** -0.5"


@proposes("scale", cst.BinaryOperation, cost=0.9)
def scaled_before_the_mask(site: Site) -> Iterator[Proposal]:
    """`s = q @ k.mT`, `s = s + mask`, `return s / c` -> the division where the scores are made."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    if not isinstance(node.left, cst.Name) or not isinstance(node.operator, cst.Divide | cst.Multiply):
        return
    made = assigned(site, node.left.value)
    if made is None or site.source.span(made)[1] >= site.source.span(node)[0]:
        return
    rest = site.source.content[site.source.span(node.left)[1] : site.source.span(node)[1]].decode()
    yield site.splice(f"{site.tight(made)}{rest}", made), site.splice(site.code(node.left))


@proposes("state", cst.With, cost=0.6)
def gradient_let_through(site: Site) -> Iterator[Proposal]:
    """`with torch.no_grad():` -> what it holds."""
    node = site.node
    assert isinstance(node, cst.With)
    if len(node.items) == 1 and "grad" in site.code(node.items[0].item):
        yield (dedented(site, node),)


@proposes("state", cst.FunctionDef, cost=0.6)
def gradient_of_a_function(site: Site) -> Iterator[Proposal]:
    """`@torch.no_grad()` above a function -> nothing."""
    node = site.node
    assert isinstance(node, cst.FunctionDef)
    for one in node.decorators:
        if re.search("no_grad|inference_mode", site.code(one)):
            yield (lines_of(site, one),)


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
