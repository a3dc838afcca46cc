"""What the exercises of this unit ask beyond the contracts; WRONG and RIGHT are for those who test the course."""

import attention_surgeon as surgeon
from attention_surgeon.course.exercises import check_head_distances, check_head_grid_alone, promises_of
from attention_surgeon.course.exercises.examples import example, right_examples, wrong_examples

__all__ = ["PROMISES", "RIGHT", "WRONG", "check_head_distances", "check_head_grid_alone"]


def _all_heads(weights, tokens):
    return surgeon.plot_multihead_attention(weights, tokens, len(weights))


PROMISES = promises_of("lab1")

WRONG = wrong_examples("check_head_distances") | {
    "check_head_grid_alone": [
        example("head_missing", lambda weights, tokens: _all_heads(weights[1:], tokens)),
        example("map_transposed", lambda weights, tokens: _all_heads(weights.mT, tokens)),
        example("other_numbers", lambda weights, tokens: _all_heads(weights.mean(0).expand_as(weights), tokens)),
        example("returns_no_figure", lambda weights, tokens: None),
    ],
}
RIGHT = right_examples("check_head_distances") | {"check_head_grid_alone": [_all_heads]}
