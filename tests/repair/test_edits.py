"""The catalogue proposes what a reviewer would write, as text that is Python."""

import ast

import pytest

from attention_surgeon.repair.edit import edits_of
from attention_surgeon.repair.search import CATALOGUE
from attention_surgeon.repair.source import Source

HEAD = "import math\nimport torch\nimport torch.nn.functional as F\n\n\n"
FUNCTION = "def attention(Q, K, V, mask=None):\n    {}\n"
PROPOSED = {
    "softmax axis": ("return F.softmax(Q @ K, dim=1) @ V", "return F.softmax(Q @ K, dim=-1) @ V"),
    "scale": ("s = Q @ K.mT", "s = Q @ K.mT / math.sqrt(Q.shape[-1])"),
    "constant scale": ("s = Q @ K.mT / 8", "s = Q @ K.mT / math.sqrt(Q.shape[-1])"),
    "scale after the softmax": ("return s.softmax(-1) / 8", "return (s / 8).softmax(-1)"),
    "mask upside down": ("s = s.masked_fill(mask, -1e9)", "s = s.masked_fill(~mask, -1e9)"),
    "not assigned": ("s.masked_fill(mask, -1e9)", "s = s.masked_fill(mask, -1e9)"),
    "heads by a view": ("return Q.view(b, h, n, d)", "return Q.view(b, n, h, d).transpose(1, 2)"),
    "tiled": ("return K.repeat(1, r, 1, 1)", "return K.repeat_interleave(r, dim=1)"),
    "order of chunks": ("k, q, v = x.chunk(3, -1)", "q, k, v = x.chunk(3, -1)"),
    "off by one": ("return torch.ones(n, n).triu(diagonal=1)", "return torch.ones(n, n).tril(diagonal=1)"),
    "residual": ("return Q + V", "return V"),
    "in place": ("Q /= 8", "Q = Q / 8"),
    "einsum": ('s = torch.einsum("bqd,bkd->bkq", Q, K)', 's = torch.einsum("bqd,bkd->bqk", Q, K)'),
    "order of returns": ("return w, o", "return o, w"),
    "not assigned to its subject": ("_ = s.masked_fill(mask, -1e9)", "s = s.masked_fill(mask, -1e9)"),
    "each from its own": ("q, k, v = f(Q), g(Q), h(Q)", "q, k, v = f(Q), g(K), h(V)"),
    "as its neighbour": ("return rope(Q), K", "return rope(Q), rope(K)"),
    "rotated by its neighbour's form": (
        "return (Q * c) + (r(Q) * s), K",
        "return (Q * c) + (r(Q) * s), (K * c) + (r(K) * s)",
    ),
    "rotated over the heads": ("q = rotate(Q, c)", "q = rotate(Q.transpose(1, 2), c).transpose(1, 2)"),
    "two masks at once": (
        "if Q is None:\n        s = s + Q\n    elif mask is None:\n        s = s + mask",
        "if Q is None:\n        s = s + Q\n    if mask is None:\n        s = s + mask",
    ),
    "values kept as the keys": (
        "keys, values = K, V\n    keys[:, n] = k_new\n    v_new = V",
        "keys, values = K, V\n    keys[:, n] = k_new\n    values[:, n] = v_new\n    v_new = V",
    ),
    "a residual that is multiplied": ("return Q * proj(V)", "return Q + proj(V)"),
    "pairs": ("return torch.cat([a, a], -1)", "return a.repeat_interleave(2, dim=-1)"),
    "rows of the newest": ("m = mask[:, :, :n, :total]", "m = mask[:, :, total - n : total, :total]"),
    "triangle of the newest": ("m = torch.ones(n, m).triu(1)", "m = torch.ones(n, m).triu(m - n + 1)"),
    "the other triangle": ("s = mask.tril(-1)", "s = mask.triu(1)"),
    "window": ("m = torch.triu(mask, diagonal=-n)", "m = torch.triu(mask, diagonal=-n + 1)"),
    "slopes from one": ("e = torch.arange(n)", "e = torch.arange(1, n + 1)"),
    "a switch": ("return f(Q, is_causal=False)", "return f(Q, is_causal=True)"),
    "another key": ('k, v, w = c["k"], c["k"], c["v"]', 'k, v, w = c["k"], c["v"], c["v"]'),
    "bias of heads": ("b = table[i].reshape(h, n, n)", "b = table[i].permute(2, 0, 1)"),
    "scale before the projection": ("q = proj(Q * c)", "q = (proj(Q) * c)"),
    "heads in the batch": ("q = Q.view(b * h, -1, d)", "q = Q.view(b, -1, h, d).transpose(1, 2).flatten(0, 1)"),
    "scale in a helper's softmax": (
        "return softmax_of(Q @ K.mT)",
        "return softmax_of(Q @ K.mT / math.sqrt(Q.shape[-1]))",
    ),
    "sign": ("s = -(Q @ K.mT)", "s = (Q @ K.mT)"),
    "a gate for a softmax": ("w = 0.5 * (1 + torch.tanh(Q / 2))", "w = Q.softmax(dim=-1)"),
    "a function handed on": ("w = compose(torch.sigmoid)", "w = compose(lambda scores: scores.softmax(dim=-1))"),
    "a softmax in logarithms": ("return Q - Q.exp().sum(-1).log()", "return (Q - Q.exp().sum(-1).log()).exp()"),
    "not divided by its sum": (
        "w = torch.exp(Q)",
        "w = torch.exp(Q)\n    w = w / w.sum(-1, keepdim=True).clamp(min=1e-30)",
    ),
    "base two": ("w = 2 ** Q", "w = Q.exp()"),
    "a sink": ("w = torch.cat([Q, z], -1).softmax(-1)[..., :-1]", "w = Q.softmax(dim=-1)"),
    "a distance": ("s = -((Q - K) ** 2).sum(-1)", "s = (Q * K).sum(-1)"),
    "two names": ("s = torch.bmm(K, Q.transpose(1, 2))", "s = torch.bmm(Q, K.transpose(1, 2))"),
    "an expression for a name": ('o = torch.einsum("qk,kd->qd", K * 0, V)', 'o = torch.einsum("qk,kd->qd", K, V)'),
    "a summand in a product": ("return torch.baddbmm(Q, K, V)", "return torch.bmm(K, V)"),
    "weights that nobody reads": ("return V.mean(dim=1)", "return Q @ V"),
    "zero log zero": ("e = Q * torch.log(Q)", "e = torch.xlogy(Q, Q)"),
    "a sum of everything": ("e = Q.sum()", "e = Q.sum(-1).mean()"),
    "the other sign": ("e = f(Q)", "e = -f(Q)"),
    "dropout that does not rescale": (
        "w = Q * (torch.rand(3) > p)\n    p = 1",
        "w = Q * (torch.rand(3) > p) / (1 - p)\n    p = 1",
    ),
    "rows as lists": (
        "rows.append(Q.tolist())\n    return torch.tensor(rows, dtype=d)",
        "rows.append(Q)\n    return torch.stack(rows)",
    ),
    "a mask that multiplies": ("s = Q * mask", "s = Q.masked_fill(mask == 0, -1e9)"),
    "a mask that is added": ("s = Q + mask.to(Q.dtype)", "s = Q.masked_fill(mask == 0, -1e9)"),
    "zero for hidden": ("s = s * 0", "s = s - 1e9"),
    "the wrong corner": (
        "m = torch.ones(n, n_k).tril()\n    n = n_k = 1",
        "m = torch.ones(n, n_k).tril(n_k - n)\n    n = n_k = 1",
    ),
    "a mask after the loop": (
        "s = [f(j) for j in r]\n    for j in r:\n        if mask[j]:\n            g(j)",
        "s = [f(j) if mask[j] else -1e9 for j in r]\n    for j in r:\n        if mask[j]:\n            g(j)",
    ),
    "one more": ("n = i + shift", "n = i + shift + 1"),
    "hidden before the largest is taken off": (
        "w = torch.exp(Q - Q.amax(-1))",
        "if mask is not None:\n        Q = Q.masked_fill(mask == 0, -1e9)\n    w = torch.exp(Q - Q.amax(-1))",
    ),
    "the other part": ("m[n:] = 1", "m[:n] = 1"),
    "positions of keys": ("m = torch.arange(Q.shape[1])[None, :, None]", "m = torch.arange(K.shape[1])[None, None, :]"),
    "turned and back": ("y = f(Q.transpose(0, 1)).transpose(0, 1)", "y = f(Q)"),
    "heads stacked": ("y = torch.stack(heads).mean(0)", "y = torch.cat(heads, dim=-1)"),
    "heads averaged": ("y = Q.mean(2).repeat(1, 1, h)", "y = Q.flatten(2)"),
    "expanded": ("k = K[:, None].expand(-1, r, -1, -1, -1).flatten(1, 2)", "k = K.repeat_interleave(r, dim=1)"),
    "scale after an added mask": (
        "s = f(Q)\n    s = s + mask\n    return s / c",
        "s = f(Q) / c\n    s = s + mask\n    return s",
    ),
    "no gradient": ("with torch.no_grad():\n        s = f(Q)", "s = f(Q)"),
    "an operand in parentheses": ("s = (Q + K) / 8", "s = (Q + K) * 8"),
    "a call of what is in parentheses": ("w = (Q + K).softmax(-2)", "w = (Q + K).softmax(-1)"),
    "one call in two places": ("s = f(unit(Q), unit(K).mT)", "s = f(Q, K.mT)"),
    "a reshape for a transpose": ("k = K.reshape(b, d, n)", "k = K.transpose(-2, -1)"),
    "sizes in the order of another layout": ("q = Q.view(b, h, n, d)", "q = Q.view(b, h, d, n).transpose(-2, -1)"),
    "axes turned that lie right": ("q = Q.view(b, h, -1, d).transpose(2, 3)", "q = Q.view(b, h, d, -1)"),
    "rows one too far": ("m = mask[:, 1:n+1, :n]", "m = mask[:, :n, :n]"),
    "the largest that is there": (
        "q_max = Q.max()\n    w = torch.exp(Q)",
        "q_max = Q.max()\n    w = torch.exp(Q - q_max)",
    ),
    "a number for an argument": ("m = Q != 0", "m = Q != K"),
    "speeds upside down": ("s = b ** (torch.arange(d) / d)", "s = 1.0 / (b ** (torch.arange(d) / d))"),
    "a residual under the norm": ("return norm(V)", "return norm(V + Q)"),
    "values in the place of keys": (
        "q, k, v = f(Q)\n    q, v = turn(q), turn(v)",
        "q, k, v = f(Q)\n    q, k = turn(q), turn(k)",
    ),
    "newest rows of a sum": ("m = mask[:n, : start + n]", "m = mask[start : start + n, : start + n]"),
}
IN_A_LAYER = {
    "a constant for what is given": ("return 0.0", "return heads"),
    "a layer that does nothing": ("self.o = nn.Identity()", "self.o = nn.Linear(dim, dim)"),
    "a constant scale": ("self.scale = 1.0", "self.scale = (dim // heads) ** -0.5"),
    "heads that are not split": (
        "y = self.k(x).unsqueeze(1)",
        "y = self.k(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)",
    ),
    "one head": ("for i in range(1):\n            y = x", "for i in range(self.heads):\n            y = x"),
    "keys for values": ("k = self.k(x)\n        return x @ k", "k = self.k(x)\n        return x @ self.v(x)"),
    "one projection for all": (
        "h = self.q(x)\n        return h, h, h",
        "h = self.q(x)\n        return self.q(x), self.k(x), self.v(x)",
    ),
    "a part of a head": ("y = x.k(heads)", "y = x(heads)"),
    "values of another input": (
        "k = self.k(heads).mT\n        v = self.v(x).mT",
        "k = self.k(heads).mT\n        v = self.v(heads).mT",
    ),
}


