from attention_surgeon.course.exercises import check_strongest_pair
from reading import strongest_pair


def test_strongest_pair():
    check_strongest_pair(strongest_pair)
