"""How far two sets of maps are apart, map by map."""

from typing import Any

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.stats import COMPARISONS, PooledMap, compare_patterns
from attention_surgeon.threads import one_thread
from attention_surgeon.viewer.numbers import describe, plain_number
from attention_surgeon.viewer.parallel import in_parallel
from attention_surgeon.viewer.subject import Subject

_SHOWN = ("cosine", "total_variation", "jensen_shannon", "largest_difference", "mse")


def distances(before: Subject, after: Subject) -> dict[str, Any] | None:
    """Return definitions, one row of distances per map, and where a reader begins: at the largest difference.

    `start` is a map, a query and a key: of the map that changed most, the weight that changed most. None is returned
    where only pooled maps are there.
    """
    if before.is_pooled:
        return None
    definitions = {each.name: each for each in COMPARISONS}

    def pair(number: int) -> tuple[Tensor, Tensor]:
        one, other = before.maps[number], after.maps[number]
        assert not isinstance(one, PooledMap)
        assert not isinstance(other, PooledMap)
        return one.cpu().to(torch.float32), other.cpu().to(torch.float32)

    def change(number: int) -> float:
        one, other = pair(number)
        return float((other - one).abs_().mean())

    def row(number: int) -> list[float | None]:
        try:
            apart = compare_patterns(*pair(number))
        except OptionError:  # rows that do not sum to 1 are what a fault makes: they are shown, and not measured
            return [None] * len(_SHOWN)
        return [plain_number(getattr(apart, name)) for name in _SHOWN]

    with one_thread():
        numbers = range(len(before.maps))
        rows, changes = list(in_parallel(row, numbers)), list(in_parallel(change, numbers))
        most = max(numbers, key=changes.__getitem__)
        one, other = pair(most)
        query, key = divmod(int((other - one).abs_().argmax()), one.shape[-1])
    start = {"map": most, "query": query, "key": key}
    return {"statistics": [describe(definitions[name]) for name in _SHOWN], "rows": rows, "start": start}
