"""The promises of the shipped exercises, by exercise: what their stubs say beside the numbers.

`tests/course_content/stub_sentences.py` has the other side: every sentence of every stub, and what keeps it.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.course.exercises.basics import SHUFFLING_GAP, STRONGEST_PAIR
from attention_surgeon.course.exercises.calling import called, returns_nothing
from attention_surgeon.course.exercises.capstone import GRADIENTS, OUTPUT, PROJECTIONS, SCORES, SHAPES, WEIGHTS
from attention_surgeon.course.exercises.chapter import MERGE_HEADS, SIMILARITY, SPLIT_HEADS
from attention_surgeon.course.exercises.explained import CrashError, ExplainedError
from attention_surgeon.course.exercises.function_check import FunctionCheck, Probe
from attention_surgeon.course.exercises.maps import TOKENS, check_maps, drawn, sample_weights, seen_maps
from attention_surgeon.course.exercises.project import NEXT_TOKEN_LOSS, TOP_K
from attention_surgeon.course.exercises.promise import (
    Call,
    Promise,
    empty_rows_are_zero,
    gives,
    has_keys,
    hides,
    is_boolean,
    refuses,
    require_taken,
    takes,
)
from attention_surgeon.course.exercises.tiled import TILED
from attention_surgeon.testing.answer import to_array
from attention_surgeon.testing.draw import generator, numbers
from attention_surgeon.testing.steadiness import random_state_kept
from attention_surgeon.verdict import Array

_OUTPUT_FOR_X = "Return the output (batch, n, embed_dim) for x (batch, n, embed_dim)."
_WIDTH, _HEADS = 12, 3


def promises_of(unit: str) -> dict[str, tuple[Promise, ...]]:
    """Return the promises of a unit's exercises, by exercise.

    >>> sorted(promises_of("basics"))
    ['basics.attention', 'basics.reading', 'basics.shuffling']
    """
    return {name: promises for name, promises in PROMISES.items() if name.startswith(f"{unit}.")}


def _tensor(seed: int, *shape: int) -> Tensor:
    return numbers(generator(seed), *shape).float()


def _array(seed: int, *shape: int) -> Array:
    return numbers(generator(seed), *shape).numpy()


def _also(asked: str, check: FunctionCheck, *probes: Probe) -> Promise:
    """Promise the right answers for further probes: the smallest sizes, the largest weight on the diagonal."""
    return Promise(asked, FunctionCheck(check.right, probes, check.names, check.mistakes))


# Layers: x (batch, n, width)


def _layer_call(batch: int, n: int, width: int, *made_with: Any, weights: str = "", **named: Any) -> Call:
    shapes: dict[str, tuple[int, ...]] = {"output": (batch, n, width)}
    others: dict[str, tuple[int, ...]] = {}
    if weights == "one head":
        shapes["weights"] = (batch, n, n)
    if weights == "heads":
        shapes["weights"] = (batch, _HEADS, n, n)
        others["weights"] = (batch * _HEADS, n, n)
    return Call((_tensor(n, batch, n, width),), shapes, named, made_with, others)


def _sizes_of_layer(*made_with: Any, width: int, weights: str = "") -> tuple[Call, ...]:
    """Return calls of usual sizes, of one sequence, and of one token."""
    return tuple(_layer_call(*size, width, *made_with, weights=weights) for size in ((2, 7), (1, 5), (1, 1)))


def _causal(n: int) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool).tril()


def _padding(batch: int, n: int) -> Tensor:
    """Return `(batch, 1, 1, n)`, the last token of the first sequence hidden."""
    mask = torch.ones(batch, 1, 1, n, dtype=torch.bool)
    mask[0, ..., -1] = False
    return mask


def _with_empty_row(n: int) -> Tensor:
    mask = _causal(n)
    mask[1] = False
    return mask


def _ignores_hidden(asked: str, call: Call, place: int, of: int = 0) -> Promise:
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
            raise ExplainedError(
                "hidden_keys_are_seen", "A token that the mask hides still changes the output.",
                question="Where in your code does the mask appear?",
                pointer="Hide the scores before the softmax.", fix='scores.masked_fill(~mask, float("-inf"))',
            )  # fmt: skip

    return Promise(asked, keep)


def _gathers_nothing(asked: str, call: Call, row: int) -> Promise:
    """Promise that a query whose every key is hidden gets nothing of the context, and numbers."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        x, context = call.arguments
        other = Call((x, context * 2 + 1), call.shapes, call.named, call.layer)
        first, again = (to_array(each.values(target)[0])[:, row] for each in (call, other))
        if not np.isfinite(first).all() or np.abs(first - again).max() > 1e-5:
            raise ExplainedError(
                "empty_row_even", "A query whose every key is hidden still gets something of the context.",
                question="It may attend to nothing. What should it get?",
                pointer="A finite fill makes all its keys alike, and -inf makes NaN: set such a row to 0.",
                fix="weights = weights.masked_fill(weights.isnan(), 0.0)", step="weights",
            )  # fmt: skip

    return Promise(asked, keep)


