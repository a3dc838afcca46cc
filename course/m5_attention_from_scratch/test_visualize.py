from attention_surgeon.course import check_exercise
from visualize import draw_sample, plot_scaling


def test_draw_sample():
    check_exercise("m5.heatmap", draw_sample)


def test_plot_scaling():
    check_exercise("m5.scaling_plot", plot_scaling)
