import sys
from pathlib import Path

from attention_surgeon.course import check_exercise

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from visualization import (
    compare_attention_patterns,
    compute_attention_entropy,
    compute_attention_sparsity,
    find_top_k_attended,
    plot_scale_comparison,
    plot_weights,
)


def test_plot_weights():
    check_exercise("chapter01.heatmap", plot_weights)


def test_plot_scale_comparison():
    check_exercise("chapter01.comparison", plot_scale_comparison)


def test_compute_attention_entropy():
    check_exercise("chapter01.entropy", compute_attention_entropy)


def test_find_top_k_attended():
    check_exercise("chapter01.top_keys", find_top_k_attended)


def test_compute_attention_sparsity():
    check_exercise("chapter01.sparsity", compute_attention_sparsity)


def test_compare_attention_patterns():
    check_exercise("chapter01.compare", compare_attention_patterns)
