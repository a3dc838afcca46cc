"""What a page shows, whatever it was made from: maps of weights or pooled maps, with places, tokens and steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from torch import Tensor

from attention_surgeon.stats.maps import PooledMap
from attention_surgeon.trace import AttentionTrace

Place: TypeAlias = tuple[str, ...]
Map: TypeAlias = Tensor | PooledMap


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """The maps of one text through one model or one layer, in the order of their places.

    Attributes:
        axes: Names of the axes before query and key, for example ("layer", "head"); () for a single map.
        places: Where each map stands along `axes`, in words: ("0", "3").
        maps: For each place its weights `(n_q, n_k)` in their own dtype, or its pooled map; all of one kind and size.
        query_tokens: One name for each query, None where there are none.
        key_tokens: One name for each key, None where there are none.
        traces: For each place the trace of its call, where the steps are known.
        groups: For each place the number of its key/value head; None where every head has its own.
        source: Where this comes from, in words.
    """

    axes: tuple[str, ...]
    places: tuple[Place, ...]
    maps: Sequence[Map]
    query_tokens: tuple[str, ...] | None
    key_tokens: tuple[str, ...] | None
    traces: Sequence[AttentionTrace] = ()
    groups: tuple[int, ...] | None = None
    source: str = ""

    @property
    def sizes(self) -> tuple[int, int]:
        """n_q and n_k."""
        first = self.maps[0]
        if isinstance(first, PooledMap):
            return first.num_queries, first.num_keys
        return first.shape[-2], first.shape[-1]

    @property
    def is_pooled(self) -> bool:
        """Whether the weights themselves are not there, only cells of many weights."""
        return isinstance(self.maps[0], PooledMap)


def name_of(axes: Sequence[str], place: Place) -> str:
    """Return a place in words.

    >>> name_of(("layer", "head"), ("0", "3")), name_of((), ())
    ('layer 0, head 3', 'attention')
    """
    return ", ".join(f"{axis} {at}" for axis, at in zip(axes, place, strict=True)) or "attention"
