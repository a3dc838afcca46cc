from attention_surgeon.testing import check_attention
from analysis import analyze_attention_patterns


def test_task_2c_statistics():
    check_attention(analyze_attention_patterns, "statistics")
