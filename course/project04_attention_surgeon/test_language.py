from attention_surgeon.course.exercises import check_next_token_loss
from language import next_token_loss


def test_task_3b_loss():
    check_next_token_loss(next_token_loss)
