from attention_surgeon.course import check_exercise
from positions import rotate


def test_rotate():
    check_exercise("modern.rotary", rotate)
