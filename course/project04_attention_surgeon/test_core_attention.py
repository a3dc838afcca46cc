from attention_surgeon.course import check_exercise
from core_attention import attention


def test_task_1_attention():
    check_exercise("project04.attention", attention)
