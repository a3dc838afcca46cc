"""What the text of a layer promises: shapes, masks in every form, dropout, biases, the width of keys."""

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.course.exercises.calling import called, returns_nothing
from attention_surgeon.course.exercises.explained import ExplainedError
from attention_surgeon.course.exercises.promise import Call, Promise, empty_row_told, hidden_keys_seen
from attention_surgeon.testing.answer import to_array
from attention_surgeon.testing.draw import generator, numbers
from attention_surgeon.testing.steadiness import random_state_kept

WIDTH, HEADS = 12, 3
"""Of the layers that are called."""

_DRAWS = 16  # a weight that is dropped half the time is missed once in 32,000 times


def tensor(seed: int, *shape: int) -> Tensor:
    """Return random numbers in float32."""
    return numbers(generator(seed), *shape).float()


def layer_call(batch: int, n: int, width: int, *made_with: Any, weights: str = "", **named: Any) -> Call:
    """Return one call of a layer; `weights`: which weights it returns beside the output, if any."""
    shapes: dict[str, tuple[int, ...]] = {"output": (batch, n, width)}
    others: dict[str, tuple[int, ...]] = {}
    if weights == "one head":
        shapes["weights"] = (batch, n, n)
    if weights == "heads":
        shapes["weights"] = (batch, HEADS, n, n)
        others["weights"] = (batch * HEADS, n, n)
    return Call((tensor(n, batch, n, width),), shapes, named, made_with, others)


def sizes_of_layer(*made_with: Any, width: int, weights: str = "") -> tuple[Call, ...]:
    """Return calls of usual sizes, of one sequence, and of one token."""
    return tuple(layer_call(*size, width, *made_with, weights=weights) for size in ((2, 7), (1, 5), (1, 1)))


def causal(n: int) -> Tensor:
    """Return `(n, n)`, True where key j is not later than query i."""
    return torch.ones(n, n, dtype=torch.bool).tril()


def padding(batch: int, n: int) -> Tensor:
    """Return `(batch, 1, 1, n)`, the last token of the first sequence hidden."""
    mask = torch.ones(batch, 1, 1, n, dtype=torch.bool)
    mask[0, ..., -1] = False
    return mask


def with_empty_row(n: int) -> Tensor:
    """Return a causal mask whose query 1 sees nothing."""
    mask = causal(n)
    mask[1] = False
    return mask


def ignores_hidden(asked: str, call: Call, place: int, of: int = 0) -> Promise:
    """Promise that a token which the mask hides from the first sequence changes nothing in its output.

    Args:
        asked: The sentence.
        call: With its mask; its first value is the output.
        place: Of the hidden token.
        of: Which argument holds the token.
    """

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        first = to_array(call.values(target)[0])
        other = [x.clone() for x in call.arguments]
        other[of][0, place] += 3.0
        again = to_array(Call(tuple(other), call.shapes, call.named, call.layer, call.other_shapes).values(target)[0])
        seen = slice(0, place) if of == 0 else slice(None)
        if np.abs(first[0, seen] - again[0, seen]).max() > 1e-5:
            raise hidden_keys_seen("A token that the mask hides still changes the output.")

    return Promise(asked, keep)


def gathers_nothing(asked: str, call: Call, row: int) -> Promise:
    """Promise that a query whose every key is hidden gets nothing of the context, and numbers."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        x, context = call.arguments
        other = Call((x, context * 2 + 1), call.shapes, call.named, call.layer)
        first, again = (to_array(each.values(target)[0])[:, row] for each in (call, other))
        if not np.isfinite(first).all() or np.abs(first - again).max() > 1e-5:
            raise empty_row_told(
                "empty_row_not_zero", "A query whose every key is hidden still gets something of the context."
            )

    return Promise(asked, keep)


def drops_in_training(asked: str) -> Promise:
    """Promise that the dropout of a layer acts in training and nowhere else."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        layer = called(target, WIDTH, HEADS, 0.5)
        if not isinstance(layer, nn.Module):
            return
        x = tensor(4, 2, 7, WIDTH)
        with random_state_kept():
            torch.manual_seed(0)
            first, again = (to_array(_first(called(layer.train(), x))) for _ in range(2))
            if np.array_equal(first, again):
                raise _not_dropped("In training two calls give the same, though dropout is 0.5.")
            if not _drops_weights(target):
                raise _not_dropped("In training something is set to 0 by chance, and it is not the weights.")

    return Promise(asked, keep)


