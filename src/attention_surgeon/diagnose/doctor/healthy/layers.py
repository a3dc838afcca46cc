"""Right layers, put together from pieces."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.diagnose.doctor.healthy.cover import Alternative, Axes, Choice, cover
from attention_surgeon.diagnose.doctor.healthy.functions import TRIANGLES, put_together
from attention_surgeon.diagnose.doctor.healthy.pieces import HIDINGS, NUMPY, TORCH

_PRODUCTS = ["@", "einsum", "row by row", "4-D einsum", "flattened bmm"]

_SCALINGS = ["divided", "query scaled", "half each", "in place"]

_CORES = ["softmax", "by hand", "logsumexp", "divided last", "online"]

_MASKED = ["keep, -inf, cleaned", "0/1, -1e9", "0/1, multiplied", "hide, -1e9", "additive"]

_UNMASKED = ["keep, -inf, cleaned", "keep, -1e9", "keep, multiplied"]

Cut: TypeAlias = Callable[[Tensor, int], Tensor]
"""`((b, n, heads * size), heads) -> (b, heads, n, size)`."""

Three: TypeAlias = tuple[Tensor, Tensor, Tensor]


def layers() -> Iterator[Alternative]:
    """Yield layers of every kind in torch, and some in NumPy."""
    for seed, kind in enumerate(("simple", "self", "multihead", "causal_multihead", "cross", "grouped", "multiquery")):
        for choice in cover(_axes(kind), seed=seed, fits=_fits):
            options = {"mask": HIDINGS[choice["hiding"]].meaning} if kind != "simple" else {}
            yield Alternative(kind, ", ".join(choice.values()), _layer(kind, choice), options)
    for kind in ("simple", "self", "causal_multihead", "multihead"):
        for hiding in ("keep, where", "hide, -inf, cleaned"):
            options = {"mask": NUMPY.hidings[hiding].meaning} if kind in ("self", "multihead") else {}
            yield Alternative(kind, f"NumPy, {hiding}", _numpy_layer(kind, hiding), options)


def _axes(kind: str) -> Axes:
    takes_mask = kind in ("self", "multihead", "cross", "grouped", "multiquery")
    is_shared = kind in ("grouped", "multiquery")
    storages = [name for name in STORAGES if kind != "cross" or "packed" not in name]
    return {
        "storage": [name for name in storages if name != "packed by head" or not is_shared],
        "cut": [*CUTS],
        "share": [*SHARES] if is_shared else ["as they are"],
        "product": _PRODUCTS,
        "scaling": ["unscaled"] if kind == "simple" else _SCALINGS,
        "hiding": _MASKED if takes_mask else _UNMASKED,
        "mask axes": [*MASK_AXES] if takes_mask else ["(n, n)"],
        "core": _CORES,
        "dropout": ["none", "on weights", "on the output"],
        "merge": [*MERGES],
        "output": ["none"] if kind == "simple" else [*OUTPUTS, *(["none"] if kind == "self" else [])],
        "returns": [name for name in RETURNS if takes_mask or name != "mean weights"],
    }


def _fits(choice: Choice) -> bool:
    has_weights = choice["core"] not in ("online", "divided last")
    return (choice["returns"] == "output" or has_weights) and (choice["dropout"] != "on weights" or has_weights)


def _layer(kind: str, choice: Choice) -> type[nn.Module]:
    """Return the class of a choice, with the constructor and the forward that are usual for its kind."""
    attention = put_together(TORCH, {**choice, "returns": "three values" if _has_weights(choice) else "output"})
    cut, merge = CUTS[choice["cut"]], MERGES[choice["merge"]]
    share = SHARES.get(choice["share"], lambda x, heads: x)

    class Layer(nn.Module):
        def __init__(self, embed_dim: int, num_heads: int, num_kv_heads: int, dropout: float = 0.1) -> None:
            super().__init__()
            self.num_heads, self.num_kv_heads = num_heads, num_kv_heads
            shared = embed_dim // num_heads * num_kv_heads
            self.inputs = STORAGES[choice["storage"]](embed_dim, num_heads, shared)
            self.out = OUTPUTS.get(choice["output"], lambda width, heads: nn.Identity())(embed_dim, num_heads)
            self.drop = nn.Dropout(dropout if choice["dropout"] != "none" else 0.0)

        def attend(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Any:
            query, key, value = self.inputs(x, context)
            query = cut(query, self.num_heads)
            key, value = (share(cut(part, self.num_kv_heads), self.num_heads) for part in (key, value))
            drop = self.drop if choice["dropout"] == "on weights" else nn.Identity()
            found = attention(query, key, value, mask, drop)
            output, weights = (found, None) if isinstance(found, Tensor) else found[:2]
            merged = self.out(merge(output))
            merged = self.drop(merged) if choice["dropout"] == "on the output" else merged
            return RETURNS[choice["returns"]](merged, weights)

    Layer.forward = _forward(kind, MASK_AXES[choice["mask axes"]])  # pyright: ignore[reportAttributeAccessIssue]
    return Layer


def _has_weights(choice: Choice) -> bool:
    return choice["core"] not in ("online", "divided last")


def _forward(kind: str, axes: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    def alone(self: Any, x: Tensor) -> Any:
        n = x.shape[1]
        hides = kind == "causal_multihead"
        return self.attend(x, x, TRIANGLES["tril"](n, n, 0) if hides else None)

    def masked(self: Any, x: Tensor, mask: Tensor | None = None) -> Any:
        return self.attend(x, x, mask if mask is None else axes(mask))

    def cross(self: Any, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Any:
        return self.attend(x, context, mask if mask is None else axes(mask))

    return {"simple": alone, "causal_multihead": alone, "cross": cross}.get(kind, masked)


def _numpy_layer(kind: str, hiding: str) -> type:
    scaling = "unscaled" if kind == "simple" else "divided"
    choice = {"product": "@", "scaling": scaling, "hiding": hiding, "core": "softmax", "returns": "pair"}
    attention = put_together(NUMPY, choice)

    class ArrayAttention:
        def __init__(self, d_model: int, n_heads: int) -> None:
            self.n_heads = n_heads
            self.W_q, self.W_k, self.W_v = (np.zeros((d_model, d_model)) for _ in range(3))
            if kind != "simple":
                self.W_o, self.b_o = np.zeros((d_model, d_model)), np.zeros(d_model)

        def attend(self, x: Any, mask: Any) -> Any:
            def heads(projected: Any) -> Any:
                return projected.reshape(*x.shape[:2], self.n_heads, -1).transpose(0, 2, 1, 3)

            output, weights = attention(heads(x @ self.W_q), heads(x @ self.W_k), heads(x @ self.W_v), mask)
            merged = output.transpose(0, 2, 1, 3).reshape(x.shape)
            return (merged if kind == "simple" else merged @ self.W_o + self.b_o), weights

    def alone(self: Any, x: Any) -> Any:
        n = x.shape[1]
        allowed = np.tril(np.ones((n, n), dtype=bool))
        own = allowed if NUMPY.hidings[hiding].meaning == "keep" else ~allowed
        return self.attend(x, own if kind == "causal_multihead" else None)

    def masked(self: Any, x: Any, mask: Any = None) -> Any:
        return self.attend(x, mask)

    ArrayAttention.forward = masked if kind in ("self", "multihead") else alone  # pyright: ignore[reportAttributeAccessIssue]
    return ArrayAttention


class Separate(nn.Module):
    """One Linear each for query, key and value."""

    def __init__(self, width: int, heads: int, shared: int, bias: bool = True) -> None:
        """Build with `shared` features for key and value."""
        super().__init__()
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, shared, bias=bias)
        self.value = nn.Linear(width, shared, bias=bias)

    def forward(self, x: Tensor, context: Tensor) -> Three:
        """Project."""
        return self.query(x), self.key(context), self.value(context)


class Unbiased(Separate):
    """The same without biases."""

    def __init__(self, width: int, heads: int, shared: int) -> None:
        """Build."""
        super().__init__(width, heads, shared, bias=False)


class Packed(nn.Module):
    """One Linear for all three; for itself only, as there is one input."""

    def __init__(self, width: int, heads: int, shared: int) -> None:
        """Build."""
        super().__init__()
        self.qkv, self.sizes = nn.Linear(width, width + 2 * shared), [width, shared, shared]

    def forward(self, x: Tensor, context: Tensor) -> Three:
        """Project and split."""
        query, key, value = self.qkv(x).split(self.sizes, dim=-1)
        return query, key, value


class PackedByHead(nn.Module):
    """One Linear for all three, in which each head has its own query, key and value side by side."""

    def __init__(self, width: int, heads: int, shared: int) -> None:
        """Build."""
        super().__init__()
        self.qkv, self.heads = nn.Linear(width, 3 * width), heads

    def forward(self, x: Tensor, context: Tensor) -> Three:
        """Project and pick each head's part."""
        query, key, value = self.qkv(x).unflatten(-1, (self.heads, 3, -1)).unbind(-2)
        return query.flatten(-2), key.flatten(-2), value.flatten(-2)


