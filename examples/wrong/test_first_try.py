"""A test of somebody's attention, in one line."""

from first_try import attention

from attention_surgeon.testing import check_attention


def test_attention():
    check_attention(attention)
