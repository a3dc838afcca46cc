"""uvicorn with a clock on each connection."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from attention_surgeon.viewer.live.app import App
from attention_surgeon.viewer.live.limits import Limits

_MOST_INCOMPLETE_BYTES = 1 << 20
"""Of a request whose headers have not ended; those that have are measured by the application."""
_GOODBYE_SECONDS = 1


def run(listening: socket.socket, app: App, limits: Limits, on_ready: Callable[[Callable[[], None]], None]) -> None:
    """Serve on a bound socket until Ctrl-C, a signal to end, or the call of what `on_ready` gets.

    Raises:
        KeyboardInterrupt: Ctrl-C, after everything was put away.
    """
    asyncio.run(_serve(listening, app, limits, on_ready))


async def _serve(
    listening: socket.socket, app: App, limits: Limits, on_ready: Callable[[Callable[[], None]], None]
) -> None:
    config = uvicorn.Config(
        app,
        http=_clocked(limits.header_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL,  # what a stranger sends is no news for the terminal
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=limits.most_connections,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
        h11_max_incomplete_event_size=_MOST_INCOMPLETE_BYTES,
    )
    try:
        await _Server(config, on_ready).serve(sockets=[listening])
    finally:
        app.turns.close()


@final
class _Server(uvicorn.Server):
    """Says when it is ready; uvicorn says so to a log only."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[Callable[[], None]], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready(self._stop)

    def _stop(self) -> None:
        self.should_exit = True


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
