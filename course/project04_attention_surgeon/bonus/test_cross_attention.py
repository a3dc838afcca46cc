from attention_surgeon.course import check_exercise
from cross_attention import CrossAttention


def test_bonus_3_cross():
    check_exercise("project04.bonus_cross", CrossAttention)
