"""A text to learn from: cut into a part for training and one that the model never sees."""

import hashlib
import math
from dataclasses import dataclass
from importlib.resources import files as package_files
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from attention_surgeon.errors import FileFormatError, OptionError
from attention_surgeon.models.characters import CharacterTokenizer

_STEPS = 2**31  # steps that a seed has numbers for
_GAP = "\n\n"  # between two paragraphs


@final
@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as tokens, in two parts that do not overlap.

    Attributes:
        tokenizer: Knows every character of both parts.
        train: int64 `(n,)`, to learn from.
        held_out: int64 `(m,)`, to be tested on.

    >>> corpus = Corpus.from_text("the cat sat on the mat " * 20, held_out_share=0.25)
    >>> corpus.train.shape, corpus.held_out.shape
    (torch.Size([345]), torch.Size([115]))
    >>> corpus.tokenizer.decode(corpus.batch(step=0, batch_size=2, length=8)[0])
    't sat on '
    """

    tokenizer: CharacterTokenizer
    train: Int[Tensor, " n"]
    held_out: Int[Tensor, " m"]

    @classmethod
    def from_text(cls, text: str, held_out_share: float = 0.1) -> "Corpus":
        """Return the corpus of a text, of which about `held_out_share` is held out: every tenth paragraph or so.

        A text of few or very uneven paragraphs is cut once, near its end.

        Raises:
            ArgumentTypeError, OptionError: no text, an empty one, a share outside (0, 0.5].
        """
        if not 0 < held_out_share <= 0.5:
            raise OptionError(f"Corpus: held_out_share is {held_out_share}, expected a number above 0, up to 0.5.")
        tokenizer = CharacterTokenizer.from_text(text)
        train, held_out = _cut(text, held_out_share)
        return cls(tokenizer, tokenizer.encode(train), tokenizer.encode(held_out))

    def require_length(self, length: int, source: str) -> None:
        """Refuse a text in which not even one window of `length` characters and the next can be found.

        Raises:
            FileFormatError: the text is too short; `source` says where it is from.
        """
        shorter = min(len(self.train), len(self.held_out))
        if shorter <= length:
            raise FileFormatError(
                f"{source} is too short: its parts for training and for testing have {len(self.train)} and "
                f"{len(self.held_out)} characters, and each needs more than the context of {length}; "
                f"give a longer text."
            )

    def fingerprint(self) -> str:
        """Return 16 hex digits that are the same for the same text, cut alike."""
        parts = (part.numpy().tobytes() for part in (self.train, self.held_out))
        return hashlib.sha256(b"|".join([self.tokenizer.characters.encode(), *parts])).hexdigest()[:16]

    def batch(
        self, *, step: int, batch_size: int, length: int, seed: int = 0
    ) -> Int[Tensor, "{batch_size} {length}+1"]:
        """Return windows drawn at random from `train`, each `length` tokens and the one that follows.

        The draw depends on `seed` and `step` alone, so that a training that was stopped goes on with the same windows.
        """
        drawn = torch.Generator().manual_seed((seed * _STEPS + step) % 2**63)
        starts = torch.randint(len(self.train) - length, (batch_size,), generator=drawn)
        return self.train[starts[:, None] + torch.arange(length + 1)]  # (b, 1) + (n,) -> (b, n)

    def held_out_windows(self, length: int, most: int | None = None) -> Int[Tensor, "windows {length}+1"]:
        """Return windows of `held_out`, one behind the other, up to `most` spread over all of it.

        Each begins with the last token of the one before, so that every token but the first is predicted once.
        """
        windows = self.held_out.unfold(0, length + 1, length)
        if most is not None and len(windows) > most:
            windows = windows[torch.linspace(0, len(windows) - 1, most).long()]
        return windows


def shipped_corpus() -> str:
    """Return the text that ships for training: a year in a harbour town, some six thousand words of plain English.

    >>> len(shipped_corpus().split()) > 4000
    True
    """
    return (package_files("attention_surgeon.models") / "texts" / "harbour_year.txt").read_text(encoding="utf-8")


def _cut(text: str, held_out_share: float) -> tuple[str, str]:
    every = round(1 / held_out_share)
    paragraphs = text.split(_GAP)
    held_out = _GAP.join(paragraphs[every - 1 :: every])
    if not held_out_share / 2 <= len(held_out) / len(text) <= held_out_share * 2:
        place = len(text) - math.floor(len(text) * held_out_share)
        return text[:place], text[place:]
    return _GAP.join(paragraph for n, paragraph in enumerate(paragraphs) if n % every != every - 1), held_out
