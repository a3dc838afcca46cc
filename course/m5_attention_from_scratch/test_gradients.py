from attention_surgeon.course import check_exercise
from gradients import gradients


def test_gradients():
    check_exercise("m5.gradients", gradients)
