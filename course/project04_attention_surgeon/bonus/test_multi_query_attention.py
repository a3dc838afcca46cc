from attention_surgeon.course import check_exercise
from multi_query_attention import MultiQueryAttention


def test_bonus_4_multi_query():
    check_exercise("project04.bonus_multi_query", MultiQueryAttention)
