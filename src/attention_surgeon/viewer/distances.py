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

    def measured(number: int) -> tuple[list[float | None], float]:
        one, other = pair(number)
        change = float((other - one).abs_().mean())
        try:
            apart = compare_patterns(one, other)
        except OptionError:  # rows that do not sum to 1 are what a fault makes: they are shown, and not measured
            return [None] * len(_SHOWN), change
        return [plain_number(getattr(apart, name)) for name in _SHOWN], change

    with one_thread():
        rows, changes = zip(*in_parallel(measured, range(len(before.maps))), strict=True)
        most = max(range(len(changes)), key=changes.__getitem__)
        one, other = pair(most)
        query, key = divmod(int((other - one).abs_().argmax()), one.shape[-1])
    start = {"map": most, "query": query, "key": key}
    return {"statistics": [describe(definitions[name]) for name in _SHOWN], "rows": list(rows), "start": start}
