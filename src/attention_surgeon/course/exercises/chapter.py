"""Chapter 1: the dot product, heads in NumPy, and PyTorch's own layer."""

import copy
import functools
import math
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.course.exercises.explained import ExplainedError
from attention_surgeon.course.exercises.function_check import FunctionCheck, known, known_fault
from attention_surgeon.testing.answer import Array, arrays_in
from attention_surgeon.testing.draw import generator, numbers, ragged_mask

_MILESTONE = 1e-5
_AS_GOOD_AS_INFINITY = -1e9


def check_similarity(function: Callable[..., Any]) -> None:
    """Judge `similarity(Q, K) -> scores (n_q, n_k)` in NumPy.

    Raises:
        ExplainedError: the scores are not the dot products.
    """
    __tracebackhide__ = True
    SIMILARITY(function)


def check_split_heads(function: Callable[..., Any]) -> None:
    """Judge `split_heads(x, num_heads)`, `(batch, n, embed_dim) -> (batch, heads, n, head_size)` in NumPy.

    Raises:
        ExplainedError: numbers of one head or one position land in another.
    """
    __tracebackhide__ = True
    SPLIT_HEADS(function)


def check_merge_heads(function: Callable[..., Any]) -> None:
    """Judge `merge_heads(x)`, `(batch, heads, n, head_size) -> (batch, n, embed_dim)` in NumPy.

    Raises:
        ExplainedError: it does not put side by side what the heads found for one position.
    """
    __tracebackhide__ = True
    MERGE_HEADS(function)


def check_to_torch_mask(function: Callable[..., Any]) -> None:
    """Judge `to_torch_mask(allowed)`: from "True may attend" to what `torch.nn.MultiheadAttention` takes.

    Raises:
        ExplainedError: the mask does not say the same to PyTorch.
    """
    __tracebackhide__ = True

    @functools.wraps(function)
    def hidden(allowed: Tensor) -> Any:
        return _hidden_by(function(allowed))

    TO_TORCH_MASK(hidden)


def _hidden_by(mask: Any) -> Any:
    """Return where a mask of PyTorch's hides: what is True, or -inf where numbers are added to the scores."""
    if not isinstance(mask, Tensor) or mask.dtype == torch.bool:
        return mask
    if mask.is_floating_point() and bool(((mask == 0) | (mask <= _AS_GOOD_AS_INFINITY)).all()):
        return mask != 0
    raise ExplainedError(
        "mask_of_numbers",
        f"The mask holds numbers ({str(mask.dtype).removeprefix('torch.')}), and PyTorch adds numbers to the scores.",
        question="What happens to a score to which 1 is added, and what to one to which -inf is added?",
        pointer="Return booleans, True where a key is hidden; or numbers, 0 where it is seen and -inf where not.",
        fix="return ~allowed",
    )  # fmt: skip


def check_from_torch(function: Callable[..., Any]) -> None:
    """Judge `from_torch(theirs) -> layer`, whose outputs must lie within 1e-5 of PyTorch's.

    Raises:
        ExplainedError: they do not; it names which tensors went to the wrong place, if it can tell.
    """
    __tracebackhide__ = True

    def outputs(seed: int, x: Tensor) -> Tensor:
        return _first(function(_torch_layer(seed))(x)).detach()

    FROM_TORCH(outputs)
    for seed, x in FROM_TORCH.probes:
        difference = float((outputs(seed, x) - _torch_output(seed, x)).abs().max())
        if difference > _MILESTONE:
            raise ExplainedError(
                "beyond_the_milestone", f"The outputs differ by {difference:.1e}, the milestone is {_MILESTONE:.0e}.",
                question="Which of your numbers are only nearly the same as PyTorch's?",
                pointer="Copy the tensors themselves; do not round or convert them.",
                fix="layer.query.weight.copy_(w_q)",
            )  # fmt: skip


def _arrays(seed: int, *shapes: tuple[int, ...]) -> tuple[Array, ...]:
    source = generator(seed)
    return tuple(numbers(source, *shape).numpy() for shape in shapes)


def _similarity(Q: Array, K: Array) -> Array:
    return Q @ K.T