def _drops_in_training(asked: str) -> Promise:
    """Promise that the dropout of a layer acts in training and nowhere else."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        layer = called(target, _WIDTH, _HEADS, 0.5)
        if not isinstance(layer, nn.Module):
            return
        x = _tensor(4, 2, 7, _WIDTH)
        with random_state_kept():
            torch.manual_seed(0)
            first, again = (to_array(_first(called(layer.train(), x))) for _ in range(2))
        if np.array_equal(first, again):
            raise ExplainedError(
                "dropout_ignored", "In training two calls give the same, though dropout is 0.5.",
                question="Where in `forward` does the dropout act?", pointer="Hand the weights through it.",
                fix="gathered = self.dropout(weights) @ V",
            )  # fmt: skip

    return Promise(asked, keep)


def _first(returned: Any) -> Any:
    return returned[0] if isinstance(returned, tuple | list) else returned


def _one_key_for_all(asked: str) -> Promise:
    """Promise that keys and values are one head wide: counted in the numbers of all matrices."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        layer = called(target, _WIDTH, _HEADS)
        held = sum(each.numel() for each in layer.parameters() if each.ndim == 2)
        wanted = 2 * _WIDTH**2 + 2 * _WIDTH * (_WIDTH // _HEADS)
        if held != wanted:
            raise ExplainedError(
                "keys_not_shared",
                f"A layer of width {_WIDTH} with {_HEADS} heads has {held} numbers in its matrices, expected {wanted}.",
                question="How wide are a key and a value, if all heads share one of each?",
                pointer="The layers of key and value give as many numbers as one head is wide.",
                fix="self.key = nn.Linear(embed_dim, self.head_size)",
            )  # fmt: skip

    return Promise(asked, keep)


def _without_biases(asked: str) -> Promise:
    """Promise that a layer without biases is taken over as well."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            theirs = nn.MultiheadAttention(_WIDTH, _HEADS, bias=False, batch_first=True).eval()
        ours = called(target, theirs)
        if ours is None:
            raise returns_nothing(target)
        x = _tensor(5, 2, 5, _WIDTH)
        with torch.no_grad():
            expected = theirs(x, x, x, need_weights=False)[0]
        if not np.allclose(to_array(_first(called(ours, x))), to_array(expected), atol=1e-5):
            raise ExplainedError(
                "biases_left_over", "For a layer with bias=False the outputs are others.",
                question="Which numbers stand in a new nn.Linear before you write into it?",
                pointer="Where theirs is None, write zeros into ours.", fix="layer.bias.zero_()",
            )  # fmt: skip

    return Promise(asked, keep)


def _with_default_width(asked: str) -> Promise:
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
            call = Call((_tensor(1, 1, 2, 768),), {"output": (1, 2, 768)}, {}, ())
        call.values(target)

    return Promise(asked, keep)


# Functions: Q, K, V


def _attention_call(batch: tuple[int, ...], n_q: int, n_k: int, d_k: int, d_v: int, make: Any, **named: Any) -> Call:
    given = make(1, *batch, n_q, d_k), make(2, *batch, n_k, d_k), make(3, *batch, n_k, d_v)
    return Call(given, {"output": (*batch, n_q, d_v), "weights": (*batch, n_q, n_k)}, named)


def _attention_calls(batch: tuple[int, ...], make: Any, **named: Any) -> tuple[Call, ...]:
    """Return calls of usual sizes, of one query, of one key, and of one of each."""
    sizes = ((5, 7, 3, 2), (1, 7, 3, 5), (5, 1, 2, 3), (1, 1, 3, 2))
    return tuple(_attention_call(batch, *size, make, **named) for size in sizes)


def _project_mask(kind: torch.dtype) -> Tensor:
    mask = torch.ones(2, 5, 7, dtype=torch.bool)
    mask[0, :, 4:] = False
    mask[1, 2, 0] = False
    return mask.to(kind)


# Masks


def _on_its_device(asked: str) -> Promise:
    """Promise that `device` is used: one that does not exist must be refused by whatever makes the tensor."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        require_taken(target, {"device": None})
        called(target, 3)
        try:
            target(3, device="nowhere")
        except Exception:  # noqa: BLE001  somebody's own check of the device may raise anything
            return
        raise ExplainedError(
            "device_ignored", "The mask lies on the CPU whatever `device` says.",
            question="Where should the mask lie if the scores lie on a GPU?",
            pointer="Hand `device` to whatever makes the tensor.", fix="torch.full(..., device=device)",
        )  # fmt: skip

    return Promise(asked, keep)


# Figures


def _with_titles(asked: str) -> Promise:
    """Promise the number of the head above each map."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        maps = seen_maps(drawn(target, sample_weights(4), list(TOKENS), 4))
        for head, seen in enumerate(maps):
            numbers_in = "".join(letter if letter.isdigit() else " " for letter in seen.title).split()
            if str(head) not in numbers_in and str(head + 1) not in numbers_in:
                raise ExplainedError(
                    "heads_not_numbered", f"Above map {head} stands {seen.title or 'nothing'!r}, not its number.",
                    question="Which head is this?", pointer="Give every map its number as a title.",
                    fix='axes.set_title(f"head {head}")',
                )  # fmt: skip

    return Promise(asked, keep)


def _without_empty_axes(asked: str) -> Promise:
    """Promise that axes which hold no map are not seen."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        figure = drawn(target, sample_weights(4), list(TOKENS), 4)
        bars = {id(image.colorbar.ax) for axes in figure.axes for image in axes.images if image.colorbar is not None}
        empty = [axes for axes in figure.axes if axes.axison and axes.get_visible() and not _is_drawn_on(axes)]
        if [axes for axes in empty if id(axes) not in bars]:
            raise ExplainedError(
                "empty_axes_seen", "An empty pair of axes is left in the grid of four heads.",
                question="What should a reader think of a map without numbers?",
                pointer="Switch off the axes that stay empty.", fix="axes.set_axis_off()",
            )  # fmt: skip

    return Promise(asked, keep)


def _is_drawn_on(axes: Any) -> bool:
    return bool(axes.images or axes.collections or axes.lines or axes.patches)


def _full_range(asked: str, draw: Callable[[Any], Any]) -> Promise:
    """Promise colours from 0 to 1, whatever the weights are."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        limits = seen_maps(draw(target))[0].limits
        if not np.allclose(limits, (0.0, 1.0), atol=1e-6):
            raise ExplainedError(
                "colours_not_to_one", f"The colours go from {limits[0]:.3g} to {limits[1]:.3g}, expected 0 to 1.",
                question="Which colour should a weight of 1 have, in every map that you will ever draw?",
                pointer="Say so with vmin and vmax.", fix="axes.imshow(weights, vmin=0, vmax=1)",
            )  # fmt: skip

    return Promise(asked, keep)


def _with_default_title(asked: str) -> Promise:
    def keep(target: Any) -> None:
        __tracebackhide__ = True
        maps = seen_maps(drawn(target, sample_weights(), list(TOKENS)))
        if not maps or maps[0].title != "Attention Weights":
            raise ExplainedError(
                "default_title_missing", "Without a title the figure should say 'Attention Weights'.",
                question="What does the first line of the function say about `title`?",
                pointer="Keep the default as it was given.", fix='title="Attention Weights"',
            )  # fmt: skip

    return Promise(asked, keep)


def _heads_with_gradient(asked: str) -> Promise:
    def keep(target: Any) -> None:
        __tracebackhide__ = True
        weights = sample_weights(2).requires_grad_()
        check_maps(seen_maps(drawn(target, weights, list(TOKENS))), weights.detach(), TOKENS, all_named=False)

    return Promise(asked, keep)


def _one_head(asked: str, *more: Any) -> Promise:
    def keep(target: Any) -> None:
        __tracebackhide__ = True
        weights = sample_weights(1)
        check_maps(seen_maps(drawn(target, weights, list(TOKENS), *more)), weights, TOKENS, all_named=False)

    return Promise(asked, keep)


# The capstone


def _by_hand(asked: str) -> Promise:
    """Promise that gradients are worked out: where torch records nothing, autograd has none to give."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        probe = GRADIENTS.probes[0]
        try:
            with torch.inference_mode():
                given = called(target, *(x.clone() for x in probe))
                is_autograd = any(not to_array(each).any() for each in given)
        except CrashError as error:
            if "grad" not in error.crash.message and "nference" not in error.crash.message:
                raise
            is_autograd = True
        if is_autograd:
            raise ExplainedError(
                "autograd_used", "The gradients come from autograd.",
                question="What is left to learn if the computer derives it?",
                pointer="Write the four products down, as the page derives them.", fix="dV = P.T @ G",
            )  # fmt: skip

    return Promise(asked, keep)


def _tuples(asked: str) -> Promise:
    def keep(target: Any) -> None:
        __tracebackhide__ = True
        shapes = called(target, 2, 7, 3, 5)
        if isinstance(shapes, Mapping) and not all(isinstance(shape, tuple) for shape in shapes.values()):
            raise ExplainedError(
                "shapes_not_tuples", "A shape is no tuple.", question="What does `x.shape` give?",
                pointer="Write round brackets.", fix='"Q": (batch, seq_len, d_k)',
            )  # fmt: skip

    return Promise(asked, keep)


def _edge_tensors(*shapes: Sequence[int]) -> tuple[Tensor, ...]:
    return tuple(_tensor(20 + place, *shape) for place, shape in enumerate(shapes))


def _near(weights: Tensor) -> dict[str, Tensor]:
    places = torch.arange(len(weights))
    near = (places[:, None] - places).abs() <= 1
    return {"local_vs_global": weights[near].sum() / weights[~near].sum()}


_LOCALITY = FunctionCheck(right=_near, probes=(), names=("local_vs_global",))


def _soft(*shape: int) -> Tensor:
    return torch.softmax(_tensor(9, *shape), -1)


def _diagonal(n: int) -> Tensor:
    return torch.full((n, n), 0.1 / max(n - 1, 1)) + torch.eye(n) * (0.8 + 0.01 * torch.arange(n))


PROMISES: Mapping[str, tuple[Promise, ...]] = {
    "basics.attention": (
        gives(
            "Return the output (batch, seq_len, n_embd) for x (batch, seq_len, n_embd).",
            *_sizes_of_layer(5, width=5),
        ),
        _with_default_width("A token is n_embd numbers wide: 768 where nothing else is said."),
    ),
    "basics.reading": (
        _also(
            "Return (from_token, to_token, weight) of the largest weight.", STRONGEST_PAIR,
            (_diagonal(4), list("abcd")), (torch.ones(1, 1), ["alone"]),
        ),
    ),
    "basics.shuffling": (
        _also(
            'Return the largest difference between "shuffle, then attend" and "attend, then shuffle".', SHUFFLING_GAP,
            (lambda x: x * torch.arange(1.0, x.shape[1] + 1)[:, None], _tensor(1, 1, 3, 2), torch.tensor([2, 0, 1])),
        ),
    ),
    "chapter01.similarity": (
        _also(
            "Return the dot product of every query with every key, shape (n_q, n_k).", SIMILARITY,
            (_array(1, 1, 3), _array(2, 5, 3)), (_array(1, 5, 2), _array(2, 1, 2)),
        ),
    ),
    "chapter01.softmax": (
        gives(
            "Return weights of the same shape: positive, and each row (the last axis) sums to 1.",
            *(Call((_array(3, *shape),), {"weights": shape}) for shape in ((5, 7), (1, 1), (7,), (2, 3, 5))),
        ),
    ),
    "chapter01.attention": (
        gives(
            "Return (output, weights): output (n_q, d_v), weights (n_q, n_k).",
            *_attention_calls((), _array), *_attention_calls((), _array, mask=None)[:1],
        ),
        hides(
            "mask: None, or booleans (n_q, n_k): True where a query may attend, no weight where it is False.",
            _attention_call((), 5, 5, 3, 2, _array, mask=_causal(5).numpy()), ~_causal(5),
        ),
    ),
    "chapter01.heatmap": (
        _full_range(
            "imshow with colours that begin at 0 and end at 1, whatever the weights are",
            lambda target: drawn(target, sample_weights().double().numpy(), list(TOKENS)),
        ),
    ),
    "chapter01.split_heads": (
        _also(
            "Return (batch, num_heads, n, head_size) for x (batch, n, embed_dim).", SPLIT_HEADS,
            (_array(1, 1, 1, 6), 2), (_array(2, 2, 3, 5), 1),
        ),
    ),
    "chapter01.merge_heads": (
        _also(
            "Return (batch, n, embed_dim) for heads (batch, num_heads, n, head_size); undoes split_heads.", MERGE_HEADS,
            (_array(1, 1, 2, 1, 3),), (_array(2, 2, 1, 3, 5),),
        ),
    ),
    "chapter01.multihead": (
        gives(
            "Return the output (batch, n, embed_dim).",
            *(
                Call((_array(1, *size, 6),), {"output": (*size, 6)}, {}, (6, heads))
                for size, heads in (((2, 7), 3), ((1, 1), 2), ((1, 3), 1))
            ),
        ),
    ),
    "chapter01.torch_layer": (
        gives(
            "Return the output (batch, n, embed_dim); mask (n, n), True = may attend.",
            *_sizes_of_layer(_WIDTH, _HEADS, width=_WIDTH),
        ),
        _ignores_hidden(
            "a mask says True where a query may attend.",
            _layer_call(2, 5, _WIDTH, _WIDTH, _HEADS, mask=_causal(5)), 4,
        ),
    ),
    "chapter01.milestone": (_without_biases("Without biases (bias=False) theirs are None; ours are then 0."),),
    "lab1.self_attention": (
        gives(
            "Return (output, weights): (batch, n, embed_dim) and (batch, n, n).",
            *_sizes_of_layer(5, width=5, weights="one head"),
        ),
    ),
    "lab1.multihead": (
        gives(
            "Return (output, weights): (batch, n, embed_dim) and (batch, num_heads, n, n).",
            *_sizes_of_layer(_WIDTH, _HEADS, width=_WIDTH, weights="heads"),
        ),
        _ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n, n), such as (n, n) or (batch, 1, 1, n); True = may attend.",
            _layer_call(2, 5, _WIDTH, _WIDTH, _HEADS, weights="heads", mask=_causal(5)), 4,
        ),
        _ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n, n), such as (n, n) or (batch, 1, 1, n); True = may attend.",
            _layer_call(2, 5, _WIDTH, _WIDTH, _HEADS, weights="heads", mask=_padding(2, 5)), 4,
        ),
        _ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n, n), such as (n, n) or (batch, 1, 1, n); True = may attend.",
            _layer_call(2, 5, _WIDTH, _WIDTH, _HEADS, weights="heads", mask=_causal(5).expand(2, _HEADS, 5, 5)), 4,
        ),
        empty_rows_are_zero(
            "a row without keys gets zeros",
            Call(
                (_tensor(2, 2, 5, _WIDTH),), {"output": (2, 5, _WIDTH), "weights": (2, _HEADS, 5, 5)},
                {"mask": _with_empty_row(5)}, (_WIDTH, _HEADS), {"weights": (2 * _HEADS, 5, 5)},
            ), "weights",
        ),
        refuses("ValueError where embed_dim is no multiple of num_heads.", (100, 8), "`MultiHeadAttention(100, 8)`"),
        _drops_in_training("In training, dropout sets some weights to 0 by chance."),
    ),
    "lab1.causal_mask": (
        gives(
            "Return (seq_len, seq_len), True where key j is not later than query i.",
            *(Call((n,), {"mask": (n, n)}) for n in (5, 1)),
        ),
        is_boolean("Masks are boolean: True = may attend.", 5),
    ),
    "lab1.padding_mask": (
        gives(
            "Return (batch, 1, 1, n) for tokens (batch, n), True where the token is not padding.",
            Call((torch.tensor([[5, 3, 0], [2, 0, 0]]), 0), {"mask": (2, 1, 1, 3)}),
            Call((torch.tensor([[4]]), 0), {"mask": (1, 1, 1, 1)}),
        ),
        is_boolean("Masks are boolean: True = may attend.", torch.tensor([[5, 3, 0]]), 0),
    ),
    "lab1.cross": (
        gives(
            "Return the output (batch, n_q, embed_dim) for x (batch, n_q, embed_dim), context (batch, n_k, embed_dim).",
            *(
                Call(_edge_tensors((b, n, 6), (b, m, 6)), {"output": (b, n, 6)}, {}, (6, 2))
                for b, n, m in ((2, 5, 7), (1, 1, 4), (1, 3, 1))
            ),
        ),
    ),
    "lab1.plot_heads": (
        _heads_with_gradient("weights come from a layer and carry a gradient: .detach() before you draw"),
        _one_head(
            "Return a figure with one heat map for each head of weights (num_heads, n, n), all with the same colours."
        ),
    ),
    "project04.attention": (
        gives("output: [batch, n_q, d_v], attention_weights: [batch, n_q, n_k].", *_attention_calls((2,), _tensor)),
        gives("output: [batch, n_q, d_v], attention_weights: [batch, n_q, n_k].", *_attention_calls((1,), _tensor)[:1]),
        hides(
            "mask: None, or [batch, n_q, n_k] with True (or 1) where a query may attend.",
            _attention_call((2,), 5, 7, 3, 2, _tensor, mask=_project_mask(torch.bool)), ~_project_mask(torch.bool),
        ),
        hides(
            "mask: None, or [batch, n_q, n_k] with True (or 1) where a query may attend.",
            _attention_call((2,), 5, 7, 3, 2, _tensor, mask=_project_mask(torch.int64)), ~_project_mask(torch.bool),
        ),
        takes("scale: whether the scores are divided by √d_k.", "scale"),
        empty_rows_are_zero(
            "a row that is hidden throughout gets zeros, not NaN",
            _attention_call((2,), 5, 5, 3, 2, _tensor, mask=_with_empty_row(5).expand(2, 5, 5)),
        ),
    ),
    "project04.heatmap": (
        _with_default_title(
            "Return a figure with a heat map of attention_weights [seq_len, seq_len]; tokens: seq_len words."
        ),
        _full_range(
            "Colours begin at 0 and end at 1.", lambda target: drawn(target, sample_weights(), list(TOKENS), "A title")
        ),
    ),
    "project04.grid": (
        _with_titles("tokens, names of the axes, and the number of the head above each map"),
        _without_empty_axes("enough rows of up to three maps; switch off the axes that stay empty"),
        _one_head("Return a figure with a grid of heat maps, one for each head.", 1),
    ),
    "project04.statistics": (
        has_keys(
            "Return a dictionary of four numbers about attention_weights [seq_len, seq_len].",
            ("max_attention", "entropy", "diagonal_mass", "local_vs_global"), _soft(5, 5),
        ),
        _also(
            "local_vs_global: the weight on keys at most 1 away, divided by the weight on all others.", _LOCALITY,
            (_soft(5, 5),), (_soft(7, 7),),
        ),
    ),
    "project04.causal_mask": (
        _on_its_device("masks that are added to the scores: 0 where a query may attend, -inf where it may not."),
    ),
    "project04.reverse_mask": (
        _on_its_device("masks that are added to the scores: 0 where a query may attend, -inf where it may not."),
    ),
    "project04.two_models": (
        _also(
            "Return the mean cross-entropy, one number in nats, of foretelling each next token.", NEXT_TOKEN_LOSS,
            (_tensor(1, 1, 2, 3), torch.tensor([[2, 1]])),
        ),
    ),
    "project04.bonus_tiled": (
        _also(
            "Return the output (batch, n_q, d_v) of softmax(Q Kᵀ / √d_k) V; no "
            "tensor may be n_q times n_k large.",
            TILED,
            (*_edge_tensors((1, 1, 3), (1, 5, 3), (1, 5, 2)), 2), (*_edge_tensors((2, 5, 3), (2, 1, 3), (2, 1, 2)), 1),
        ),
    ),
    "project04.bonus_topk": (
        _also(
            "Return (output, weights): (batch, n_q, d_v) and (batch, n_q, n_k), whose "
            "rows have k numbers that are not 0.",
            TOP_K,
            (*_edge_tensors((1, 1, 3), (1, 5, 3), (1, 5, 2)), 5), (*_edge_tensors((1, 2, 3), (1, 1, 3), (1, 1, 2)), 1),
        ),
    ),
    "project04.bonus_cross": (
        gives(
            "Return the output (batch, n_q, embed_dim).",
            *(
                Call(_edge_tensors((b, n, 6), (b, m, 6)), {"output": (b, n, 6)}, {}, (6, 2))
                for b, n, m in ((2, 5, 7), (1, 1, 4), (1, 3, 1))
            ),
        ),
        _ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n_q, n_k), such as (n_q, n_k) or "
            "(batch, 1, 1, n_k); True = may attend.",
            Call(
                _edge_tensors((2, 5, 6), (2, 7, 6)), {"output": (2, 5, 6)}, {"mask": torch.arange(7).expand(5, 7) < 6},
                (6, 2),
            ), 6, of=1,
        ),
        _ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n_q, n_k), such as (n_q, n_k) or "
            "(batch, 1, 1, n_k); True = may attend.",
            Call(_edge_tensors((2, 5, 6), (2, 7, 6)), {"output": (2, 5, 6)}, {"mask": _padding(2, 7)}, (6, 2)), 6, of=1,
        ),
        _gathers_nothing(
            "For a query whose every key is hidden the weights are 0.",
            Call(
                _edge_tensors((2, 5, 6), (2, 7, 6)), {"output": (2, 5, 6)},
                {"mask": (torch.arange(5) != 2)[:, None].expand(5, 7)}, (6, 2),
            ), row=2,
        ),
    ),
    "project04.bonus_multi_query": (
        gives(_OUTPUT_FOR_X, *_sizes_of_layer(_WIDTH, _HEADS, width=_WIDTH)),
        _one_key_for_all(
            "Keys and values are as wide as ONE head: less to compute, and far less to remember while writing."
        ),
    ),
    "m5.projections": (
        _also(
            "Return (Q, K, V) for x (batch, seq_len, embed_dim); W_q and W_k are "
            "(embed_dim, d_k), W_v is (embed_dim, d_v).",
            PROJECTIONS, _edge_tensors((1, 1, 3), (3, 2), (3, 2), (3, 5)),
        ),
    ),
    "m5.scores": (
        _also(
            "Return the scores (batch, n_q, n_k): Q Kᵀ, divided by √d_k if `scale`.", SCORES,
            (*_edge_tensors((1, 1, 3), (1, 5, 3)),), (*_edge_tensors((2, 5, 2), (2, 1, 2)), False),
        ),
    ),
    "m5.weights": (
        _also(
            "Return the weights (batch, n_q, n_k); mask (n_q, n_k), True = may attend.", WEIGHTS,
            (_tensor(1, 2, 1, 5),), (_tensor(2, 2, 5, 1), torch.ones(5, 1, dtype=torch.bool)),
        ),
    ),
    "m5.output": (
        _also(
            "Return the output (batch, n_q, d_v): each row a weighted sum of the values.", OUTPUT,
            (_soft(2, 5, 7), _tensor(1, 2, 7, 3)), (_soft(1, 1, 4), _tensor(1, 1, 4, 2)),
            (_soft(2, 3, 1), _tensor(1, 2, 1, 2)),
        ),
    ),
    "m5.shapes": (
        _tuples("Return the shape of each step as a tuple, by its name: Q, K, V, scores, weights, output."),
        _also(
            "Return the shape of each step as a tuple, by its name: Q, K, V, scores, weights, output.", SHAPES,
            (1, 1, 1, 2),
        ),
    ),
    "m5.gradients": (
        _by_hand("No autograd: only products, sums and the weights."),
        _also(
            "Return (dQ, dK, dV) for the loss whose gradient at the output is G.", GRADIENTS,
            _edge_tensors((1, 3), (4, 3), (4, 2), (1, 2)),
        ),
    ),
}  # fmt: skip
