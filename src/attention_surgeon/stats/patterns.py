"""The pattern of a head by its name. Each pattern's score is the share of attention that the pattern accounts for.

So every score is from 0 to 1, and one threshold serves all: a pattern that accounts for half of a head's attention
names it. Where several do, the largest names it; a head that none accounts for is `mixed`.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attention_surgeon.ops import MaskLike
from attention_surgeon.stats.blocks import block_overlap
from attention_surgeon.stats.checks import TokensLike, require_weights, resolve_allowed
from attention_surgeon.stats.head_statistics import HeadStatistics, head_statistics

MIXED = "mixed"
"""The name of a head that no pattern accounts for."""

THRESHOLD = 0.5
"""The score from which on a pattern may name a head."""

LEAST_CHOICES = 4
"""A query that sees fewer keys names no head: under a causal mask the first rows are even, and on the first key,
whatever the head does."""

MOST_COLUMNS = 3
"""A vertical pattern has at most so many keys, and at most one in sixteen."""


@final
@dataclass(frozen=True)
class Pattern:
    """A name for what a head does.

    Attributes:
        name: As in code.
        title: In words.
        formula: Its score, in the terms of `definitions.py`.
        meaning: What such a head does, in one sentence.
        source: Where it was described.
    """

    name: str
    title: str
    formula: str
    meaning: str
    source: str


_KOVALEVA = "Kovaleva et al. 2019, arXiv:1908.08593"
_CLARK = "Clark et al. 2019, arXiv:1906.04341"

PATTERNS: tuple[Pattern, ...] = (
    Pattern("diagonal", "Diagonal", "diagonal_mass", "Every token looks at itself.", _KOVALEVA),
    Pattern("previous", "Previous token", "previous_mass", "Every token looks at the one before it.", _CLARK),
    Pattern("next", "Next token", "next_mass", "Every token looks at the one after it.", _CLARK),
    Pattern(
        "sink",
        "Sink",
        "first_mass",
        "Most attention goes to the first key, which says little: it is where attention goes that is not needed.",
        "Xiao et al. 2023, arXiv:2309.17453",
    ),
    Pattern(
        "vertical",
        "Vertical",
        f"what the few keys receive that receive most: at most {MOST_COLUMNS}, at most one in sixteen, at least one",
        "All queries look at the same few keys, such as separators or full stops.",
        _KOVALEVA,
    ),
    Pattern(
        "induction",
        "Induction",
        "induction; 0 if the tokens are not known",
        "A repeated token looks at what came after it the last times.",
        "Olsson et al. 2022, arXiv:2209.11895",
    ),
    Pattern(
        "block",
        "Block",
        "mean of Σ_k min(w_qk, b_qk), where b is even over q's own run of rows that look alike",
        "Neighbours share their attention among themselves, as within a phrase or a document.",
        _KOVALEVA,
    ),
    Pattern(
        "uniform",
        "Uniform",
        "evenness",
        "Every query looks at everything it may see: its row is one broad horizontal line.",
        _CLARK,
    ),
)
"""In this order the first of equal scores names the head; `sink` goes before `vertical`, of which it is a case."""


@final
@dataclass(frozen=True, eq=False)
class HeadPatterns:
    """The pattern of each head.

    Attributes:
        scores: By pattern, each `(*batch, heads)`, from 0 to 1.
        which: `(*batch, heads)`, int64: the place in `PATTERNS` of the pattern that names the head; -1 for `mixed`.
    """

    scores: dict[str, Tensor]
    which: Tensor

    def name(self, *place: int) -> str:
        """Return the name of one head: `name(batch, head)`, with one number for each axis before the last two."""
        which = int(self.which[place])
        return MIXED if which < 0 else PATTERNS[which].name

    def score(self, *place: int) -> float:
        """Return the score of the pattern that names a head; of a mixed one, the largest."""
        name = self.name(*place)
        if name == MIXED:
            return max(float(score[place]) for score in self.scores.values())
        return float(self.scores[name][place])


def name_patterns(
    weights: Float[Tensor, "*batch q k"],
    allowed: MaskLike | None = None,
    *,
    tokens: TokensLike | None = None,
    repeat_offset: int | None = None,
) -> HeadPatterns:
    """Return the pattern of each head by its name, with the scores of all.

    Args:
        weights: `(*batch, heads, n_q, n_k)`, rows that sum to 1 (or are all 0), floating.
        allowed: Who may attend, as in `head_statistics`. Without it even weights under a causal mask do not look even.
            Rows with fewer than four keys to choose from do not count, where there are others.
        tokens: The tokens of the keys, without which no head is called `induction`; as in `head_statistics`.
        repeat_offset: Instead of `tokens`: after how many positions everything comes again.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, MaskError, NonFiniteError, OptionError: as
            `head_statistics`.

    >>> import torch
    >>> found = name_patterns(torch.stack([torch.eye(5), torch.full((5, 5), 0.2)]))
    >>> found.name(0), found.score(0), found.name(1)
    ('diagonal', 1.0, 'uniform')
    """
    require_weights(weights, "name_patterns")
    visible = resolve_allowed(allowed, weights, "name_patterns")
    if visible is not None:
        visible = visible & telling_rows(visible)[..., None]
    statistics = head_statistics(weights, visible, tokens=tokens, repeat_offset=repeat_offset)
    return patterns_from(statistics, block_overlap(weights, visible))


def telling_rows(visible: Bool[Tensor, "*batch q k"]) -> Bool[Tensor, "*batch q"]:
    """Return which rows say something about a head: those with at least four keys to choose from.

    Where a head has no such row, all of them count.

    >>> import torch
    >>> telling_rows(torch.ones(5, 5, dtype=torch.bool).tril())
    tensor([False, False, False,  True,  True])
    """
    telling = visible.sum(-1) >= LEAST_CHOICES
    return telling | ~telling.any(-1, keepdim=True)


def patterns_from(statistics: HeadStatistics, block: Tensor | None = None) -> HeadPatterns:
    """Return the patterns that statistics tell.

    Args:
        statistics: As `head_statistics` makes them.
        block: `(*batch, heads)`, the score of the block pattern, which needs the weights themselves; None: 0, and no
            head is called `block`.
    """
    nothing = torch.zeros_like(statistics.evenness)
    scores = {
        "diagonal": statistics.diagonal_mass,
        "previous": statistics.previous_mass,
        "next": statistics.next_mass,
        "sink": statistics.first_mass,
        "vertical": _most_received(statistics.received),
        "induction": nothing if statistics.induction is None else statistics.induction,
        "block": nothing if block is None else block.to(nothing.dtype),
        "uniform": statistics.evenness,
    }
    scores = {pattern.name: scores[pattern.name].nan_to_num(0.0) for pattern in PATTERNS}
    return HeadPatterns(scores, _largest(scores))


def _most_received(received: Tensor) -> Tensor:
    num_columns = max(1, min(MOST_COLUMNS, received.shape[-1] // 16))
    return received.topk(num_columns, dim=-1).values.sum(-1)


def _largest(scores: dict[str, Tensor]) -> Tensor:
    """Return the place in `PATTERNS` of the largest score that reaches the threshold, -1 if none does."""
    competing = dict(scores)
    competing["vertical"] = scores["vertical"].masked_fill(scores["sink"] >= THRESHOLD, -math.inf)
    best, which = torch.stack([competing[pattern.name] for pattern in PATTERNS]).max(0)
    return which.masked_fill(best < THRESHOLD, -1)
