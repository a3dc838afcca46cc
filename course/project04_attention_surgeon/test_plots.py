from attention_surgeon.course import check_exercise
from plots import plot_attention_heatmap, plot_multihead_attention


def test_task_2a_heatmap():
    check_exercise("project04.heatmap", plot_attention_heatmap)


def test_task_2b_grid():
    check_exercise("project04.grid", plot_multihead_attention)
