from ablations import compare_masking, experiment_scaling_factor
from attention_surgeon.course.exercises import check_masking_comparison, check_scaling_experiment


def test_task_3a_scaling():
    check_scaling_experiment(experiment_scaling_factor)


def test_task_3c_masking():
    check_masking_comparison(compare_masking)
