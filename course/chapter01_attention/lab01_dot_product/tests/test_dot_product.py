import sys
from pathlib import Path

from attention_surgeon.course import check_exercise

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from attention import attention, similarity, softmax


def test_similarity():
    check_exercise("chapter01.similarity", similarity)


def test_softmax():
    check_exercise("chapter01.softmax", softmax)


def test_attention():
    check_exercise("chapter01.attention", attention)
