from attention_surgeon.testing import check_attention
from problem import SimpleAttention


def test_attention():
    """Calls of many sizes, compared with attention computed in 64 bits; if it fails, the report names the mistake."""
    check_attention(SimpleAttention, "simple")
