from attention_surgeon.course.exercises import check_head_distances, check_head_grid_alone
from attention_surgeon.testing import check_attention
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
    check_attention(SelfAttention, "self")


def test_exercise_2_multi_head_attention():
    check_attention(MultiHeadAttention, "multihead")


def test_exercise_3_causal_mask():
    check_attention(create_causal_mask, "causal_mask", mask="keep")


def test_exercise_3_padding_mask():
    check_attention(create_padding_mask, "padding_mask", mask="keep", source="tokens")


def test_cross_attention():
    check_attention(CrossAttention, "cross")


def test_exercise_4_plot_heads():
    check_head_grid_alone(plot_heads)


def test_exercise_4_head_distances():
    check_head_distances(head_distances)