class KeysAndValuesPacked(nn.Module):
    """One Linear for the query, one for key and value."""

    def __init__(self, width: int, heads: int, shared: int) -> None:
        """Build."""
        super().__init__()
        self.to_q, self.to_kv = nn.Linear(width, width), nn.Linear(width, 2 * shared)

    def forward(self, x: Tensor, context: Tensor) -> Three:
        """Project and cut the second in two."""
        key, value = self.to_kv(context).chunk(2, dim=-1)
        return self.to_q(x), key, value


class ByHead(nn.Module):
    """A Linear of its own for every head."""

    def __init__(self, width: int, heads: int, shared: int) -> None:
        """Build."""
        super().__init__()
        size = width // heads
        self.queries = nn.ModuleList(nn.Linear(width, size) for _ in range(heads))
        self.keys = nn.ModuleList(nn.Linear(width, size) for _ in range(shared // size))
        self.values = nn.ModuleList(nn.Linear(width, size) for _ in range(shared // size))

    def forward(self, x: Tensor, context: Tensor) -> Three:
        """Project and put the heads side by side."""
        given = ((self.queries, x), (self.keys, context), (self.values, context))
        query, key, value = (torch.cat([linear(source) for linear in linears], dim=-1) for linears, source in given)
        return query, key, value


class Matrices(nn.Module):
    """Matrices that are multiplied from the right, `x @ W`."""

    def __init__(self, width: int, heads: int, shared: int) -> None:
        """Build."""
        super().__init__()
        self.W_q = nn.Parameter(torch.zeros(width, width))
        self.W_k = nn.Parameter(torch.zeros(width, shared))
        self.W_v = nn.Parameter(torch.zeros(width, shared))

    def forward(self, x: Tensor, context: Tensor) -> Three:
        """Project."""
        return x @ self.W_q, context @ self.W_k, context @ self.W_v


STORAGES: Mapping[str, type[nn.Module]] = {
    "separate": Separate,
    "no bias": Unbiased,
    "packed": Packed,
    "packed by head": PackedByHead,
    "q and kv": KeysAndValuesPacked,
    "a Linear per head": ByHead,
    "x @ W": Matrices,
}

CUTS: Mapping[str, Cut] = {
    "view, transpose": lambda x, heads: x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2),
    "unflatten, movedim": lambda x, heads: x.unflatten(-1, (heads, -1)).movedim(-2, 1),
    "chunk, stack": lambda x, heads: torch.stack(x.chunk(heads, dim=-1), dim=1),
    "transpose, reshape": lambda x, heads: x.transpose(1, 2).reshape(x.shape[0], heads, -1, x.shape[1]).mT,
}

SHARES: Mapping[str, Cut] = {
    "repeat_interleave": lambda x, heads: x.repeat_interleave(heads // x.shape[1], dim=1),
    "expand": lambda x, heads: x[:, :, None].expand(-1, -1, heads // x.shape[1], -1, -1).flatten(1, 2),
    "index": lambda x, heads: x[:, [head * x.shape[1] // heads for head in range(heads)]],
}

MERGES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "transpose, reshape": lambda x: x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1),
    "permute, view": lambda x: x.permute(0, 2, 1, 3).contiguous().view(x.shape[0], x.shape[2], -1),
    "cat": lambda x: torch.cat([*x.unbind(1)], dim=-1),
}


class BySlices(nn.Linear):
    """An output projection as a sum over heads, each with its own columns (Vaswani et al. 2017, section 3.2.2)."""

    num_heads = 1

    def forward(self, input: Tensor) -> Tensor:
        """Project head by head and add up."""
        size = input.shape[-1] // self.num_heads
        parts = zip(input.split(size, dim=-1), self.weight.split(size, dim=1), strict=True)
        return sum((part @ weight.T for part, weight in parts), self.bias)


OUTPUTS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "Linear": lambda width, heads: nn.Linear(width, width),
    "no bias": lambda width, heads: nn.Linear(width, width, bias=False),
    "sum over heads": lambda width, heads: _by_slices(width, heads),
    "dropout behind": lambda width, heads: nn.Sequential(nn.Linear(width, width), nn.Dropout(0.1)),
}


def _by_slices(width: int, heads: int) -> BySlices:
    layer = BySlices(width, width)
    layer.num_heads = heads
    return layer


MASK_AXES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "(n, n)": lambda mask: mask,
    "(b, n, n)": lambda mask: mask.unsqueeze(1),
    "(b, n)": lambda mask: mask[:, None, None, :],
}

RETURNS: Mapping[str, Callable[[Tensor, Any], Any]] = {
    "output": lambda output, weights: output,
    "all weights": lambda output, weights: (output, weights),
    "mean weights": lambda output, weights: (output, weights.mean(1)),
}
