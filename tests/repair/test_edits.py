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
}


def texts(line: str) -> list[str]:
    source = Source(HEAD + FUNCTION.format(line))
    return [source.spliced(edit.splices) for edit in edits_of(source.closure("attention"))]


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
        "edits_attention",
        "edits_positions",
        "edits_statements",
    }


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
