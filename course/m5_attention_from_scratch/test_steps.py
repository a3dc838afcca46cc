from attention_surgeon.course import check_exercise
from steps import attention_output, attention_scores, attention_shapes, attention_weights, project


def test_project():
    check_exercise("m5.projections", project)


def test_attention_scores():
    check_exercise("m5.scores", attention_scores)


def test_attention_weights():
    check_exercise("m5.weights", attention_weights)


def test_attention_output():
    check_exercise("m5.output", attention_output)


def test_attention_shapes():
    check_exercise("m5.shapes", attention_shapes)
