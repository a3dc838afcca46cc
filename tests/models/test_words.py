import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_surgeon.models import tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The cat sat on the mat", ["The", "cat", "sat", "on", "the", "mat"]),
        ("", []),
        (" \t\n\u00a0\u2028\u200b\x00\x1b", []),
        ("end.", ["end", "."]),
        ("3.5% (or so)", ["3", ".", "5", "%", "(", "or", "so", ")"]),
        ("don't 'quote' rock'n'roll dogs'", ["don't", "'", "quote", "'", "rock'n'roll", "dogs", "'"]),
        ("it\u2019s", ["it\u2019s"]),
        ("well-known snake_case", ["well", "-", "known", "snake_case"]),
        ("nai\u0308ve e\u0301", ["nai\u0308ve", "e\u0301"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("猫が座った。", ["猫", "が", "座", "った", "。"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("👩\u200d🔬👍🏽❤\ufe0f1\ufe0f\u20e3", ["👩\u200d🔬", "👍🏽", "❤\ufe0f", "1\ufe0f\u20e3"]),
        ("🇩🇪🇫🇷 🇩", ["🇩🇪", "🇫🇷", "🇩"]),
        ("a👍b", ["a", "👍", "b"]),
        ("\u0301a", ["\u0301", "a"]),
        ("x \u0301", ["x", "\u0301"]),
        ("\udcff", ["\udcff"]),
        ("...", [".", ".", "."]),
    ],
)
def test_tokens(text: str, tokens: list[str]):
    assert tokenize(text) == tokens


@given(st.text(st.characters(exclude_categories=["Zs", "Zl", "Zp", "Cc", "Cf", "Cn", "Co"])))
def test_nothing_that_can_be_seen_is_lost(text: str):
    assert "".join(tokenize(text)) == text


@given(st.text())
def test_no_token_is_empty_or_blank(text: str):
    assert all(token.strip() for token in tokenize(text))
