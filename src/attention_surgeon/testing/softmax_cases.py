"""The calls that a softmax is judged by."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from attention_surgeon.testing.contract import Case
from attention_surgeon.testing.draw import SIZES, generator, numbers

LAYOUTS = (3, 2, 4, 1)
"""Numbers of axes of the scores, in the order in which they are tried. A vector comes last: there every axis is the
last one, so that it tells least."""

_SEED = 5000


@dataclass(frozen=True, eq=False)
class SoftmaxCase(Case):
    """One call of a softmax.

    Attributes:
        name: `plain`.
        scores: In float64, exact in float32.
        dim: The axis that is asked for.
    """

    name: str
    scores: Tensor
    dim: int = -1

    @property
    def sentence(self) -> str:
        """`plain: x (2, 5, 7)`."""
        return f"{self.name}: x {tuple(self.scores.shape)}{'' if self.dim == -1 else f', dim={self.dim}'}"

    def with_other_numbers(self) -> "SoftmaxCase":
        """The same sizes, every row turned by one."""
        return dataclasses.replace(self, scores=self.scores.roll(1, -1))


@lru_cache(maxsize=16)
def softmax_cases(layout: int, probe: int) -> tuple[SoftmaxCase, ...]:
    """Return the calls of one probe: sizes that differ, sizes that are equal, and scores far from zero.

    No two of them have the same shape, so that an answer remembered by shape does not spoil the next.
    """
    sizes, source = SIZES[probe % len(SIZES)], generator(_SEED + probe)
    batch = {1: (), 2: (), 3: (sizes.batch,), 4: (sizes.batch, sizes.heads)}[layout]
    rows, square = ((), ()) if layout == 1 else ((sizes.n_q,), (sizes.n_k,))
    return (
        SoftmaxCase("plain", numbers(source, *batch, *rows, sizes.n_k)),
        SoftmaxCase("square", numbers(source, *batch, *square, sizes.n_k)),
        SoftmaxCase("far below zero", numbers(source, *batch, *rows, sizes.n_q) - 16),
    )


def small_softmax_cases(layout: int) -> Iterator[SoftmaxCase]:
    """Yield calls with whole numbers, the fewest first; then scores too large for exp, and rows too far apart."""
    source = generator(_SEED + 7)
    for shape in ((1, 2), (2, 2), (2, 3), (3, 3)):
        for _ in range(3):
            yield _small(torch.randint(-2, 3, shape, generator=source).double(), layout)
    yield _small(torch.tensor([[1000.0, 1001.0]], dtype=torch.float64), layout)
    yield _small(torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0]], dtype=torch.float64), layout)


def _small(matrix: Tensor, layout: int) -> SoftmaxCase:
    return SoftmaxCase("small", matrix[0] if layout == 1 else matrix.expand(*(1,) * (layout - 2), *matrix.shape))


def extreme_case(layout: int, signs: tuple[int, ...]) -> SoftmaxCase:
    """Return rows of ±8192, ±16384, ...: their exponentials are infinite, or all zero."""
    row = torch.tensor([1.0, 2.0, 4.0, 3.0, 5.0], dtype=torch.float64) * 8192
    if layout == 1:
        return SoftmaxCase("extreme scores", row * signs[0])
    rows = torch.tensor(signs, dtype=torch.float64)[:, None] * row
    return SoftmaxCase("extreme scores", rows.expand(*(1,) * (layout - 2), *rows.shape))


def hidden_case(case: SoftmaxCase) -> SoftmaxCase:
    """Return the same with one score of every row at -inf, as a mask leaves it."""
    scores = case.scores.clone()
    scores[..., 0] = float("-inf")
    return SoftmaxCase("a hidden key", scores)
