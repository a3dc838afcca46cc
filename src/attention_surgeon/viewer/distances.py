"""How far two sets of maps are apart, map by map."""

from typing import Any

import torch

from attention_surgeon.errors import OptionError
from attention_surgeon.stats import COMPARISONS, PooledMap, compare_patterns
from attention_surgeon.threads import one_thread
from attention_surgeon.viewer.numbers import describe, plain_number
from attention_surgeon.viewer.parallel import in_parallel
from attention_surgeon.viewer.subject import Subject

_SHOWN = ("cosine", "total_variation", "jensen_shannon", "largest_difference", "mse")


def distances(before: Subject, after: Subject) -> dict[str, Any] | None:
    """Return definitions and one row of distances per map; None where only pooled maps are there."""
    if before.is_pooled:
        return None
    definitions = {each.name: each for each in COMPARISONS}

    def row(number: int) -> list[float | None]:
        one, other = before.maps[number], after.maps[number]
        assert not isinstance(one, PooledMap)
        assert not isinstance(other, PooledMap)
        try:
            apart = compare_patterns(one.cpu().to(torch.float32), other.cpu().to(torch.float32))
        except OptionError:  # rows that do not sum to 1 are what a fault makes: they are shown, and not measured
            return [None] * len(_SHOWN)
        return [plain_number(getattr(apart, name)) for name in _SHOWN]

    with one_thread():
        rows = list(in_parallel(row, range(len(before.maps))))
    return {"statistics": [describe(definitions[name]) for name in _SHOWN], "rows": rows}
