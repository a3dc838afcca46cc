from ablations import compare_masking, experiment_scaling_factor
from attention_surgeon.course import check_exercise


def test_task_3a_scaling():
    check_exercise("project04.scaling", experiment_scaling_factor)


def test_task_3c_masking():
    check_exercise("project04.masking", compare_masking)
