"""What the exercises of this unit ask beyond the contracts; WRONG and RIGHT are for those who test the course."""

from attention_surgeon.course.exercises import check_shuffling_gap, check_strongest_pair
from attention_surgeon.course.exercises.examples import right_examples, wrong_examples

__all__ = ["RIGHT", "WRONG", "check_shuffling_gap", "check_strongest_pair"]

WRONG = wrong_examples("check_strongest_pair", "check_shuffling_gap")
RIGHT = right_examples("check_strongest_pair", "check_shuffling_gap")
