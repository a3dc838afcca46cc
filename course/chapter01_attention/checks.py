"""What the exercises of this unit ask beyond the contracts; WRONG and RIGHT are for those who test the course."""

import attention_surgeon as surgeon
from attention_surgeon.course.exercises import (
    check_comparison,
    check_entropy,
    check_from_torch,
    check_heatmap_array,
    check_merge_heads,
    check_pair_of_maps,
    check_similarity,
    check_sparsity,
    check_split_heads,
    check_to_torch_mask,
    check_top_keys,
    promises_of,
)
from attention_surgeon.course.exercises.examples import copied_layer, example, right_examples, wrong_examples

__all__ = [
    "PROMISES",
    "RIGHT",
    "WRONG",
    "check_comparison",
    "check_entropy",
    "check_from_torch",
    "check_heatmap_array",
    "check_merge_heads",
    "check_pair_of_maps",
    "check_similarity",
    "check_sparsity",
    "check_split_heads",
    "check_to_torch_mask",
    "check_top_keys",
]

PROMISES = promises_of("chapter01")

_OF_MAPS = ("check_entropy", "check_top_keys", "check_sparsity", "check_comparison")
_BY_TABLE = ("check_similarity", "check_split_heads", "check_merge_heads", "check_to_torch_mask", *_OF_MAPS)


def _pair(scaled, unscaled, tokens):
    from attention_surgeon.plots import plot_scale_comparison  # matplotlib takes its time; only examples need it

    return plot_scale_comparison(scaled, unscaled, tokens)


def _upside_down(weights, tokens):
    figure = surgeon.plot_attention_heatmap(weights, tokens)
    figure.axes[0].invert_yaxis()
    return figure


def _colours_of_their_own(scaled, unscaled, tokens):
    figure = _pair(scaled, unscaled, tokens)
    figure.axes[1].images[0].set_clim(0, 0.5)
    return figure


WRONG = wrong_examples(*_BY_TABLE) | {
    "check_heatmap_array": [
        example("map_transposed", lambda weights, tokens: surgeon.plot_attention_heatmap(weights.T, tokens)),
        example("tokens_missing", lambda weights, tokens: surgeon.plot_attention_heatmap(weights, None)),
        example("tokens_misplaced", lambda weights, tokens: surgeon.plot_attention_heatmap(weights, tokens[::-1])),
        example("other_numbers", lambda weights, tokens: surgeon.plot_attention_heatmap(weights / 2, tokens)),
        example("map_upside_down", _upside_down),
    ],
    "check_pair_of_maps": [
        example("colours_differ", _colours_of_their_own),
        example("swapped", lambda scaled, unscaled, tokens: _pair(unscaled, scaled, tokens)),
        example("one_map", lambda scaled, unscaled, tokens: surgeon.plot_attention_heatmap(scaled, tokens)),
    ],
    "check_from_torch": [
        copied_layer("output_bias_not_copied", lambda layer: layer.out_proj.bias.zero_()),
        copied_layer("input_biases_not_copied", lambda layer: layer.in_proj_bias.zero_()),
        copied_layer("rounded", lambda layer: layer.in_proj_weight.mul_(1.001)),
    ],
}
RIGHT = right_examples(*_BY_TABLE) | {
    "check_heatmap_array": [lambda *given: surgeon.plot_attention_heatmap(*given)],
    "check_pair_of_maps": [_pair],
    "check_from_torch": [copied_layer("right", lambda layer: None)],
}
