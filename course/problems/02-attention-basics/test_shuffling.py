from attention_surgeon.course import check_exercise
from shuffling import shuffling_gap


def test_shuffling_gap():
    check_exercise("basics.shuffling", shuffling_gap)
