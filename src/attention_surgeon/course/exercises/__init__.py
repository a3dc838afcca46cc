"""What the exercises of the course ask beyond the contracts: one `check_...` for each, every failure explained."""

from attention_surgeon.course.exercises.ablations import check_masking_comparison, check_scaling_experiment
from attention_surgeon.course.exercises.basics import check_head_distances, check_shuffling_gap, check_strongest_pair
from attention_surgeon.course.exercises.capstone import (
    check_gradients,
    check_output,
    check_projections,
    check_sample_map,
    check_scaling_plot,
    check_scores,
    check_shapes,
    check_weights,
)
from attention_surgeon.course.exercises.chapter import (
    check_from_torch,
    check_merge_heads,
    check_similarity,
    check_split_heads,
    check_to_torch_mask,
)
from attention_surgeon.course.exercises.explained import CrashError, ExplainedError
from attention_surgeon.course.exercises.function_check import (
    FunctionCheck,
    KnownMistake,
    from_catalogue,
    known,
    known_fault,
)
from attention_surgeon.course.exercises.maps import (
    check_head_grid,
    check_head_grid_alone,
    check_heatmap,
    check_heatmap_array,
    check_pair_of_maps,
)
from attention_surgeon.course.exercises.numbers_of_maps import (
    check_comparison,
    check_entropy,
    check_sparsity,
    check_top_keys,
)
from attention_surgeon.course.exercises.project import check_attention_dropout, check_next_token_loss, check_topk
from attention_surgeon.course.exercises.promise import Promise, broken_promise
from attention_surgeon.course.exercises.promises import promises_of
from attention_surgeon.course.exercises.tiled import check_tiled
from attention_surgeon.verdict import Mistake

__all__ = [
    "CrashError",
    "ExplainedError",
    "FunctionCheck",
    "KnownMistake",
    "Mistake",
    "Promise",
    "broken_promise",
    "check_attention_dropout",
    "check_comparison",
    "check_entropy",
    "check_from_torch",
    "check_gradients",
    "check_head_distances",
    "check_head_grid",
    "check_head_grid_alone",
    "check_heatmap",
    "check_heatmap_array",
    "check_masking_comparison",
    "check_merge_heads",
    "check_next_token_loss",
    "check_output",
    "check_pair_of_maps",
    "check_projections",
    "check_sample_map",
    "check_scaling_experiment",
    "check_scaling_plot",
    "check_scores",
    "check_shapes",
    "check_shuffling_gap",
    "check_similarity",
    "check_sparsity",
    "check_split_heads",
    "check_strongest_pair",
    "check_tiled",
    "check_to_torch_mask",
    "check_top_keys",
    "check_topk",
    "check_weights",
    "from_catalogue",
    "known",
    "known_fault",
    "promises_of",
]