LAYER = """class Layer(nn.Module):
    def __init__(self, dim, heads):
        self.q, self.k, self.v, self.heads = a(dim), b(dim), c(dim), heads

    def forward(self, x, dim, heads):
        z = self.q(x), self.k(x), self.v(x), self.heads
        {}
"""


def texts(line: str) -> list[str]:
    source = Source(HEAD + FUNCTION.format(line))
    return [source.spliced(edit.splices) for edit in edits_of(source.closure("attention"))]


@pytest.mark.parametrize("name", IN_A_LAYER)
def test_the_right_line_of_a_layer_is_proposed(name):
    before, after = IN_A_LAYER[name]
    source = Source(HEAD + LAYER.format(before))
    found = [source.spliced(edit.splices) for edit in edits_of(source.closure("Layer"))]
    found = [ast.dump(ast.parse(text)) for text in found if _is_python(text)]
    assert ast.dump(ast.parse(HEAD + LAYER.format(after))) in found


def test_a_helper_that_others_use_is_changed_last():
    helper, own = "def scale(x):\n    return x * 2\n\n\n", "def attention(x):\n    return scale(x)\n"
    other = "\n\ndef other(x):\n    return scale(x)\n"

    def cost(text: str) -> float:
        source = Source(text)
        return min(one.cost for one in edits_of(source.closure("attention")) if one.splices[0].text == "x / 2")

    assert cost(helper + own + other) > cost(helper + own)


