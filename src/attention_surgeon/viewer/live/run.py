"""uvicorn with a clock on each connection."""

import asyncio
import socket
from collections.abc import Callable
from typing import final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from attention_surgeon.viewer.live.app import App
from attention_surgeon.viewer.live.guard import Guard
from attention_surgeon.viewer.live.limits import Limits
from attention_surgeon.viewer.live.table import Table

_MOST_HEADER_BYTES = 16_384
_GOODBYE_SECONDS = 1


def run(
    listening: socket.socket,
    table: Table,
    guard: Guard,
    limits: Limits,
    on_ready: Callable[[], None],
    on_mistake: Callable[[BaseException], None],
) -> None:
    """Serve on a bound socket until Ctrl-C or a signal to end.

    Raises:
        KeyboardInterrupt: Ctrl-C, after everything was put away.
    """
    asyncio.run(_serve(listening, table, guard, limits, on_ready, on_mistake))


async def _serve(
    listening: socket.socket,
    table: Table,
    guard: Guard,
    limits: Limits,
    on_ready: Callable[[], None],
    on_mistake: Callable[[BaseException], None],
) -> None:
    app = App(table, guard, limits, on_mistake)
    config = uvicorn.Config(
        app,
        http=_clocked(limits.header_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=limits.most_connections,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
    )
    try:
        await _Server(config, on_ready).serve(sockets=[listening])
    finally:
        app.turns.close()


@final
class _Server(uvicorn.Server):
    """Says when it is ready; uvicorn says so to a log only."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


def _clocked(seconds: float) -> type[H11Protocol]:
    """Return the protocol that closes a connection whose request has not come after so many seconds."""

    @final
    class Clocked(H11Protocol):
        _clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._clock = self.loop.call_later(seconds, self._close_if_nothing_came)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._clock is not None:
                self._clock.cancel()
            super().connection_lost(exc)

        def _close_if_nothing_came(self) -> None:
            if self.cycle is None:
                self.transport.abort()

    return Clocked