def _not_dropped(symptom: str) -> ExplainedError:
    return ExplainedError(
        "dropout_ignored", symptom, question="Where in `forward` does the dropout act?",
        pointer="Hand the weights through it.", fix="gathered = self.dropout(weights) @ V",
    )  # fmt: skip


def _drops_weights(target: Any) -> bool:
    """Whether a lone token's only weight is dropped at times: two different tokens then give the same output.

    Dropout anywhere else leaves a trace of the token, but for one chance in thousands.
    """
    layer = called(target, WIDTH, 1, 0.5).train()
    draws = [
        [to_array(_first(called(layer, tensor(seed, 1, 1, WIDTH)))).ravel() for _ in range(_DRAWS)] for seed in (6, 7)
    ]
    return any(np.allclose(one, other, atol=1e-6) for one in draws[0] for other in draws[1])


def _first(returned: Any) -> Any:
    return returned[0] if isinstance(returned, tuple | list) else returned


def one_key_for_all(asked: str) -> Promise:
    """Promise that keys and values are one head wide: counted in the numbers of all matrices."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        layer = called(target, WIDTH, HEADS)
        held = sum(each.numel() for each in layer.parameters() if each.ndim == 2)
        wanted = 2 * WIDTH**2 + 2 * WIDTH * (WIDTH // HEADS)
        if held != wanted:
            raise ExplainedError(
                "keys_not_shared",
                f"A layer of width {WIDTH} with {HEADS} heads has {held} numbers in its matrices, expected {wanted}.",
                question="How wide are a key and a value, if all heads share one of each?",
                pointer="The layers of key and value give as many numbers as one head is wide.",
                fix="self.key = nn.Linear(embed_dim, self.head_size)",
            )  # fmt: skip

    return Promise(asked, keep)


def without_biases(asked: str) -> Promise:
    """Promise that a layer without biases is taken over as well."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        if not _is_taken_over(target, bias=False) and _is_taken_over(target, bias=True):
            raise ExplainedError(
                "biases_left_over", "For a layer with bias=False the outputs are others.",
                question="Which numbers stand in a new nn.Linear before you write into it?",
                pointer="Where theirs is None, write zeros into ours.", fix="layer.bias.zero_()",
            )  # fmt: skip

    return Promise(asked, keep)


def _is_taken_over(target: Any, *, bias: bool) -> bool:
    """Whether a new layer of PyTorch's, whose biases are 0 where it has them, and its copy answer alike."""
    __tracebackhide__ = True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = nn.MultiheadAttention(WIDTH, HEADS, bias=bias, batch_first=True).eval()
    ours = called(target, theirs)
    if ours is None:
        raise returns_nothing(target)
    x = tensor(5, 2, 5, WIDTH)
    with torch.no_grad():
        expected = theirs(x, x, x, need_weights=False)[0]
    return np.allclose(to_array(_first(called(ours, x))), to_array(expected), atol=1e-5)


def with_default_width(asked: str) -> Promise:
    """Promise a width where none is given."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        try:
            inspect.signature(target).bind()
        except TypeError:
            raise ExplainedError(
                "no_default_width", "`SimpleAttention()` without a width raises an error.",
                question="How wide is a token where nothing else is said?",
                pointer="Keep the first line of `__init__` as it was given.", fix="def __init__(self, n_embd=768):",
            ) from None  # fmt: skip
        with random_state_kept():
            call = Call((tensor(1, 1, 2, 768),), {"output": (1, 2, 768)}, {}, ())
        call.values(target)

    return Promise(asked, keep)