def _cosine(Q: Array, K: Array) -> Array:
    lengths = np.linalg.norm(Q, axis=-1)[:, None] * np.linalg.norm(K, axis=-1)
    return Q @ K.T / lengths


SIMILARITY = FunctionCheck(
    right=_similarity,
    probes=[_arrays(1, (5, 3), (7, 3)), _arrays(2, (2, 11), (5, 11))],
    names=("scores",),
    mistakes=[
        known_fault(
            "scores_transposed", lambda Q, K: K @ Q.T,
            "Your rows belong to keys, your columns to queries.", "Q @ K.T",
        ),
        known(
            "cosine", _cosine, "You divide by the lengths of the vectors: that is the angle alone.",
            "May a key shout, that is, be found more often because it is longer?",
            "Leave the lengths in; attention learns to use them.", "Q @ K.T",
        ),
        known(
            "scaled_here", lambda Q, K: Q @ K.T / math.sqrt(Q.shape[-1]), "You scale here already.",
            "What is asked for in this function, and what in the next?",
            "Only the dot products; the scale comes in `attention`.", "Q @ K.T",
        ),
        known(
            "distance", lambda Q, K: -np.linalg.norm(Q[:, None] - K, axis=-1), "You return distances, not products.",
            "What does a dot product do with the two vectors?", "Multiply entry by entry, then add up.", "Q @ K.T",
        ),
    ],
)  # fmt: skip


def _split(x: Array, num_heads: int) -> Array:
    return x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)


SPLIT_HEADS = FunctionCheck(
    right=_split,
    probes=[(*_arrays(3, (2, 7, 15)), 3), (*_arrays(4, (3, 5, 14)), 2)],
    names=("heads",),
    mistakes=[
        known_fault(
            "heads_split_by_view", lambda x, h: x.reshape(x.shape[0], h, x.shape[1], -1),
            "The shape is right, but one head holds numbers of several positions.",
            "x.reshape(batch, n, num_heads, head_size).transpose(0, 2, 1, 3)",
        ),
        known(
            "not_transposed", lambda x, h: x.reshape(*x.shape[:2], h, -1), "Heads stand behind positions.",
            "Along which axis should one head's positions lie, so that `@` compares them?",
            "Positions and size must be the last two axes.", "heads.transpose(0, 2, 1, 3)",
        ),
        known(
            "heads_interleaved", lambda x, h: x.reshape(*x.shape[:2], -1, h).transpose(0, 3, 1, 2),
            "Each head takes every h-th number instead of neighbours.",
            "For two heads, which numbers of a vector of 14 go to head 0?",
            "The number of heads comes before the size in the reshape.", "x.reshape(batch, n, num_heads, head_size)",
        ),
    ],
)  # fmt: skip


def _merge(x: Array) -> Array:
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)


MERGE_HEADS = FunctionCheck(
    right=_merge,
    probes=[(probe,) for probe in _arrays(5, (2, 3, 7, 5), (3, 2, 5, 7))],
    names=("merged",),
    mistakes=[
        known_fault(
            "heads_merged_without_transpose", lambda x: x.reshape(x.shape[0], x.shape[2], -1),
            "The shape is right, but one row holds several positions of one head.",
            "x.transpose(0, 2, 1, 3).reshape(batch, n, -1)",
        ),
        known_fault(
            "heads_averaged", lambda x: x.mean(1),
            "You average the heads.", "x.transpose(0, 2, 1, 3).reshape(batch, n, -1)",
        ),
        known(
            "merged_size_first", lambda x: x.transpose(0, 2, 3, 1).reshape(x.shape[0], x.shape[2], -1),
            "The numbers of the heads alternate instead of standing in blocks.",
            "Where should head 1 begin in a merged row?", "The axis of heads comes before the axis of sizes.",
            "x.transpose(0, 2, 1, 3)",
        ),
    ],
)  # fmt: skip


def _masks(seed: int) -> list[tuple[Tensor]]:
    source = generator(seed)
    return [(ragged_mask(source, 5, 7),), (ragged_mask(source, 3, 3),)]


TO_TORCH_MASK = FunctionCheck(
    right=torch.logical_not,
    probes=_masks(6),
    names=("mask",),
    mistakes=[
        known_fault(
            "mask_inverted", lambda allowed: allowed,
            "The mask still says True = may attend.", "return ~allowed",
        ),
        known_fault(
            "mask_transposed", lambda allowed: (~allowed).T,
            "Rows and columns have changed places.", "return ~allowed",
        ),
    ],
)  # fmt: skip


