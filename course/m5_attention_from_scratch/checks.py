"""What the exercises of this unit ask beyond the contracts; WRONG and RIGHT are for those who test the course."""

import attention_surgeon as surgeon
import torch
from attention_surgeon.course.exercises import (
    check_gradients,
    check_output,
    check_projections,
    check_sample_map,
    check_scaling_plot,
    check_scores,
    check_shapes,
    check_weights,
    promises_of,
)
from attention_surgeon.course.exercises.examples import example, right_examples, wrong_examples

__all__ = [
    "PROMISES",
    "RIGHT",
    "WRONG",
    "check_gradients",
    "check_output",
    "check_projections",
    "check_sample_map",
    "check_scaling_plot",
    "check_scores",
    "check_shapes",
    "check_weights",
]

_BY_TABLE = ("check_projections", "check_scores", "check_weights", "check_output", "check_shapes", "check_gradients")
_WORDS = ["one", "two", "three", "four"]
_WEIGHTS = torch.softmax(torch.arange(16.0).reshape(4, 4).sin() * 3, dim=-1)

PROMISES = promises_of("m5")

WRONG = wrong_examples(*_BY_TABLE) | {
    "check_sample_map": [
        example("map_transposed", lambda: surgeon.plot_attention_heatmap(_WEIGHTS.T, _WORDS)),
        example("nothing_to_see", lambda: surgeon.plot_attention_heatmap(torch.full((4, 4), 0.25), _WORDS)),
        example("returns_no_figure", lambda: None),
    ],
    "check_scaling_plot": [
        example("line_missing", lambda records: surgeon.plot_attention_heatmap(_WEIGHTS, _WORDS)),
        example("returns_no_figure", lambda records: None),
    ],
}
RIGHT = right_examples(*_BY_TABLE) | {"check_sample_map": [lambda: surgeon.plot_attention_heatmap(_WEIGHTS, _WORDS)]}
