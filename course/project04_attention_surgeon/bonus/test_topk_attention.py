from attention_surgeon.course.exercises import check_topk
from topk_attention import topk_attention


def test_bonus_2_topk():
    check_topk(topk_attention)
