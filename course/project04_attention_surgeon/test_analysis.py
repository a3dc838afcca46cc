from analysis import analyze_attention_patterns
from attention_surgeon.testing import check_attention


def test_task_2c_statistics():
    check_attention(analyze_attention_patterns, "statistics")
