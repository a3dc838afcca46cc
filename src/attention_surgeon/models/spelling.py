"""Vectors for the words of any text, without training: what a word is spelt like, and where it stands.

A vector has four bands of equal width, each of length 1:

    spelling      every letter, pair and triple of letters            "cat", "sat", "mat" are alike
    endings       the last one, two and three letters                 "walking", "singing" are alike
    neighbours    fast sines and cosines of the position              alike within a few words
    region        slow sines and cosines of the position              alike within the same part of the text

Each group of letters becomes a fixed vector of +1 and -1 drawn by a hash; a word is the sum of its groups. Words that
share groups point the same way, all others are nearly at right angles ("random indexing", Kanerva et al. 2000;
letter groups as in Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information").
The positions are those of Vaswani et al. 2017, section 3.5, with wavelengths from 6 to 63 tokens.
"""

import hashlib
import math
import unicodedata
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.require import require_count

BANDS = ("spelling", "endings", "neighbours", "region")
_FASTEST, _SLOWEST = 1.0, 0.1
"""Angles per token of the first and the last pair of sine and cosine."""


def embed_tokens(tokens: Sequence[str], size: int = 64, seed: int = 0) -> Float[Tensor, "n {size}"]:
    """Return one vector for each token: tokens spelt alike, or near each other, get similar vectors.

    Upper and lower case count as the same, accents as marks of their own. Nothing here was trained, so it knows
    nothing of what a word means.

    Args:
        tokens: Any strings, as `tokenize` makes them.
        size: Width of a vector, a multiple of 8; the four bands get a quarter each.
        seed: Which draw of the hash is used. The same seed gives the same vectors on every machine.

    Returns:
        float32 `(n, size)`; each band of each row has length 1 (0 for the letters of an empty token).

    Raises:
        ArgumentTypeError, OptionError: tokens that are no strings, a size that is no multiple of 8, no seed.

    >>> the, cat, sat = embed_tokens(["The", "cat", "sat"])[:, :16]      # the spelling band
    >>> bool(cat @ sat > 0.3 > abs(the @ sat))
    True
    """
    check_tokens(tokens, "embed_tokens")
    check_size(size, "embed_tokens")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ArgumentTypeError(f"embed_tokens: seed is {seed!r}, expected a whole number.")
    width = size // len(BANDS)
    spelling = _sum_of_groups(tokens, _letter_groups, width, f"{seed} spelling")
    endings = _sum_of_groups(tokens, _endings, width, f"{seed} endings")
    return torch.cat([spelling, endings, _positions(len(tokens), 2 * width)], dim=-1).float()


def check_tokens(tokens: Sequence[str], caller: str) -> None:
    """Refuse what is no list of strings.

    Raises:
        ArgumentTypeError: with the way to cut a text.
    """
    is_list = isinstance(tokens, Sequence) and not isinstance(tokens, str)
    if not is_list or not all(isinstance(token, str) for token in tokens):
        raise ArgumentTypeError(
            f"{caller}: tokens is {tokens!r:.60}, expected a list of strings; cut a text with tokenize(text)."
        )


def check_size(size: int, caller: str) -> None:
    """Refuse a width that four bands of sine-cosine pairs cannot fill.

    Raises:
        ArgumentTypeError, OptionError: no count; no multiple of 8.
    """
    require_count(size, "size", caller)
    if size % (2 * len(BANDS)):
        raise OptionError(
            f"{caller}: size is {size}, expected a multiple of {2 * len(BANDS)}: a quarter each for "
            f"{', '.join(BANDS)}, the last two in pairs of sine and cosine."
        )


def _letter_groups(token: str) -> list[str]:
    """Return each letter, and each pair and triple of letters in `<token>`."""
    letters = _letters(token)
    marked = f"<{letters}>"
    return [*letters, *(marked[start : start + n] for n in (2, 3) for start in range(len(marked) - n + 1))]


def _endings(token: str) -> list[str]:
    """Return the last one, two and three letters, each with the end of the word; the word itself if it is short."""
    marked = f"{_letters(token)}>"
    longest = min(len(marked), 4)
    return [marked[-n:] for n in range(2, longest + 1)] + ([f"<{marked}"] if len(marked) < 4 else [])


def _letters(token: str) -> str:
    return unicodedata.normalize("NFKD", token.casefold())


def _sum_of_groups(tokens: Sequence[str], groups: Callable[[str], list[str]], width: int, salt: str) -> Tensor:
    """Return `(n, width)`, each row the sum of the vectors of a token's groups, made 1 long."""
    numbers: dict[str, int] = {}
    owners, members = [], []
    for owner, token in enumerate(tokens):
        for group in groups(token):
            owners.append(owner)
            members.append(numbers.setdefault(group, len(numbers)))
    vectors = torch.stack([_signs(group, width, salt) for group in numbers] or [torch.zeros(width)]).double()
    total = torch.zeros(len(tokens), width, dtype=torch.float64)
    total.index_add_(0, torch.tensor(owners, dtype=torch.long), vectors[torch.tensor(members, dtype=torch.long)])
    return total / total.norm(dim=-1, keepdim=True).clamp(min=1.0)


def _signs(group: str, width: int, salt: str) -> Tensor:
    """Return `width` numbers +1 or -1 that depend on nothing but the arguments (unlike Python's `hash`)."""
    drawn = hashlib.shake_256(f"{salt} {group}".encode("utf-8", "surrogatepass")).digest(math.ceil(width / 8))
    bits = [(byte >> bit) & 1 for byte in drawn for bit in range(8)]
    return torch.tensor(bits[:width]) * 2 - 1


def _positions(count: int, size: int) -> Tensor:
    """Return `(count, size)`: sine and cosine of ever slower angles, each half of them 1 long."""
    pairs = size // 2
    speed = _FASTEST * (_SLOWEST / _FASTEST) ** (torch.arange(pairs, dtype=torch.float64) / max(pairs - 1, 1))
    angles = torch.arange(count, dtype=torch.float64)[:, None] * speed
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)  # (n, pairs, 2) -> (n, size)
    return waves / math.sqrt(pairs / 2)
