"""Tiled attention: the right output, and memory that does not grow as the square of the length."""

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attention_surgeon.course.exercises.calling import called
from attention_surgeon.course.exercises.explained import ExplainedError
from attention_surgeon.course.exercises.function_check import FunctionCheck, known, known_fault
from attention_surgeon.ops import attention
from attention_surgeon.testing.draw import generator, numbers
from attention_surgeon.threads import one_thread

_LENGTHS = (32, 64, 128)
_TILE = 16
_SIZE = 8


def check_tiled(function: Callable[..., Any]) -> None:
    """Judge `tiled_attention(Q, K, V, tile_size) -> output`.

    Its memory is measured: every tensor that is made in the call is counted for as long as it lives.

    Raises:
        ExplainedError: the output is wrong, or the memory grows as n².
    """
    __tracebackhide__ = True
    TILED(function)
    with one_thread():
        peaks = [peak_numbers(function, n) for n in _LENGTHS]
    growth = peaks[-1] / peaks[-2]
    if growth > 3:  # 2 is linear, 4 is quadratic
        sizes = ", ".join(f"{peak:,} numbers for n = {n}" for n, peak in zip(_LENGTHS, peaks, strict=True))
        raise ExplainedError(
            "memory_grows_as_n_squared", f"The output is right, but the memory held at once is {sizes}.",
            question="Twice the length, four times the memory: which tensor has a side n twice?",
            pointer="Never hold scores or weights of all queries and keys; keep one tile and three running numbers "
            "per query: the largest score, the sum, the output so far.",
            fix="for start in range(0, n_k, tile_size): scores = Q_tile @ K[:, start:start + tile_size].mT * scale",
        )  # fmt: skip


def peak_numbers(function: Callable[..., Any], n: int) -> int:
    """Return how many numbers the function holds at once, at most, beside what it was given.

    >>> import torch
    >>> peak_numbers(lambda Q, K, V, tile_size: (Q @ K.mT) @ V, 128)
    17408
    """
    source = generator(n)
    operands = [torch.randn(1, n, _SIZE, generator=source) for _ in range(3)]
    with torch.no_grad(), _Meter() as meter:
        called(function, *operands, _TILE)
    return meter.peak


class _Meter(TorchFunctionMode):
    """Counts the numbers in the storages of all tensors that are made and still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._alive: dict[int, list[int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = func(*args, **(kwargs or {}))
        given = {x.untyped_storage().data_ptr() for x in args if isinstance(x, Tensor)}
        for made in returned if isinstance(returned, tuple | list) else (returned,):
            if isinstance(made, Tensor):
                self._count(made, given)
        return returned

    def _count(self, made: Tensor, given: set[int]) -> None:
        storage = made.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes() // made.element_size()
        if place in self._alive:
            self._alive[place][0] += 1
        elif place in given:  # a view of what the caller holds
            return
        else:
            self._alive[place] = [1, size]
            self._now += size
            self.peak = max(self.peak, self._now)
        weakref.finalize(made, self._release, place)

    def _release(self, place: int) -> None:
        entry = self._alive.get(place)
        if entry is None:
            return
        entry[0] -= 1
        if entry[0] == 0:
            self._now -= entry[1]
            del self._alive[place]


def _whole(Q: Tensor, K: Tensor, V: Tensor, tile_size: int) -> Tensor:
    return attention(Q, K, V)[0]


def _softmax_per_tile(Q: Tensor, K: Tensor, V: Tensor, tile_size: int) -> Tensor:
    pairs = list(zip(K.split(tile_size, 1), V.split(tile_size, 1), strict=True))
    return torch.stack([attention(Q, k, v)[0] for k, v in pairs]).mean(0)


def _summed_tiles(Q: Tensor, K: Tensor, V: Tensor, tile_size: int) -> Tensor:
    pairs = list(zip(K.split(tile_size, 1), V.split(tile_size, 1), strict=True))
    return torch.stack([attention(Q, k, v)[0] for k, v in pairs]).sum(0)


def _first_tile(Q: Tensor, K: Tensor, V: Tensor, tile_size: int) -> Tensor:
    return attention(Q, K[:, :tile_size], V[:, :tile_size])[0]


def _running(Q: Tensor, K: Tensor, V: Tensor, tile_size: int, *shrunk: str) -> Tensor:
    """Return the output of a running softmax that shrinks only some of what it has when a larger score comes."""
    largest = torch.full((*Q.shape[:-1], 1), float("-inf"))
    total, output = torch.zeros_like(largest), torch.zeros(*Q.shape[:-1], V.shape[-1])
    for k, v in zip(K.split(tile_size, 1), V.split(tile_size, 1), strict=True):
        scores = Q @ k.mT / math.sqrt(Q.shape[-1])
        new = torch.maximum(largest, scores.amax(-1, keepdim=True))
        e = torch.exp(scores - new)
        shrink = torch.exp(largest - new)
        total = (total * shrink if "total" in shrunk else total) + e.sum(-1, keepdim=True)
        output = (output * shrink if "output" in shrunk else output) + e @ v
        largest = new
    return output / total


def _probe(seed: int, batch: int, n_q: int, n_k: int, tile_size: int) -> tuple[Tensor, Tensor, Tensor, int]:
    source = generator(seed)
    query, key, value = (numbers(source, batch, n, d).float() for n, d in ((n_q, 5), (n_k, 5), (n_k, 3)))
    return 2 * query, key, value, tile_size


TILED = FunctionCheck(
    right=_whole,
    probes=[_probe(1, 2, 7, 11, 4), _probe(2, 1, 13, 13, 5), _probe(3, 3, 5, 17, 17)],
    names=("output",),
    mistakes=[
        known(
            "softmax_per_tile", _softmax_per_tile, "Every tile counts alike: you average the outputs of the tiles.",
            "One tile holds the best key, another only poor ones. Should both count the same?",
            "Keep the sum of the exponentials over all tiles and divide once, at the end.", "output / total",
        ),
        known(
            "tiles_summed", _summed_tiles, "You add up the finished outputs of the tiles.",
            "Each tile's weights sum to 1. What do all of them together sum to?",
            "Divide once, at the end, by the sum over all tiles.", "output / total",
        ),
        known(
            "only_first_tile", _first_tile, "Only the first tile of keys is used.", "Where does your loop end?",
            "Go on over all keys: the last tile may be shorter.", "for start in range(0, n_k, tile_size):",
        ),
        known(
            "old_output_not_rescaled", lambda *a: _running(*a, "total"),
            "When a larger score comes, the sum is corrected, the output so far is not.",
            "What was the output so far measured against, the old maximum or the new one?",
            "Multiply the output so far by exp(old maximum - new maximum), as the sum.",
            "output = output * shrink + e @ v",
        ),
        known(
            "old_sum_not_rescaled", lambda *a: _running(*a, "output"),
            "When a larger score comes, the output so far is corrected, the sum is not.",
            "What were the exponentials in the sum measured against, the old maximum or the new one?",
            "Multiply the sum so far by exp(old maximum - new maximum), as the output.",
            "total = total * shrink + e.sum(dim=-1, keepdim=True)",
        ),
        known(
            "nothing_rescaled", _running,
            "When a larger score comes, the sum and the output so far keep their old size.",
            "What were they measured against, the old maximum or the new one?",
            "Multiply sum and output so far by exp(old maximum - new maximum).", "shrink = torch.exp(old - new)",
        ),
        known_fault(
            "scale_missing", lambda Q, K, V, t: attention(Q, K, V, scale=False)[0],
            "The scores are not scaled.",
        ),
    ],
)  # fmt: skip
