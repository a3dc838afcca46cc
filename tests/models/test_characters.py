from pathlib import Path

import pytest

from attention_surgeon.errors import FileAccessError, FileFormatError
from attention_surgeon.models import CharacterTokenizer


def test_a_text_comes_back_as_it_was():
    text = "naïve 猫\tline\nend 👩‍🔬"
    tokenizer = CharacterTokenizer.from_text(text)
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert sorted(set(tokens.tolist())) == list(range(tokenizer.size))


def test_what_is_saved_is_loaded(tmp_path: Path):
    tokenizer = CharacterTokenizer.from_text('cab \U0001f431é\\"')
    tokenizer.save(tmp_path / "characters.json")
    assert CharacterTokenizer.load(tmp_path / "characters.json") == tokenizer


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no tokenizer: it is not JSON"),
        ("[1]", "is no tokenizer: its format is not attention_surgeon_characters"),
        ('{"format": "attention_surgeon_characters", "version": 2}', "of version 2; this package reads 1: update it"),
    ],
)
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: str, message: str):
    path = tmp_path / "characters.json"
    path.write_text(content)
    with pytest.raises(FileFormatError, match=message):
        CharacterTokenizer.load(path)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(FileAccessError, match="there is no such file"):
        CharacterTokenizer.load(tmp_path / "none.json")
