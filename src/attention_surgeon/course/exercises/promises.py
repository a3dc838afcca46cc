"""The promises of the shipped exercises, by exercise: what their stubs say beside the numbers.

`tests/course_content/test_stub_sentences.py` has the other side: every sentence of every stub, and what keeps it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.course.exercises.basics import SHUFFLING_GAP, STRONGEST_PAIR
from attention_surgeon.course.exercises.calling import called, returns_nothing
from attention_surgeon.course.exercises.capstone import GRADIENTS, OUTPUT, PROJECTIONS, SCORES, SHAPES, WEIGHTS
from attention_surgeon.course.exercises.chapter import MERGE_HEADS, SIMILARITY, SPLIT_HEADS
from attention_surgeon.course.exercises.explained import CrashError, ExplainedError, other_values
from attention_surgeon.course.exercises.function_check import FunctionCheck, Probe
from attention_surgeon.course.exercises.maps import TOKENS, sample_weights
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
from attention_surgeon.course.exercises.promised_figures import (
    full_range,
    heads_with_gradient,
    one_head,
    with_default_title,
    with_titles,
    without_empty_axes,
)
from attention_surgeon.course.exercises.promised_layers import (
    HEADS,
    WIDTH,
    causal,
    drops_in_training,
    gathers_nothing,
    ignores_hidden,
    layer_call,
    one_key_for_all,
    padding,
    sizes_of_layer,
    tensor,
    with_default_width,
    with_empty_row,
    without_biases,
)
from attention_surgeon.course.exercises.tiled import TILED
from attention_surgeon.testing.answer import to_array
from attention_surgeon.testing.draw import generator, numbers
from attention_surgeon.verdict import Array

_OUTPUT_FOR_X = "Return the output (batch, n, embed_dim) for x (batch, n, embed_dim)."


def promises_of(unit: str) -> dict[str, tuple[Promise, ...]]:
    """Return the promises of a unit's exercises, by exercise.

    >>> sorted(promises_of("basics"))
    ['basics.attention', 'basics.reading', 'basics.shuffling']
    """
    return {name: promises for name, promises in PROMISES.items() if name.startswith(f"{unit}.")}


def _array(seed: int, *shape: int) -> Array:
    return numbers(generator(seed), *shape).numpy()


def _also(asked: str, check: FunctionCheck, *probes: Probe) -> Promise:
    """Promise the right answers for further probes: the smallest sizes, the largest weight on the diagonal."""
    return Promise(asked, FunctionCheck(check.right, probes, check.names, check.mistakes))


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


def _is_minus_infinity(asked: str) -> Promise:
    """Promise -inf, not a low number, where a mask hides."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        mask = to_array(called(target, 5))
        finite = mask[np.isfinite(mask) & (mask < -1.0)]
        if finite.size:
            raise ExplainedError(
                "mask_fill_finite", f"Where the mask hides stands {finite.min():.3g}, expected -inf.",
                question="What is left of a low number in float16, and what of -inf?",
                pointer="Fill with infinity itself.", fix='torch.full((seq_len, seq_len), float("-inf"))',
            )  # fmt: skip

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
    return tuple(tensor(20 + place, *shape) for place, shape in enumerate(shapes))


def _near(weights: Tensor) -> dict[str, Tensor]:
    places = torch.arange(len(weights))
    near = (places[:, None] - places).abs() <= 1
    return {"local_vs_global": weights[near].sum() / weights[~near].sum()}


_LOCALITY = FunctionCheck(right=_near, probes=(), names=("local_vs_global",))


def _soft(*shape: int) -> Tensor:
    return torch.softmax(tensor(9, *shape), -1)


def _diagonal(n: int) -> Tensor:
    return torch.full((n, n), 0.1 / max(n - 1, 1)) + torch.eye(n) * (0.8 + 0.01 * torch.arange(n))


# Modern attention


def _with_cache(asked: str) -> Promise:
    """Promise two values, of which the second is a pair: after one token, after several, and after none."""

    def keep(target: Any) -> None:
        __tracebackhide__ = True
        for earlier, new in ((3, 1), (2, 3), (0, 1)):
            cache = _edge_tensors((2, earlier, 4), (2, earlier, 4)) if earlier else None
            require_taken(target, {"cache": cache})
            returned = called(target, *_edge_tensors(*[(2, new, 4)] * 3), cache=cache)
            if returned is None:
                raise returns_nothing(target)
            if not (_is_pair(returned) and _is_pair(returned[1])):
                raise other_values(
                    "It does not return two values, the output and a pair of keys and values.",
                    "return output, (keys, values)",
                )

    return Promise(asked, keep)


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2


def _turned_calls(*shapes: tuple[int, ...]) -> tuple[Call, ...]:
    return tuple(Call((tensor(1, *shape), torch.arange(shape[-2])), {"turned": shape}) for shape in shapes)


