"""What the exercises of this unit ask beyond the contracts; WRONG and RIGHT are for those who test the course."""

import attention_surgeon as surgeon
import torch
from attention_surgeon.course.exercises import (
    check_attention_dropout,
    check_head_grid,
    check_heatmap,
    check_masking_comparison,
    check_next_token_loss,
    check_scaling_experiment,
    check_tiled,
    check_topk,
    promises_of,
)
from attention_surgeon.course.exercises.examples import example, right_examples, wrong_examples
from attention_surgeon.ops import attention
from torch.nn.functional import dropout

__all__ = [
    "PROMISES",
    "RIGHT",
    "WRONG",
    "check_attention_dropout",
    "check_head_grid",
    "check_heatmap",
    "check_masking_comparison",
    "check_next_token_loss",
    "check_scaling_experiment",
    "check_tiled",
    "check_topk",
]


def _whole(Q, K, V, tile_size):
    return attention(Q, K, V)[0]


def _thirds():
    return {name: dict.fromkeys(("past", "self", "future"), 1 / 3) for name in ("causal", "none", "reverse")}


def _without_numbers(d_k_values):
    even = {"max_weight": 0.5, "entropy": 1.0, "gradient": 0.3}
    return [{"d_k": d_k, "scaled": scaled} | even for d_k in d_k_values for scaled in (True, False)]


PROMISES = promises_of("project04")

WRONG = wrong_examples("check_next_token_loss", "check_topk", "check_tiled") | {
    "check_heatmap": [
        example("title_missing", lambda weights, tokens, title: surgeon.plot_attention_heatmap(weights, tokens)),
        example(
            "map_transposed", lambda weights, tokens, title: surgeon.plot_attention_heatmap(weights.T, tokens, title)
        ),
        example("tokens_missing", lambda weights, tokens, title: surgeon.plot_attention_heatmap(weights, None, title)),
    ],
    "check_head_grid": [
        example("one_head", lambda weights, tokens, n: surgeon.plot_multihead_attention(weights[:1], tokens, 1)),
        example("backwards", lambda weights, tokens, n: surgeon.plot_multihead_attention(weights.flip(0), tokens, n)),
    ],
    "check_attention_dropout": [
        example("dropout_in_eval", lambda weights, p, training: dropout(weights, p, training=True)),
        example("p_kept", lambda weights, p, training: dropout(weights, 1 - p, training) if p else weights),
        example("not_rescaled", lambda weights, p, training: dropout(weights, p, training) * (1 - p * training)),
        example("nothing_dropped", lambda weights, p, training: weights),
    ],
    "check_scaling_experiment": [example("made_up", _without_numbers), example("empty", lambda d_k_values: [])],
    "check_masking_comparison": [example("made_up", _thirds), example("empty", dict)],
}
WRONG["check_tiled"].append(example("memory_grows_as_n_squared", _whole))
RIGHT = right_examples("check_next_token_loss", "check_topk") | {
    "check_heatmap": [lambda *given: surgeon.plot_attention_heatmap(*given)],
    "check_head_grid": [lambda *given: surgeon.plot_multihead_attention(*given)],
    "check_attention_dropout": [dropout, lambda weights, p, training: torch.nn.Dropout(p).train(training)(weights)],
}
