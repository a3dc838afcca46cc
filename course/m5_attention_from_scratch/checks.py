"""What the exercises of this unit ask beyond the contracts."""

from attention_surgeon.testing.exercises import (
    check_gradients,
    check_output,
    check_projections,
    check_sample_map,
    check_scaling_plot,
    check_scores,
    check_shapes,
    check_weights,
)

__all__ = [
    "check_gradients",
    "check_output",
    "check_projections",
    "check_sample_map",
    "check_scaling_plot",
    "check_scores",
    "check_shapes",
    "check_weights",
]
