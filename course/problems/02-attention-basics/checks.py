"""What the exercises of this unit ask beyond the contracts."""

from attention_surgeon.testing.exercises import check_shuffling_gap, check_strongest_pair

__all__ = ["check_shuffling_gap", "check_strongest_pair"]
