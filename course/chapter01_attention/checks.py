"""What the exercises of this unit ask beyond the contracts."""

from attention_surgeon.testing.exercises import (
    check_from_torch,
    check_heatmap_array,
    check_merge_heads,
    check_pair_of_maps,
    check_similarity,
    check_split_heads,
    check_to_torch_mask,
)

__all__ = [
    "check_from_torch",
    "check_heatmap_array",
    "check_merge_heads",
    "check_pair_of_maps",
    "check_similarity",
    "check_split_heads",
    "check_to_torch_mask",
]
