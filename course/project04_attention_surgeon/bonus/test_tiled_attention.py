from attention_surgeon.course.exercises import check_tiled
from tiled_attention import tiled_attention


def test_bonus_1_tiled():
    check_tiled(tiled_attention)
