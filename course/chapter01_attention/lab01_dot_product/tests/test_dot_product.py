import sys
from pathlib import Path

from attention_surgeon.course.exercises import check_similarity
from attention_surgeon.testing import check_attention

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from attention import attention, similarity, softmax


def test_similarity():
    check_similarity(similarity)


def test_softmax():
    check_attention(softmax, "softmax", takes="matrices")


def test_attention():
    check_attention(attention, "attention")
