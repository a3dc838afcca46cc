"""What constructors are usually given for parameters that are no size."""

import re
from collections.abc import Iterator
from typing import Any

_HABITS: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("bias",), True),
    (("causal", "mask", "decoder"), True),
    (("flash", "sdpa", "fused", "xformers"), False),
    (("implementation", "backend", "impl"), "eager"),
    (("theta", "base"), 10000.0),
    (("inf",), 1e9),
    (("eps",), 1e-6),
    (("bucket",), 8),
    (("blocks", "tokens_per"), 16),
    (("distance", "relative"), 16),
    (("device",), "cpu"),
    (("dtype", "data_type"), None),
    (("seed",), 0),
    (("multiplier",), None),
    (("multiple",), 8),
    (("rank", "lora"), 12),
    (("kernel",), 3),
    (("ratio", "stride"), 1),
    (("act",), "gelu"),
    (("init", "gain"), 1.0),
    (("ln", "norm", "rotary", "rope", "use_"), False),
)
_COUNTS = re.compile(r"(num|n|k)_?(seed|seed_vector|ind|inducing(_point)?|latent|anchor|slot|prototype|register)s?")
"""Of vectors of a layer's own that ask or answer."""


def habits(name: str, note: str) -> Iterator[Any]:
    """Yield what a parameter of this name, or of this type, is usually given."""
    lowered = name.lower()
    if _COUNTS.fullmatch(lowered):
        yield 4
    for words, value in _HABITS:
        if any(word in lowered for word in words):
            yield value
    if "int" in note or "float" in note:
        yield 1 if "int" in note else 1.0
