from attention_surgeon.course.exercises import check_head_grid, check_heatmap
from plots import plot_attention_heatmap, plot_multihead_attention


def test_task_2a_heatmap():
    check_heatmap(plot_attention_heatmap)


def test_task_2b_grid():
    check_head_grid(plot_multihead_attention)
