from attention_surgeon.course.exercises import check_sample_map, check_scaling_plot
from visualize import draw_sample, plot_scaling


def test_draw_sample():
    check_sample_map(draw_sample)


def test_plot_scaling():
    check_scaling_plot(plot_scaling)
