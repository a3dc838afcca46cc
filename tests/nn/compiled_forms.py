"""The forms of attention that the tests of PyTorch's features go through, and what becomes of them in `torch.compile`.

python -m tests.nn.compiled_forms        compiles each in one graph and prints what differs, as JSON
"""

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from attention_surgeon.kernels import tiled_attention
from attention_surgeon.masks import causal_mask
from attention_surgeon.nn import MultiHeadAttention, MultiheadAttention, scaled_dot_product_attention
from attention_surgeon.ops import attention

BATCH, N, WIDTH = 2, 5, 6
LAYER, DROP_IN = MultiHeadAttention(WIDTH, 2, dropout=0.0), MultiheadAttention(WIDTH, 2, batch_first=True)
TRIL, HIDDEN = torch.ones(N, N, dtype=torch.bool).tril(), torch.ones(N, N, dtype=torch.bool).triu(1)
BIAS = torch.randn(N, N, generator=torch.Generator().manual_seed(0))

Form = Callable[[Tensor, Tensor, Tensor], Tensor]
FORMS: dict[str, Form] = {
    "attention": lambda q, k, v: attention(q, k, v, causal_mask(N))[0],
    "attention, added": lambda q, k, v: attention(q, k, v, BIAS.to(q.device))[0],
    "tiled_attention": lambda q, k, v: tiled_attention(q, k, v, causal_mask(N)),
    "tiled_attention, no mask": lambda q, k, v: tiled_attention(q, k, v),
    "tiled_attention, added": lambda q, k, v: tiled_attention(q, k, v, BIAS.to(q.device)),
    "scaled_dot_product_attention": lambda q, k, v: scaled_dot_product_attention(q, k, v, TRIL.to(q.device)),
    "MultiHeadAttention": lambda q, k, v: LAYER(q, causal_mask(N)),
    "MultiHeadAttention, added": lambda q, k, v: LAYER(q, BIAS),
    "MultiHeadAttention, tiled": lambda q, k, v: LAYER(q, causal_mask(N), implementation="tiled"),
    "MultiheadAttention": lambda q, k, v: DROP_IN(q, k, v, attn_mask=HIDDEN)[0],
}


def given(n: int = 3) -> list[Tensor]:
    return [torch.randn(BATCH, N, WIDTH, generator=torch.Generator().manual_seed(seed)) for seed in range(n)]


class Module(nn.Module):
    """A form as a module, which the exporters want."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self.layers = nn.ModuleList([LAYER, DROP_IN])

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.form(q, k, v)


class Model(nn.Module):
    """One layer behind the other, each the model's own, as strict export wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.ours, self.drop_in = LAYER, DROP_IN

    def forward(self, x: Tensor) -> Tensor:
        x = self.ours(x, causal_mask(N)) + self.ours(x, causal_mask(N), implementation="tiled")
        return self.drop_in(x, x, x)[0]


def with_gradients(form: Form) -> list[Tensor]:
    leaves = [x.requires_grad_() for x in given()]
    output = form(*leaves)
    grads = torch.autograd.grad(output.square().sum(), leaves, materialize_grads=True)
    return [output.detach(), *grads]


def masked(attend: Callable[..., Tensor], bias: Tensor) -> list[Tensor]:
    """Return output and the gradient of a floating mask."""
    leaf = bias.detach().requires_grad_()
    output = attend(*given(), leaf)
    return [output, *torch.autograd.grad(output.square().sum(), leaf)]


def grouped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k = q[:, None].expand(-1, 6, -1, -1), k[:1, None].expand(-1, 3, -1, -1)
    return tiled_attention(q, k, v[:1, None].expand(-1, 3, -1, -1)[..., :3], use_shared_heads=True, scale=0.3)


Pair = Callable[[Callable[[Any], Any]], list[Tensor]]
MORE: dict[str, Pair] = {
    "grouped heads": lambda compiled: with_gradients(compiled(grouped)),
    "gradient of a mask": lambda compiled: masked(compiled(tiled_attention), BIAS),
    "gradient of an expanded mask": lambda compiled: masked(compiled(tiled_attention), BIAS[:1].expand(N, N)),
}
COMPILED = [*FORMS, *MORE, "inductor", "dropout", "strict export"]


def _compare(name: str, backend: str) -> str:
    torch.compiler.reset()
    pair = MORE.get(name) or (lambda compiled: with_gradients(compiled(FORMS[name])))
    try:
        ours = pair(lambda form: torch.compile(form, fullgraph=True, backend=backend))
        torch.testing.assert_close(ours, pair(lambda form: form))
    except (AssertionError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "the same"


def _dropped() -> str:
    torch.compiler.reset()
    dropped = torch.compile(lambda q: tiled_attention(q, q, q, dropout=0.5), fullgraph=True, backend="aot_eager")
    query = given()[0]
    return "drawn only once" if torch.equal(dropped(query), dropped(query)) else "the same"


def _exported() -> str:
    model, query = Model(), given()[0]
    try:
        exported = torch.export.export(model, (query,), strict=True)
        torch.testing.assert_close(exported.module()(query), model(query))
    except (AssertionError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "the same"


if __name__ == "__main__":
    found = {name: _compare(name, "aot_eager") for name in (*FORMS, *MORE)}
    found |= {"inductor": _compare("tiled_attention, added", "inductor"), "dropout": _dropped()}
    print(json.dumps({**found, "strict export": _exported()}))
