"""One value of a record as a person reads it."""

from typing import Any


def value_text(value: Any) -> str:
    """Return a value in a few characters: numbers with three decimals where these say something, yes and no.

    >>> [value_text(value) for value in (0.12345, 1e-7, 12, True, None, "causal")]
    ['0.123', '1.0e-07', '12', 'yes', '', 'causal']
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if 0.001 <= abs(value) < 10_000 or value == 0 else f"{value:.1e}"
    return "" if value is None else str(value)
