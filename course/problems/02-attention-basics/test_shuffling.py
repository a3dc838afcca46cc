from attention_surgeon.course.exercises import check_shuffling_gap
from shuffling import shuffling_gap


def test_shuffling_gap():
    check_shuffling_gap(shuffling_gap)
