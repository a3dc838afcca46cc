"""What the exercises of the course ask beyond the contracts: one `check_...` for each, every failure explained."""

from attention_surgeon.testing.exercises.basics import check_shuffling_gap, check_strongest_pair
from attention_surgeon.testing.exercises.explained import ExplainedError
from attention_surgeon.testing.exercises.function_check import FunctionCheck, Mistake
from attention_surgeon.testing.exercises.maps import (
    check_head_grid,
    check_head_grid_alone,
    check_heatmap,
    check_heatmap_array,
    check_pair_of_maps,
)

__all__ = [
    "ExplainedError",
    "FunctionCheck",
    "Mistake",
    "check_head_grid",
    "check_head_grid_alone",
    "check_heatmap",
    "check_heatmap_array",
    "check_pair_of_maps",
    "check_shuffling_gap",
    "check_strongest_pair",
]
