"""A text as numbers: every distinct character is a token, so nothing needs to be downloaded or learned."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, FileFormatError, OptionError
from attention_surgeon.files import read_text, write_file
from attention_surgeon.require import kind_of

_FORMAT, _VERSION = "attention_surgeon_characters", 1


@final
@dataclass(frozen=True)
class CharacterTokenizer:
    """Characters and their numbers.

    Attributes:
        characters: The distinct characters in the order of their numbers.

    >>> tokenizer = CharacterTokenizer.from_text("the cat")
    >>> tokenizer.characters, tokenizer.encode("hat")
    (' aceht', tensor([4, 1, 5]))
    >>> tokenizer.decode(tokenizer.encode("hat"))
    'hat'
    """

    characters: str

    def __post_init__(self) -> None:
        """Refuse characters of which none, or one twice, has a number."""
        if not isinstance(self.characters, str):
            given = kind_of(self.characters)
            raise ArgumentTypeError(f"CharacterTokenizer: characters is {given}, expected a string.")
        if not self.characters or len(set(self.characters)) != len(self.characters):
            raise OptionError(
                f"CharacterTokenizer: characters is {self.characters!r:.60}, expected at least one character and "
                f"none twice; CharacterTokenizer.from_text(text) finds those of a text."
            )

    @classmethod
    def from_text(cls, text: str) -> "CharacterTokenizer":
        """Return the tokenizer that knows exactly the characters of `text`, sorted.

        Raises:
            ArgumentTypeError, OptionError: no string, an empty one.
        """
        if not isinstance(text, str):
            raise ArgumentTypeError(f"CharacterTokenizer.from_text: text is {kind_of(text)}, expected a string.")
        if not text:
            raise OptionError("CharacterTokenizer.from_text: text is empty, expected at least one character.")
        return cls("".join(sorted(set(text))))

    @property
    def size(self) -> int:
        """How many characters there are."""
        return len(self.characters)

    def encode(self, text: str) -> Int[Tensor, " n"]:
        """Return the number of each character, int64 `(n,)`.

        Raises:
            OptionError: a character that this tokenizer does not know.
        """
        numbers = {character: number for number, character in enumerate(self.characters)}
        unknown = sorted(set(text) - set(numbers))
        if unknown:
            raise OptionError(
                f"CharacterTokenizer: the text holds {''.join(unknown)!r:.40}, which is not among the "
                f"{self.size} characters it was made from: {self.characters!r:.80}."
            )
        return torch.tensor([numbers[character] for character in text], dtype=torch.long)

    def decode(self, tokens: Int[Tensor, " n"]) -> str:
        """Return the text of the numbers, which must lie in 0 … size - 1."""
        return "".join(self.characters[number] for number in tokens.tolist())

    def save(self, path: str | Path) -> None:
        """Write the characters to `path` as JSON, whole or not at all.

        Raises:
            FileAccessError: the file cannot be written.
        """
        described = {"format": _FORMAT, "version": _VERSION, "characters": self.characters}
        write_file(path, json.dumps(described) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "CharacterTokenizer":
        """Return the tokenizer that `save` wrote.

        Raises:
            FileAccessError: the file cannot be read.
            FileFormatError: it is something else, damaged, or of a newer version.
        """
        try:
            described = json.loads(read_text(path))
        except json.JSONDecodeError as error:
            raise FileFormatError(f"{path} is no tokenizer: it is not JSON ({error}).") from None
        if not isinstance(described, dict) or described.get("format") != _FORMAT:
            raise FileFormatError(f"{path} is no tokenizer: its format is not {_FORMAT}.")
        if described.get("version") != _VERSION:
            raise FileFormatError(
                f"{path} is a tokenizer of version {described.get('version')!r}; this package reads "
                f"{_VERSION}: update it."
            )
        return cls(described.get("characters", ""))
