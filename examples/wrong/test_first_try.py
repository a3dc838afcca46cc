"""A test of somebody's attention, in one line."""

from first_try import attention

from attention_surgeon.testing import check_attention


def test_attention():
    """Passes when `attention` is right in every call that is drawn."""
    check_attention(attention)
