import sys
from pathlib import Path

from attention_surgeon.course.exercises import check_heatmap_array, check_pair_of_maps

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from visualization import plot_scale_comparison, plot_weights


def test_plot_weights():
    check_heatmap_array(plot_weights)


def test_plot_scale_comparison():
    check_pair_of_maps(plot_scale_comparison)
