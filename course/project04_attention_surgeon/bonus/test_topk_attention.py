from attention_surgeon.course import check_exercise
from topk_attention import topk_attention


def test_bonus_2_topk():
    check_exercise("project04.bonus_topk", topk_attention)
