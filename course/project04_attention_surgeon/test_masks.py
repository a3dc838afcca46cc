from attention_surgeon.testing import check_attention
from masks import create_causal_mask, create_reverse_mask


def test_task_3b_causal_mask():
    check_attention(create_causal_mask, "causal_mask", mask="additive")


def test_task_3b_reverse_mask():
    check_attention(create_reverse_mask, "reverse_mask", mask="additive")
