"""One wrong call and the whole message it must give; each room lists its own in `bad_calls.py`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BadCall:
    """A wrong call as source text, so that the same row is run as a test and printed in the documentation.

    Attributes:
        call: A Python expression. It may use `torch`, `np`, `math`, `surgeon` (the package) and each room by name
            (`ops`, `masks`, `nn`, `trace`, `plots`, ...).
        error: Name of the class in `attention_surgeon.errors`.
        message: The whole message.
    """

    call: str
    error: str
    message: str
