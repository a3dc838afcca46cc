import sys
from pathlib import Path

from attention_surgeon.course import check_exercise

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from comparison import MultiHeadAttention, from_torch, to_torch_mask


def test_to_torch_mask():
    check_exercise("chapter01.torch_mask", to_torch_mask)


def test_multi_head_attention():
    check_exercise("chapter01.torch_layer", MultiHeadAttention)


def test_the_milestone():
    check_exercise("chapter01.milestone", from_torch)
