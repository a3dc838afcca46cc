"""What the exercises of this unit ask beyond the contracts."""

from attention_surgeon.testing.exercises import check_head_distances, check_head_grid_alone

__all__ = ["check_head_distances", "check_head_grid_alone"]
