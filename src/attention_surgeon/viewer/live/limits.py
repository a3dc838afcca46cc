"""How much a page may ask of the server, and for how long."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Limits:
    """Bounds on what one request, one connection and all of them together may take.

    Attributes:
        text_len: Most characters of a text.
        body_bytes: Most bytes of a request's body.
        header_seconds: How long a connection may take until its request has come, headers and all.
        body_seconds: How long a body may take.
        operation_seconds: How long an operation may take.
        grace_seconds: How long after its time is over an operation may take to notice.
        loading_seconds: How long a model may take to be loaded, or trained.
        most_waiting: How many requests may wait for the one that is being worked on.
        most_connections: How many connections may be open.
    """

    text_len: int = 2_000
    body_bytes: int = 16_384
    header_seconds: float = 5.0
    body_seconds: float = 5.0
    operation_seconds: float = 20.0
    grace_seconds: float = 2.0
    loading_seconds: float = 600.0
    most_waiting: int = 4
    most_connections: int = 64
