"""What a right layer is put together from: its projections, how heads are cut, shared and merged, what is returned."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Cut: TypeAlias = Callable[[Tensor, int], Tensor]
"""`((b, n, heads * size), heads) -> (b, heads, n, size)`."""

Three: TypeAlias = tuple[Tensor, Tensor, Tensor]


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
