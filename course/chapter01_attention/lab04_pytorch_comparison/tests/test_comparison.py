import sys
from pathlib import Path

from attention_surgeon.course.exercises import check_from_torch, check_to_torch_mask
from attention_surgeon.testing import check_attention

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from comparison import MultiHeadAttention, from_torch, to_torch_mask


def test_to_torch_mask():
    check_to_torch_mask(to_torch_mask)


def test_multi_head_attention():
    check_attention(MultiHeadAttention, "multihead")


def test_the_milestone():
    check_from_torch(from_torch)