def test_a_mask_is_handed_on_to_a_helper_that_takes_one():
    helper = "def attend(q, k, v, attn_mask=None):\n    return q\n\n\n"
    source = Source(f"{helper}def attention(q, k, v, mask=None):\n    return attend(q, k, v)\n")
    changed = [source.spliced(edit.splices) for edit in edits_of(source.closure("attention"))]
    assert any("return attend(q, k, v, mask)" in one for one in changed)


def test_a_reach_is_counted_in_steps():
    source = Source("def window_mask(offset, reach, dilation):\n    return offset.abs() <= reach\n")
    changed = [source.spliced(edit.splices) for edit in edits_of(source.closure("window_mask"))]
    assert any("offset.abs() <= reach * dilation" in one for one in changed)


def test_no_second_scale_where_one_is_in_the_wrong_place():
    assert any("(Q @ K) / math.sqrt(" in one for one in texts("s = Q @ K"))
    assert not any("(Q @ K) / math.sqrt(" in one for one in texts("q = f(Q * scale)\n    s = Q @ K"))


def test_the_zeros_of_an_added_mask_are_not_filled():
    filled = "s.masked_fill(mask == 0"
    assert any(filled in one for one in texts("s = Q @ K\n    w = s.softmax(-1)"))
    assert not any(filled in one for one in texts("s = Q @ K + mask\n    w = s.softmax(-1)"))


