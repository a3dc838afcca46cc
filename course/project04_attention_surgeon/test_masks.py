from attention_surgeon.course import check_exercise
from masks import create_causal_mask, create_reverse_mask


def test_task_3b_causal_mask():
    check_exercise("project04.causal_mask", create_causal_mask)


def test_task_3b_reverse_mask():
    check_exercise("project04.reverse_mask", create_reverse_mask)