def _torch_layer(seed: int) -> nn.MultiheadAttention:
    """Return a layer of PyTorch with biases that are not 0, as a trained one has."""
    embed_dim, num_heads = ((12, 3), (10, 2))[seed % 2]
    source = generator(seed)
    layer = nn.MultiheadAttention(embed_dim, num_heads, batch_first=True).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source) * 0.4)
    return layer


def _torch_output(seed: int, x: Tensor, change: Callable[[nn.MultiheadAttention], None] | None = None) -> Tensor:
    layer = copy.deepcopy(_torch_layer(seed))
    if change is not None:
        with torch.no_grad():
            change(layer)
    with torch.no_grad():
        return layer(x, x, x, need_weights=False)[0]


def _first(returned: Any) -> Tensor:
    found = arrays_in(returned)
    if not found:
        raise TypeError(f"the layer returned {type(returned).__name__}, expected a tensor or (output, weights)")
    return found[0]


def _changed(change: Callable[[nn.MultiheadAttention], Any]) -> Callable[[int, Tensor], Tensor]:
    return lambda seed, x: _torch_output(seed, x, change)


def _without_biases(layer: nn.MultiheadAttention) -> None:
    layer.in_proj_bias.zero_()
    layer.out_proj.bias.zero_()


def _in_order(*order: int, of: str = "weight bias") -> Callable[[nn.MultiheadAttention], None]:
    """Return a change that takes the packed thirds for others: those of the weights, of the biases, or of both."""

    def change(layer: nn.MultiheadAttention) -> None:
        for parameter in (getattr(layer, f"in_proj_{each}") for each in of.split()):
            thirds = parameter.clone().chunk(3)
            parameter.copy_(torch.cat([thirds[place] for place in order]))

    return change


def _transposed(layer: nn.MultiheadAttention) -> None:
    thirds = [third.T for third in layer.in_proj_weight.clone().chunk(3)]
    layer.in_proj_weight.copy_(torch.cat(thirds))


def _all_transposed(layer: nn.MultiheadAttention) -> None:
    _transposed(layer)
    layer.out_proj.weight.copy_(layer.out_proj.weight.clone().T)


FROM_TORCH = FunctionCheck(
    right=_torch_output,
    probes=[
        (2, numbers(generator(8), 2, 5, 12).float()),
        (3, numbers(generator(9), 3, 7, 10).float()),
    ],
    names=("output",),
    mistakes=[
        known(
            "biases_not_copied", _changed(_without_biases), "All biases are 0 in your layer.",
            "Which of PyTorch's parameters did you not read?", "There are `in_proj_bias` and `out_proj.bias`.",
            "layer.query.bias.copy_(b_q)",
        ),
        known(
            "input_biases_not_copied", _changed(lambda layer: layer.in_proj_bias.zero_()),
            "The biases of query, key and value are 0 in your layer.",
            "PyTorch keeps three biases in one tensor; where did they go?",
            "Cut `in_proj_bias` as you cut the weights.",
            "b_q, b_k, b_v = theirs.in_proj_bias.chunk(3)",
        ),
        known(
            "output_bias_not_copied", _changed(lambda layer: layer.out_proj.bias.zero_()),
            "The bias of the output projection is 0 in your layer.", "How many tensors does `out_proj` have?",
            "`out_proj` has a weight and a bias.", "layer.output.bias.copy_(theirs.out_proj.bias)",
        ),
        *(
            known_fault(
                "chunk_order_wrong", _changed(_in_order(*order, of=of)),
                "Query, key and value have changed places.", "w_q, w_k, w_v = theirs.in_proj_weight.chunk(3)",
            )
            for of in ("weight bias", "weight", "bias")
            for order in permutations(range(3))
            if order != (0, 1, 2)
        ),
        *(
            known_fault(
                "projection_transposed", _changed(transposed),
                "Your weights are the transpose of PyTorch's.", "layer.query.weight.copy_(w_q)",
            )
            for transposed in (_all_transposed, _transposed)
        ),
    ],
)  # fmt: skip
