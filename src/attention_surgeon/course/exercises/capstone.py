"""The capstone: every step on its own, its shape, and its gradient."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.course.exercises.explained import ExplainedError
from attention_surgeon.course.exercises.function_check import FunctionCheck, known, known_fault
from attention_surgeon.course.exercises.maps import check_maps, drawn, other_axes, seen_maps
from attention_surgeon.ops import attention_gradients, softmax
from attention_surgeon.testing.draw import generator, numbers, ragged_mask


def check_projections(function: Callable[..., Any]) -> None:
    """Judge `project(x, W_q, W_k, W_v) -> (Q, K, V)`.

    Raises:
        ExplainedError: the projections are others.
    """
    __tracebackhide__ = True
    PROJECTIONS(function)


def check_scores(function: Callable[..., Any]) -> None:
    """Judge `attention_scores(Q, K, scale) -> scores`.

    Raises:
        ExplainedError: the scores are others, or the switch does nothing.
    """
    __tracebackhide__ = True
    SCORES(function)


def check_weights(function: Callable[..., Any]) -> None:
    """Judge `attention_weights(scores, mask) -> weights`; True in the mask may attend, an empty row gets zeros.

    Raises:
        ExplainedError: the weights are others.
    """
    __tracebackhide__ = True
    WEIGHTS(function)


def check_output(function: Callable[..., Any]) -> None:
    """Judge `attention_output(weights, V) -> output`.

    Raises:
        ExplainedError: the output is another.
    """
    __tracebackhide__ = True
    OUTPUT(function)


def check_shapes(function: Callable[..., Any]) -> None:
    """Judge `attention_shapes(batch, seq_len, d_k, d_v)`: the shape of each step by name.

    Raises:
        ExplainedError: a shape is another.
    """
    __tracebackhide__ = True
    SHAPES(function)


def check_gradients(function: Callable[..., Any]) -> None:
    """Judge `gradients(Q, K, V, G) -> (dQ, dK, dV)`, derived by hand.

    Raises:
        ExplainedError: a gradient is another.
    """
    __tracebackhide__ = True
    GRADIENTS(function)


def _drawn_tensors(seed: int, *shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    source = generator(seed)
    return tuple(numbers(source, *shape).float() for shape in shapes)


Three = tuple[Tensor, Tensor, Tensor]


def _project(x: Tensor, W_q: Tensor, W_k: Tensor, W_v: Tensor) -> Three:
    return x @ W_q, x @ W_k, x @ W_v


PROJECTIONS = FunctionCheck(
    right=_project,
    probes=[
        _drawn_tensors(1, (2, 7, 11), (11, 3), (11, 3), (11, 5)),
        _drawn_tensors(2, (3, 5, 5), (5, 5), (5, 5), (5, 5)),
    ],
    names=("Q", "K", "V"),
    mistakes=[
        known(
            "one_matrix_for_all", lambda x, q, k, v: (x @ q, x @ q, x @ v), "Query and key come out of one matrix.",
            "Is what a token asks the same as what it offers?", "The key has a matrix of its own.", "K = x @ W_k",
        ),
        known(
            "query_key_exchanged", lambda x, q, k, v: (x @ k, x @ q, x @ v), "Query and key have changed places.",
            "Which matrix makes the queries?", "Look at the order of the three.", "Q = x @ W_q",
        ),
        known(
            "value_not_projected", lambda x, q, k, v: (x @ q, x @ k, x), "The values are the inputs themselves.",
            "What is W_v for?", "The value is projected, too.", "V = x @ W_v",
        ),
    ],
)  # fmt: skip


def _scores(Q: Tensor, K: Tensor, scale: bool = True) -> Tensor:
    scores = Q @ K.mT
    return scores / math.sqrt(Q.shape[-1]) if scale else scores


SCORES = FunctionCheck(
    right=_scores,
    probes=[
        (*_drawn_tensors(3, (2, 5, 11), (2, 7, 11)), True),
        (*_drawn_tensors(4, (3, 7, 3), (3, 2, 3)), True),
        (*_drawn_tensors(5, (1, 2, 5), (1, 3, 5)), False),
    ],
    names=("scores",),
    mistakes=[
        known_fault("scale_missing", lambda Q, K, scale: Q @ K.mT, "Nothing divides the scores by √d_k."),
        known_fault(
            "scale_flag_ignored", lambda Q, K, scale: _scores(Q, K, True),
            "You scale even when you are asked not to.",
        ),
        known_fault(
            "scale_flag_inverted", lambda Q, K, scale: _scores(Q, K, not scale),
            "The switch works the wrong way round.",
        ),
        known_fault(
            "scale_by_key_size", lambda Q, K, scale: Q @ K.mT / (Q.shape[-1] if scale else 1),
            "You divide by d_k itself.",
        ),
        known(
            "scale_by_length", lambda Q, K, scale: Q @ K.mT / (K.shape[-2] ** 0.5 if scale else 1),
            "You divide by the root of the number of keys.", "Over which axis does the product add up?",
            "d_k is the last axis of Q and K.", "Q.shape[-1] ** 0.5",
        ),
        known_fault(
            "scores_transposed", lambda Q, K, scale: _scores(K, Q, scale),
            "Rows are keys and columns queries.",
        ),
    ],
)  # fmt: skip

_HIDDEN = float("-inf")


def _weights(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    return softmax(scores if mask is None else scores.masked_fill(~mask, _HIDDEN))


def _after(scores: Tensor, mask: Tensor | None) -> Tensor:
    weights = torch.softmax(scores, -1)
    return weights if mask is None else weights * mask


def _plain(scores: Tensor, mask: Tensor | None, fill: float = _HIDDEN, dim: int = -1) -> Tensor:
    return torch.softmax(scores if mask is None else scores.masked_fill(~mask, fill), dim)


def _masks() -> list[tuple[Tensor, Tensor | None]]:
    ragged = ragged_mask(generator(7), 5, 7)
    empty = ragged.clone()
    empty[1] = False
    scores, more, last = _drawn_tensors(6, (2, 5, 7), (3, 7, 2), (2, 5, 7))
    return [(scores, ragged), (more, None), (last, empty)]


WEIGHTS = FunctionCheck(
    right=_weights,
    probes=_masks(),
    names=("weights",),
    mistakes=[
        known_fault("nan_rows", _plain, "A query that may attend to no key gets NaN."),
        known_fault("mask_after_softmax", _after, "With a mask your rows no longer sum to 1."),
        known_fault(
            "mask_inverted", lambda s, m: _weights(s, None if m is None else ~m),
            "You hide what the mask allows.",
        ),
        known_fault("mask_ignored", lambda s, m: _weights(s, None), "Hidden keys keep their weight."),
        known(
            "fill_with_zero", lambda s, m: _plain(s, m, 0.0), "Hidden keys still get weight.",
            "What is e to the power of 0?", "Fill with -inf.", 'scores.masked_fill(~mask, float("-inf"))',
        ),
        known(
            "empty_row_even", lambda s, m: _plain(s, m, -1e9), "A query without any key attends to all keys alike.",
            "It may attend to nothing. What should it get?", "Set rows without any key to 0.",
            "weights = weights.masked_fill(~mask, 0.0)",
        ),
        known_fault(
            "softmax_over_queries", lambda s, m: _plain(s, m, dim=-2).nan_to_num(),
            "Your columns sum to 1, not your rows.",
        ),
    ],
)  # fmt: skip


def _output_probe(seed: int, batch: int, n_q: int, n_k: int, d_v: int) -> tuple[Tensor, Tensor]:
    scores, value = _drawn_tensors(seed, (batch, n_q, n_k), (batch, n_k, d_v))
    return torch.softmax(scores, -1), value


OUTPUT = FunctionCheck(
    right=torch.matmul,
    probes=[_output_probe(8, 2, 7, 7, 3), _output_probe(9, 3, 5, 5, 2)],
    names=("output",),
    mistakes=[
        known_fault(
            "weights_transposed", lambda w, v: w.mT @ v,
            "Each output is summed along a column of the weights.",
        ),
        known(
            "averaged_twice", lambda w, v: w @ v / w.shape[-1], "Your output is too small by the number of keys.",
            "What do the weights of one row sum to?", "A row of weights sums to 1: the sum is an average already.",
            "weights @ V",
        ),
        known(
            "best_key_only", lambda w, v: v.gather(1, w.argmax(-1)[..., None].expand(-1, -1, v.shape[-1])),
            "Each output is the value of its best key alone.", "What happens to the weight of the others?",
            "Add up all values, each with its weight.", "weights @ V",
        ),
    ],
)  # fmt: skip

_SHAPE_NAMES = ("Q", "K", "V", "scores", "weights", "output")


def _shapes(batch: int, seq_len: int, d_k: int, d_v: int) -> dict[str, tuple[int, ...]]:
    square = (batch, seq_len, seq_len)
    key = (batch, seq_len, d_k)
    return {
        "Q": key,
        "K": key,
        "V": (batch, seq_len, d_v),
        "scores": square,
        "weights": square,
        "output": (batch, seq_len, d_v),
    }


def _with_output_of_key(*sizes: int) -> dict[str, tuple[int, ...]]:
    shapes = _shapes(*sizes)
    return shapes | {"output": shapes["Q"]}


def _with_square_of_width(batch: int, seq_len: int, d_k: int, d_v: int) -> dict[str, tuple[int, ...]]:
    return _shapes(batch, seq_len, d_k, d_v) | dict.fromkeys(("scores", "weights"), (batch, d_k, d_k))


SHAPES = FunctionCheck(
    right=_shapes,
    probes=[(2, 7, 3, 5), (3, 2, 11, 13)],
    names=_SHAPE_NAMES,
    mistakes=[
        known(
            "output_as_wide_as_keys", _with_output_of_key, "You make the output as wide as a key.",
            "What is added up to make the output?", "The output is a sum of values: d_v wide.",
            '"output": (batch, seq_len, d_v)',
        ),
        known(
            "scores_of_widths", _with_square_of_width, "You make the scores d_k x d_k.", "What does one score compare?",
            "One score for every query and every key.", '"scores": (batch, seq_len, seq_len)',
        ),
    ],
)  # fmt: skip


def _gradients(Q: Tensor, K: Tensor, V: Tensor, G: Tensor) -> Three:
    found = attention_gradients(Q, K, V, G)
    return found.query, found.key, found.value


def _hand(
    Q: Tensor, K: Tensor, V: Tensor, G: Tensor, *, scale: bool = True, mean_over: int | tuple[int, int] | None = -1
) -> Three:
    """Return the gradients as the page derives them, or with a step left out or taken over other axes."""
    factor = 1 / math.sqrt(Q.shape[-1])
    weights = torch.softmax(Q @ K.mT * factor, -1)
    d_weights = G @ V.mT
    mean = 0.0 if mean_over is None else (weights * d_weights).sum(mean_over, keepdim=True)
    d_scores = weights * (d_weights - mean)
    factor = factor if scale else 1.0
    return factor * d_scores @ K, factor * d_scores.mT @ Q, weights.mT @ G


def _exchanged(*operands: Tensor) -> Three:
    d_query, d_key, d_value = _gradients(*operands)
    return d_key, d_query, d_value


GRADIENTS = FunctionCheck(
    right=_gradients,
    probes=[
        _drawn_tensors(10, (5, 3), (7, 3), (7, 2), (5, 2)),
        _drawn_tensors(11, (4, 7), (3, 7), (3, 5), (4, 5)),
    ],
    names=("dQ", "dK", "dV"),
    mistakes=[
        known(
            "scale_missing_in_gradient", lambda *a: _hand(*a, scale=False), "dQ and dK are √d_k times too large.",
            "The scores were divided by √d_k on the way there. And on the way back?",
            "The factor of the scores stands in the gradient, too.", "dQ = dS @ K / d_k ** 0.5",
        ),
        known(
            "softmax_mean_missing", lambda *a: _hand(*a, mean_over=None),
            "You let every weight change alone, but a row always sums to 1.",
            "If one weight of a row grows, what happens to the others?",
            "Subtract, in every row, the mean of dP under the weights.",
            "dS = P * (dP - (P * dP).sum(dim=-1, keepdim=True))",
        ),
        known(
            "softmax_mean_over_queries", lambda *a: _hand(*a, mean_over=-2),
            "You subtract the sum of a column; each query has a softmax of its own.",
            "Along which axis did the softmax run on the way there?",
            "Sum over the keys, the last axis.",
            "dS = P * (dP - (P * dP).sum(dim=-1, keepdim=True))",
        ),
        known(
            "softmax_mean_over_all", lambda *a: _hand(*a, mean_over=(-2, -1)),
            "You subtract one number from all rows; each query has a softmax of its own.",
            "How many numbers should be subtracted, one or one for each query?",
            "Sum over the keys only, the last axis, and keep it.",
            "dS = P * (dP - (P * dP).sum(dim=-1, keepdim=True))",
        ),
        known(
            "query_key_gradients_exchanged", _exchanged,
            "dQ and dK have changed places.", "Which of them has as many rows as there are queries?",
            "dQ has the shape of Q.", "dQ = dS @ K / d_k ** 0.5",
        ),
    ],
)  # fmt: skip


def check_sample_map(function: Callable[..., Any]) -> None:
    """Judge `draw_sample()`: the heat map of a sentence of one's own.

    Raises:
        ExplainedError: it is no map of weights with tokens, named axes and colours from 0.
    """
    __tracebackhide__ = True
    figure = drawn(function)
    maps = seen_maps(figure)
    if not maps:
        check_maps(maps, torch.zeros(1, 2, 2), ("", ""))
    seen = maps[0]
    sums = seen.numbers.sum(-1)
    if not np.allclose(sums, 1.0, atol=1e-4):
        is_turned = np.allclose(seen.numbers.sum(-2), 1.0, atol=1e-4)
        raise ExplainedError(
            "map_transposed" if is_turned else "rows_do_not_sum_to_one",
            f"The rows of your map sum to {sums.min():.2f} to {sums.max():.2f}.",
            question="What should the weights of one query sum to, and is a query a row or a column here?",
            pointer="Rows are queries; show the weights after the softmax over the keys.",
            fix="axes.imshow(weights, vmin=0, vmax=1)", step="map", yours=seen.numbers,
        )  # fmt: skip
    if min(seen.numbers.shape) < 3 or np.ptp(seen.numbers) < 1e-3:
        raise ExplainedError(
            "nothing_to_see", "Your map has fewer than three tokens, or all its weights are alike.",
            question="What should a reader of this figure learn from it?",
            pointer="Take a sentence of some words, and vectors that differ.", fix="",
        )  # fmt: skip
    check_maps(maps[:1], torch.from_numpy(seen.numbers)[None], [*filter(None, seen.columns)] or ["a token"])


def check_scaling_plot(function: Callable[..., Any]) -> None:
    """Judge `plot_scaling(records)`: one line with and one without the scale, over d_k, each with a name.

    Raises:
        ExplainedError: the figure does not show these numbers.
    """
    __tracebackhide__ = True
    records = [
        {"d_k": d_k, "scaled": scaled, "gradient": (0.31 if scaled else 1.7 / d_k) + d_k * 1e-5}
        for d_k in (8, 32, 128, 512)
        for scaled in (True, False)
    ]
    figure = drawn(function, records)
    _check_lines(figure, records)


def _check_lines(figure: Any, records: Sequence[Mapping[str, Any]]) -> None:
    lines = {_points(line): line for axes in other_axes(figure) for line in axes.lines if len(line.get_xdata())}
    missing = [scaled for scaled in (True, False) if _expected_points(records, scaled) not in lines]
    if missing:
        raise _plot_error(
            "line_missing", f"No line shows the numbers {'with' if missing[0] else 'without'} the scale.",
            "How many lines should the figure have, and how many points has each?",
            "Draw the records with scaled=True and those with scaled=False apart; x is d_k, y the gradient.",
            'axes.plot(widths, gradients, label="with the scale")',
        )  # fmt: skip
    axes = next(iter(lines.values())).axes
    if axes.get_legend() is None:
        raise _plot_error(
            "legend_missing", "Nothing says which line is which.", "Could a colour-blind reader tell?",
            "Give each line a label and show the legend.", "axes.legend()",
        )  # fmt: skip
    if not axes.get_xlabel().strip() or not axes.get_ylabel().strip():
        raise _plot_error(
            "axis_names_missing", "An axis has no name.", "What stands on the x axis, and in which unit?",
            "Name both.", 'axes.set_xlabel("d_k")',
        )  # fmt: skip
    if axes.get_xscale() != "log":
        raise _plot_error(
            "not_logarithmic", "The widths 8, 32 and 128 crowd at the left edge.",
            "Each width is four times the one before. Which scale shows equal steps as equal?",
            "Use a logarithmic scale for d_k.", 'axes.set_xscale("log", base=2)',
        )  # fmt: skip


def _points(line: Any) -> tuple[tuple[float, float], ...]:
    pairs = zip(line.get_xdata(), line.get_ydata(), strict=True)
    return tuple(sorted((round(float(x), 6), round(float(y), 6)) for x, y in pairs))


def _expected_points(records: Sequence[Mapping[str, Any]], scaled: bool) -> tuple[tuple[float, float], ...]:
    chosen = [record for record in records if record["scaled"] == scaled]
    return tuple(sorted((float(record["d_k"]), round(record["gradient"], 6)) for record in chosen))


def _plot_error(name: str, symptom: str, question: str, pointer: str, fix: str) -> ExplainedError:
    return ExplainedError(name, symptom, question=question, pointer=pointer, fix=fix, step="figure")
