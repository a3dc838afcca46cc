from analysis import analyze_attention_patterns
from attention_surgeon.course import check_exercise


def test_task_2c_statistics():
    check_exercise("project04.statistics", analyze_attention_patterns)
