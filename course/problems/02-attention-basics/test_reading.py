from attention_surgeon.course import check_exercise
from reading import strongest_pair


def test_strongest_pair():
    check_exercise("basics.reading", strongest_pair)
