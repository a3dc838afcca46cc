from attention_surgeon.testing import check_attention
from core_attention import attention


def test_task_1_attention():
    check_attention(attention, "attention")
