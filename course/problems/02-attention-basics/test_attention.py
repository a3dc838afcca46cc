from attention_surgeon.course import check_exercise
from problem import SimpleAttention


def test_attention():
    """Calls of many sizes, compared with attention computed in 64 bits; if it fails, the report names the mistake."""
    check_exercise("basics.attention", SimpleAttention)
