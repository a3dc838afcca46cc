from attention_dropout import attention_dropout
from attention_surgeon.course.exercises import check_attention_dropout


def test_bonus_5_dropout():
    check_attention_dropout(attention_dropout)
