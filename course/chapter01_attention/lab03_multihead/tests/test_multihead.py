import sys
from pathlib import Path

from attention_surgeon.course.exercises import check_merge_heads, check_split_heads
from attention_surgeon.testing import check_attention

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from multihead import MultiHeadAttention, merge_heads, split_heads


def test_split_heads():
    check_split_heads(split_heads)


def test_merge_heads():
    check_merge_heads(merge_heads)


def test_multi_head_attention():
    check_attention(MultiHeadAttention, "multihead")
