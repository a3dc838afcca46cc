"""How far from the true result is `tiled_attention`, and how far is PyTorch's kernel?

    python -m benchmarks.kernel_accuracy        a Markdown table

The true result is PyTorch's in float64, from the same numbers cast up. An error is the root of the mean square over all
entries of all draws; "ratio" is ours divided by PyTorch's, so at 1.00 both are equally far from the truth. "largest" is
the largest error of any entry in units of PyTorch's largest.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon.kernels import tiled_attention
from attention_surgeon.masks import causal_mask
from attention_surgeon.threads import one_thread

NUM_DRAWS = 24
SHAPES = ((1, 1, 1), (37, 53, 5), (257, 257, 64), (521, 769, 48))
"""n_q, n_k and the width of a head: one, ragged tails, several tiles."""
LARGEST = (None, 30.0, 1e3, 1e4)
"""The largest score, after the scale; None: numbers with mean 0 and variance 1."""
NAMES = ("output", "dQ", "dK", "dV")

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def errors(dtype: torch.dtype, largest: float | None, is_causal: bool) -> dict[str, tuple[float, float]]:
    """Return for output and gradients both ratios, of the root mean square and of the largest."""
    squares = {name: [0.0, 0.0] for name in NAMES}
    most = {name: [0.0, 0.0] for name in NAMES}
    for n_q, n_k, size in SHAPES:
        for seed in range(NUM_DRAWS // len(SHAPES)):
            for name, found in zip(NAMES, _one(seed, (n_q, n_k, size), dtype, largest, is_causal), strict=True):
                for who, error in enumerate(found):
                    squares[name][who] += float(error.square().mean())
                    most[name][who] = max(most[name][who], float(error.abs().max()))
    return {
        name: ((squares[name][0] / squares[name][1]) ** 0.5, most[name][0] / most[name][1])
        for name in NAMES
        if squares[name][1]
    }


def _one(
    seed: int, shape: tuple[int, int, int], dtype: torch.dtype, largest: float | None, is_causal: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    n_q, n_k, size = shape
    generator = torch.Generator().manual_seed(seed)
    query, key, value, upstream = (
        torch.randn(2, 3, n, size, generator=generator, dtype=torch.float64) for n in (n_q, n_k, n_k, n_q)
    )
    if largest is not None:
        query *= largest * size**0.5 / (query @ key.mT).abs().max()
    given = [x.to(dtype) for x in (query, key, value, upstream)]
    mask = causal_mask(n_q, n_k) if is_causal else None
    dense = None if mask is None else mask.dense()
    true = _run(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dense), [x.double() for x in given])
    ours = _run(lambda q, k, v: tiled_attention(q, k, v, mask), given)
    theirs = _run(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dense), given)
    for one, other, truth in zip(ours, theirs, true, strict=True):
        yield one.double() - truth, other.double() - truth


def _run(attend: Attend, given: list[Tensor]) -> list[Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in given[:3]]
    output = attend(*leaves)
    return [output.detach(), *torch.autograd.grad(output, leaves, given[3])]


def main() -> None:
    print("| dtype | largest score | mask |", " | ".join(f"{name}: ratio, largest" for name in NAMES), "|")
    print("|---|---|---|" + "---|" * len(NAMES))
    with one_thread():
        for dtype in (torch.float32, torch.bfloat16):
            for largest in LARGEST:
                for is_causal in (False, True):
                    found = errors(dtype, largest, is_causal)
                    cells = [f"{found[name][0]:.2f}, {found[name][1]:.2f}" if name in found else "-" for name in NAMES]
                    size = "N(0, 1)" if largest is None else f"{largest:,.0f}"
                    mask = "causal" if is_causal else ""
                    print(f"| {str(dtype).removeprefix('torch.')} | {size} | {mask} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
