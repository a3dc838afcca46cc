from attention_dropout import attention_dropout
from attention_surgeon.course import check_exercise


def test_bonus_5_dropout():
    check_exercise("project04.bonus_dropout", attention_dropout)
