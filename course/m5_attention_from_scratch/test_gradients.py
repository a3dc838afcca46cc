from attention_surgeon.course.exercises import check_gradients
from gradients import gradients


def test_gradients():
    check_gradients(gradients)
