"""What the exercises of this unit ask beyond the contracts; WRONG and RIGHT are for those who test the course."""

from attention_surgeon.course.exercises import check_shuffling_gap, check_strongest_pair, promises_of
from attention_surgeon.course.exercises.examples import right_examples, wrong_examples

__all__ = ["PROMISES", "RIGHT", "WRONG", "check_shuffling_gap", "check_strongest_pair"]

PROMISES = promises_of("basics")

WRONG = wrong_examples("check_strongest_pair", "check_shuffling_gap")
RIGHT = right_examples("check_strongest_pair", "check_shuffling_gap")
