"""Right implementations in many styles, put together from small pieces; none of them uses this package's attention."""

from functools import cache

from attention_surgeon.diagnose.doctor.healthy import functions, layers
from attention_surgeon.diagnose.doctor.healthy.cover import Alternative

__all__ = ["Alternative", "alternatives"]


@cache
def alternatives() -> tuple[Alternative, ...]:
    """Return every right implementation, always the same in the same order.

    >>> len(alternatives()) > 150
    True
    """
    sources = (
        functions.softmaxes,
        functions.attention_functions,
        functions.causal_functions,
        layers.layers,
        functions.causal_masks,
        functions.padding_masks,
        functions.statistics,
    )
    return tuple(alternative for source in sources for alternative in source())
