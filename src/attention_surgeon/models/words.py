"""From a text to its words and punctuation marks, in any script, without a vocabulary."""

import unicodedata
from typing import Literal, TypeAlias

from attention_surgeon.errors import ArgumentTypeError
from attention_surgeon.require import kind_of

_Kind: TypeAlias = Literal["space", "word", "ideograph", "mark", "symbol"]

_JOINER = "\u200d"
_APOSTROPHES = "'\u2019"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_IDEOGRAPHS = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x32000))


def tokenize(text: str) -> list[str]:
    """Cut a text into words, single punctuation marks and single symbols.

    Letters, digits and the marks on them make a word, and so does an apostrophe between letters. Chinese characters
    stand alone, because no space says where a word ends. An emoji keeps its skin tone and what is joined to it.
    White space and control characters separate and are dropped; nothing else is.

    Args:
        text: Any text.

    Returns:
        The tokens in order; an empty list if the text holds none.

    Raises:
        ArgumentTypeError: `text` is no string.

    >>> tokenize("Don't panic: it's 42.")
    ["Don't", 'panic', ':', "it's", '42', '.']
    """
    if not isinstance(text, str):
        raise ArgumentTypeError(f"tokenize: text is {kind_of(text)}, expected a string.")
    tokens: list[str] = []
    before: _Kind = "space"
    for position, character in enumerate(text):
        kind = _kind(character)
        if _is_inner_apostrophe(text, position):
            kind = "word"
        if kind != "space":
            if tokens and _continues(tokens[-1], before, character, kind):
                tokens[-1] += character
                kind = before if kind == "mark" else kind
            else:
                tokens.append(character)
        before = kind
    return tokens


def _continues(token: str, before: _Kind, character: str, kind: _Kind) -> bool:
    """Say whether a character belongs to the token that the character before it ended."""
    if before == "space":
        return False
    if kind == "mark" or token.endswith(_JOINER):
        return True
    if ord(character) in _FLAG_LETTERS:  # two of them make a flag
        return len(token) == 1 and ord(token) in _FLAG_LETTERS
    return before == kind == "word"


def _kind(character: str) -> _Kind:
    category = unicodedata.category(character)
    if character == _JOINER or category[0] == "M" or ord(character) in _SKIN_TONES:
        return "mark"
    if category[0] in "LN" or category == "Pc":
        return "ideograph" if any(ord(character) in block for block in _IDEOGRAPHS) else "word"
    return "space" if category[0] in "ZC" and category != "Cs" else "symbol"


def _is_inner_apostrophe(text: str, position: int) -> bool:
    if text[position] not in _APOSTROPHES or not 0 < position < len(text) - 1:
        return False
    return text[position - 1].isalpha() and text[position + 1].isalpha()
