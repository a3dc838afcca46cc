from attention_surgeon.course import check_exercise
from language import next_token_loss


def test_task_3b_loss():
    check_exercise("project04.two_models", next_token_loss)
