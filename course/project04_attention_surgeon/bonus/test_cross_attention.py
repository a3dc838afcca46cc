from attention_surgeon.testing import check_attention
from cross_attention import CrossAttention


def test_bonus_3_cross():
    check_attention(CrossAttention, "cross")
