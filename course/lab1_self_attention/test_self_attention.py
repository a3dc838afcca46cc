from attention_surgeon.course import check_exercise
from self_attention import (
    CrossAttention,
    MultiHeadAttention,
    SelfAttention,
    create_causal_mask,
    create_padding_mask,
    head_distances,
    plot_heads,
)


def test_exercise_1_self_attention():
    check_exercise("lab1.self_attention", SelfAttention)


def test_exercise_2_multi_head_attention():
    check_exercise("lab1.multihead", MultiHeadAttention)


def test_exercise_3_causal_mask():
    check_exercise("lab1.causal_mask", create_causal_mask)


def test_exercise_3_padding_mask():
    check_exercise("lab1.padding_mask", create_padding_mask)


def test_cross_attention():
    check_exercise("lab1.cross", CrossAttention)


def test_exercise_4_plot_heads():
    check_exercise("lab1.plot_heads", plot_heads)


def test_exercise_4_head_distances():
    check_exercise("lab1.head_distances", head_distances)