PROMISES: Mapping[str, tuple[Promise, ...]] = {
    "basics.attention": (
        gives(
            "Return the output (batch, seq_len, n_embd) for x (batch, seq_len, n_embd).",
            *sizes_of_layer(5, width=5),
        ),
        with_default_width("A token is n_embd numbers wide: 768 where nothing else is said."),
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
            (lambda x: x * torch.arange(1.0, x.shape[1] + 1)[:, None], tensor(1, 1, 3, 2), torch.tensor([2, 0, 1])),
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
            _attention_call((), 5, 5, 3, 2, _array, mask=causal(5).numpy()), ~causal(5),
        ),
    ),
    "chapter01.heatmap": (
        full_range(
            "imshow with colours that begin at 0 and end at 1, whatever the weights are",
            lambda: (sample_weights().double().numpy(), list(TOKENS)),
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
            "Return the output (batch, n, embed_dim), for x of the same shape; x may also come without a batch.",
            *(
                Call((_array(1, *size, 6),), {"output": (*size, 6)}, {}, (6, heads))
                for size, heads in (((2, 7), 3), ((1, 1), 2), ((1, 3), 1), ((5,), 2))
            ),
        ),
        refuses("ValueError where embed_dim is no multiple of num_heads.", (100, 8), "`MultiHeadAttention(100, 8)`"),
    ),
    "chapter01.torch_layer": (
        gives(
            "Return the output (batch, n, embed_dim); mask (n, n), True = may attend.",
            *sizes_of_layer(WIDTH, HEADS, width=WIDTH),
        ),
        ignores_hidden(
            "a mask says True where a query may attend.",
            layer_call(2, 5, WIDTH, WIDTH, HEADS, mask=causal(5)), 4,
        ),
    ),
    "chapter01.milestone": (without_biases("Without biases (bias=False) theirs are None; ours are then 0."),),
    "lab1.self_attention": (
        gives(
            "Return (output, weights): (batch, n, embed_dim) and (batch, n, n).",
            *sizes_of_layer(5, width=5, weights="one head"),
        ),
    ),
    "lab1.multihead": (
        gives(
            "Return (output, weights): (batch, n, embed_dim) and (batch, num_heads, n, n).",
            *sizes_of_layer(WIDTH, HEADS, width=WIDTH, weights="heads"),
        ),
        ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n, n), such as (n, n) or (batch, 1, 1, n); True = may attend.",
            layer_call(2, 5, WIDTH, WIDTH, HEADS, weights="heads", mask=causal(5)), 4,
        ),
        ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n, n), such as (n, n) or (batch, 1, 1, n); True = may attend.",
            layer_call(2, 5, WIDTH, WIDTH, HEADS, weights="heads", mask=padding(2, 5)), 4,
        ),
        ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n, n), such as (n, n) or (batch, 1, 1, n); True = may attend.",
            layer_call(2, 5, WIDTH, WIDTH, HEADS, weights="heads", mask=causal(5).expand(2, HEADS, 5, 5)), 4,
        ),
        empty_rows_are_zero(
            "a row without keys gets zeros",
            Call(
                (tensor(2, 2, 5, WIDTH),), {"output": (2, 5, WIDTH), "weights": (2, HEADS, 5, 5)},
                {"mask": with_empty_row(5)}, (WIDTH, HEADS), {"weights": (2 * HEADS, 5, 5)},
            ), "weights",
        ),
        refuses("ValueError where embed_dim is no multiple of num_heads.", (100, 8), "`MultiHeadAttention(100, 8)`"),
        drops_in_training("In training, dropout sets some weights to 0 by chance."),
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
        heads_with_gradient("weights come from a layer and carry a gradient: .detach() before you draw"),
        one_head(
            "Return a figure with one heat map for each head of weights (num_heads, n, n), all with the same colours."
        ),
    ),
    "project04.attention": (
        gives("output: [batch, n_q, d_v], attention_weights: [batch, n_q, n_k].", *_attention_calls((2,), tensor)),
        gives("output: [batch, n_q, d_v], attention_weights: [batch, n_q, n_k].", *_attention_calls((1,), tensor)[:1]),
        hides(
            "mask: None, or [batch, n_q, n_k] with True (or 1) where a query may attend.",
            _attention_call((2,), 5, 7, 3, 2, tensor, mask=_project_mask(torch.bool)), ~_project_mask(torch.bool),
        ),
        hides(
            "mask: None, or [batch, n_q, n_k] with True (or 1) where a query may attend.",
            _attention_call((2,), 5, 7, 3, 2, tensor, mask=_project_mask(torch.int64)), ~_project_mask(torch.bool),
        ),
        takes("scale: whether the scores are divided by √d_k.", "scale"),
        empty_rows_are_zero(
            "a row that is hidden throughout gets zeros, not NaN",
            _attention_call((2,), 5, 5, 3, 2, tensor, mask=with_empty_row(5).expand(2, 5, 5)),
        ),
    ),
    "project04.heatmap": (
        with_default_title(
            "Return a figure with a heat map of attention_weights [seq_len, seq_len]; tokens: seq_len words."
        ),
        full_range(
            "Colours begin at 0 and end at 1.", lambda: (sample_weights(), list(TOKENS), "A title")
        ),
    ),
    "project04.grid": (
        with_titles("tokens, names of the axes, and the number of the head above each map"),
        without_empty_axes("enough rows of up to three maps; switch off the axes that stay empty"),
        one_head("Return a figure with a grid of heat maps, one for each head.", 1),
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
        _is_minus_infinity("Return [seq_len, seq_len]: 0 in the lower triangle with the diagonal, -inf above."),
        _on_its_device("masks that are added to the scores: 0 where a query may attend, -inf where it may not."),
    ),
    "project04.reverse_mask": (
        _is_minus_infinity(
            "Return the mirror image, a mistake on purpose: 0 in the upper triangle with the diagonal, -inf below."
        ),
        _on_its_device("masks that are added to the scores: 0 where a query may attend, -inf where it may not."),
    ),
    "project04.two_models": (
        _also(
            "Return the mean cross-entropy, one number in nats, of foretelling each next token.", NEXT_TOKEN_LOSS,
            (tensor(1, 1, 2, 3), torch.tensor([[2, 1]])),
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
        ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n_q, n_k), such as (n_q, n_k) or "
            "(batch, 1, 1, n_k); True = may attend.",
            Call(
                _edge_tensors((2, 5, 6), (2, 7, 6)), {"output": (2, 5, 6)}, {"mask": torch.arange(7).expand(5, 7) < 6},
                (6, 2),
            ), 6, of=1,
        ),
        ignores_hidden(
            "mask: booleans that fit (batch, num_heads, n_q, n_k), such as (n_q, n_k) or "
            "(batch, 1, 1, n_k); True = may attend.",
            Call(_edge_tensors((2, 5, 6), (2, 7, 6)), {"output": (2, 5, 6)}, {"mask": padding(2, 7)}, (6, 2)), 6, of=1,
        ),
        gathers_nothing(
            "For a query whose every key is hidden the weights are 0.",
            Call(
                _edge_tensors((2, 5, 6), (2, 7, 6)), {"output": (2, 5, 6)},
                {"mask": (torch.arange(5) != 2)[:, None].expand(5, 7)}, (6, 2),
            ), row=2,
        ),
    ),
    "project04.bonus_multi_query": (
        gives(_OUTPUT_FOR_X, *sizes_of_layer(WIDTH, HEADS, width=WIDTH)),
        one_key_for_all(
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
            (tensor(1, 2, 1, 5),), (tensor(2, 2, 5, 1), torch.ones(5, 1, dtype=torch.bool)),
            (tensor(3, 2, 5, 5), causal(5)),
        ),
    ),
    "m5.output": (
        _also(
            "Return the output (batch, n_q, d_v): each row a weighted sum of the values.", OUTPUT,
            (_soft(2, 5, 7), tensor(1, 2, 7, 3)), (_soft(1, 1, 4), tensor(1, 1, 4, 2)),
            (_soft(2, 3, 1), tensor(1, 2, 1, 2)),
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
    "modern.rotary": (
        gives(
            "Return x (..., n, d) with the token at positions[t] turned by angles that grow with its position.",
            *_turned_calls((5, 6), (1, 2), (1, 1, 4), (2, 1, 3, 4)),
        ),
        takes("turned by the angle positions[t] * base ** (-2 * i / d)", "base"),
    ),
    "modern.grouped": (
        gives(
            "Return shared (batch, num_kv_heads, n, d) as (batch, num_heads, n, d)",
            *(
                Call((tensor(1, *size), heads), {"heads": (size[0], heads, *size[2:])})
                for size, heads in (((2, 2, 3, 5), 4), ((1, 1, 1, 2), 1), ((1, 1, 3, 1), 5))
            ),
        ),
    ),
    "modern.cache": (
        _with_cache(
            "Returns the output (batch, m, d) and the new cache, the pair (keys, values) of all n + m tokens."
        ),
    ),
    "modern.window": (
        gives(
            "Return who may attend (n_q, n_k), True = may",
            *(Call(size, {"mask": size[:2]}) for size in ((5, 5, 2), (1, 7, 3), (1, 1, 1), (2, 3, 9))),
        ),
        is_boolean("Return who may attend (n_q, n_k), True = may", 3, 5, 2),
    ),
    "modern.softcap": (
        gives(
            "Return scores (n_q, n_k) bent softly so that none is larger than cap or smaller than -cap",
            *(
                Call((tensor(1, *size), 5.0, torch.ones(*size, dtype=torch.bool)), {"scores": size})
                for size in ((3, 5), (1, 4), (1, 1))
            ),
        ),
    ),
    "modern.sinks": (
        gives(
            "Return the weights (heads, n_q, n_k) of scores (heads, n_q, n_k)",
            *(
                Call((tensor(1, *size), tensor(2, size[0])), {"weights": size})
                for size in ((2, 3, 5), (1, 1, 4), (3, 2, 1))
            ),
        ),
    ),
}  # fmt: skip
