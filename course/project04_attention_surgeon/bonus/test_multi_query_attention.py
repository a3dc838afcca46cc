from attention_surgeon.testing import check_attention
from multi_query_attention import MultiQueryAttention


def test_bonus_4_multi_query():
    check_attention(MultiQueryAttention, "multiquery")
