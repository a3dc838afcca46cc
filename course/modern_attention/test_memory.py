from attention_surgeon.course import check_exercise
from memory import attend_next, repeat_heads


def test_repeat_heads():
    check_exercise("modern.grouped", repeat_heads)


def test_attend_next():
    check_exercise("modern.cache", attend_next)