def test_a_key_of_a_cache_is_no_mask():
    assert not any("~" in one for one in texts("k = torch.cat([K[place], V])"))
    assert any("Q[~place]" in one for one in texts("Q[place] = -1e9"))


def test_an_attribute_is_no_function_of_the_file():
    source = Source("def softmax(x):\n    return x * 3\n\n\ndef attention(x):\n    return x.softmax(-1)\n")
    assert len(source.closure("attention").indices) == 1


def test_a_mask_has_no_root():
    assert any("d ** -0.5" in one for one in texts("scale = d"))
    assert not any("** -0.5" in one for one in texts("mask = torch.tril(d)"))


def test_a_variable_is_no_function_of_the_file():
    source = Source("def s(x):\n    return x * 3\n\n\ndef attention(x):\n    s = x\n    return s + 1\n")
    assert len(source.closure("attention").indices) == 1
    source = Source("def s(x):\n    return x * 3\n\n\ndef attention(x):\n    return [s(one) for one in x]\n")
    assert len(source.closure("attention").indices) == 2


def test_the_gradient_is_let_through_a_function():
    source = Source("import torch\n\n\n@torch.no_grad()\ndef attention(x):\n    return x\n")
    changed = [source.spliced(edit.splices) for edit in edits_of(source.closure("attention"))]
    assert "import torch\n\n\ndef attention(x):\n    return x\n" in changed


def test_numpy_is_told_by_the_definition_in_a_file_of_both():
    both = "import numpy as np\nimport torch\n\n\n"
    source = Source(f"{both}def attention(Q, K):\n    return np.exp(Q.reshape(2, 3))\n")
    changed = [source.spliced(edit.splices) for edit in edits_of(source.closure("attention"))]
    assert any("Q.swapaxes(-2, -1)" in one for one in changed)
    assert not any("Q.transpose(-2, -1)" in one for one in changed)


@pytest.mark.parametrize("name", PROPOSED)
def test_the_right_line_is_proposed(name):
    before, after = PROPOSED[name]
    found = [ast.dump(ast.parse(text)) for text in texts(before) if _is_python(text)]
    assert ast.dump(ast.parse(HEAD + FUNCTION.format(after))) in found


@pytest.mark.parametrize("name", PROPOSED)
def test_nearly_everything_that_is_proposed_is_python(name):
    found = texts(PROPOSED[name][0])
    assert sum(map(_is_python, found)) > 0.95 * len(found)


def test_a_helper_of_the_file_is_edited_too_and_others_are_not():
    helpers = "def scale(x):\n    return x * 2\n\n\ndef other(x):\n    return x * 3\n\n\n"
    source = Source(f"{helpers}def attention(x):\n    return scale(x)\n")
    changed = [source.spliced(edit.splices) for edit in edits_of(source.closure("attention"))]
    assert any("x / 2" in one for one in changed)
    assert all("return x * 3" in one for one in changed)


def test_what_is_outside_of_the_change_stays_to_the_byte():
    text = "# ä comment\ndef attention( x,y ):  # odd   blanks\n\treturn x*y # end"
    source = Source(text)
    assert any(
        source.spliced(edit.splices) == text.replace("x*y", "x / y") for edit in edits_of(source.closure("attention"))
    )


def test_the_catalogue_is_in_force():
    assert {module.__name__.rpartition(".")[2] for module in CATALOGUE} == {
        "edits_small",
        "edits_scale",
        "edits_masks",
        "edits_heads",
        "edits_weights",
        "edits_hiding",
        "edits_layers",
        "edits_positions",
        "edits_statements",
    }


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
