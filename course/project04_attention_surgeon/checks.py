"""What the exercises of this unit ask beyond the contracts."""

from attention_surgeon.testing.exercises import (
    check_attention_dropout,
    check_head_grid,
    check_heatmap,
    check_masking_comparison,
    check_next_token_loss,
    check_scaling_experiment,
    check_tiled,
    check_topk,
)

__all__ = [
    "check_attention_dropout",
    "check_head_grid",
    "check_heatmap",
    "check_masking_comparison",
    "check_next_token_loss",
    "check_scaling_experiment",
    "check_tiled",
    "check_topk",
]
