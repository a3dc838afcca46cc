import sys
from pathlib import Path

from attention_surgeon.course import check_exercise

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from multihead import MultiHeadAttention, merge_heads, split_heads


def test_split_heads():
    check_exercise("chapter01.split_heads", split_heads)


def test_merge_heads():
    check_exercise("chapter01.merge_heads", merge_heads)


def test_multi_head_attention():
    check_exercise("chapter01.multihead", MultiHeadAttention)
