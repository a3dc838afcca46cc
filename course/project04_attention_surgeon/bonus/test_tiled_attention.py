from attention_surgeon.course import check_exercise
from tiled_attention import tiled_attention


def test_bonus_1_tiled():
    check_exercise("project04.bonus_tiled", tiled_attention)
