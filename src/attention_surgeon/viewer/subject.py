"""What a page shows, whatever it was made from: maps of weights or pooled maps, with places, tokens and steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError, ShapeError
from attention_surgeon.require import kind_of, require_count
from attention_surgeon.stats import HeadStatistics
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
        prompt_length: How many tokens were given to a model that wrote the others; None: nothing was written.
        measured: For each place the statistics that are known already, where the weights are not there to measure.
        picture: What a vision model read, as the page's document holds it; None: nothing of the kind.
    """

    axes: tuple[str, ...]
    places: tuple[Place, ...]
    maps: Sequence[Map]
    query_tokens: tuple[str, ...] | None
    key_tokens: tuple[str, ...] | None
    traces: Sequence[AttentionTrace] = ()
    groups: tuple[int, ...] | None = None
    source: str = ""
    prompt_length: int | None = None
    measured: Sequence[HeadStatistics] = ()
    picture: dict[str, Any] | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """n_q and n_k."""
        first = self.maps[0]
        if isinstance(first, PooledMap):
            return first.num_queries, first.num_keys
        return first.shape[-2], first.shape[-1]

    @property
    def all_tokens(self) -> tuple[str, ...]:
        """The tokens of the queries and of the keys."""
        return (self.query_tokens or ()) + (self.key_tokens or ())

    @property
    def is_pooled(self) -> bool:
        """Whether the weights themselves are not there, only cells of many weights."""
        return isinstance(self.maps[0], PooledMap)


def with_tokens(
    subject: Subject,
    tokens: Sequence[str] | None,
    key_tokens: Sequence[str] | None,
    key_value_heads: int | None,
    caller: str,
) -> Subject:
    """Return the subject with tokens and shared heads that were given; without them, with its own.

    Raises:
        ArgumentTypeError, ShapeError, OptionError: no strings, too many or too few, heads that cannot be shared so.
    """
    n_q, n_k = subject.sizes
    queries = subject.query_tokens if tokens is None else _checked(tokens, n_q, "tokens", "queries", caller)
    keys = subject.key_tokens if key_tokens is None else _checked(key_tokens, n_k, "key_tokens", "keys", caller)
    if tokens is not None and key_tokens is None:
        if n_q != n_k:
            raise ShapeError(
                f"{caller}: there are {n_q} queries but {n_k} keys, and tokens names only the queries; "
                f"name the keys with key_tokens=[...]."
            )
        keys = queries
    groups = subject.groups if key_value_heads is None else _groups(subject, key_value_heads, caller)
    return replace(subject, query_tokens=queries, key_tokens=keys, groups=groups)


def _checked(tokens: Sequence[str], count: int, name: str, axis: str, caller: str) -> tuple[str, ...]:
    if isinstance(tokens, str) or not isinstance(tokens, Sequence):
        given = "one string" if isinstance(tokens, str) else kind_of(tokens)
        raise ArgumentTypeError(f"{caller}: {name} is {given}, expected a list of {count} strings, one for each token.")
    for index, token in enumerate(tokens):
        if not isinstance(token, str):
            raise ArgumentTypeError(
                f"{caller}: {name}[{index}] is {kind_of(token)}, expected a string; turn token ids into text with "
                f"tokenizer.convert_ids_to_tokens(ids)."
            )
    if len(tokens) != count:
        raise ShapeError(
            f"{caller}: {len(tokens)} {name} for {count} {axis}; each needs exactly one. "
            f"Special tokens such as [CLS] count too."
        )
    return tuple(tokens)


def _groups(subject: Subject, key_value_heads: int, caller: str) -> tuple[int, ...]:
    require_count(key_value_heads, "key_value_heads", caller)
    dim = len(subject.axes) - 1
    heads = list(dict.fromkeys(place[dim] for place in subject.places)) if subject.axes else [""]
    if len(heads) % key_value_heads:
        raise OptionError(
            f"{caller}: key_value_heads is {key_value_heads}, but {len(heads)} heads cannot share them evenly."
        )
    share = len(heads) // key_value_heads
    return tuple(heads.index(place[dim]) // share if subject.axes else 0 for place in subject.places)


def name_of(axes: Sequence[str], place: Place) -> str:
    """Return a place in words.

    >>> name_of(("layer", "head"), ("0", "3")), name_of((), ())
    ('layer 0, head 3', 'attention')
    """
    return ", ".join(f"{axis} {at}" for axis, at in zip(axes, place, strict=True)) or "attention"
