from attention_surgeon.course.exercises import (
    check_output,
    check_projections,
    check_scores,
    check_shapes,
    check_weights,
)
from steps import attention_output, attention_scores, attention_shapes, attention_weights, project


def test_project():
    check_projections(project)


def test_attention_scores():
    check_scores(attention_scores)


def test_attention_weights():
    check_weights(attention_weights)


def test_attention_output():
    check_output(attention_output)


def test_attention_shapes():
    check_shapes(attention_shapes)
