"""The server's life: a port of this computer alone, until Ctrl-C."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import final

from attention_surgeon.errors import ArgumentTypeError, LoadError, OptionError
from attention_surgeon.require import kind_of, require_count
from attention_surgeon.viewer.live.guard import HOST, Guard
from attention_surgeon.viewer.live.limits import Limits
from attention_surgeon.viewer.live.table import Table

USUAL_PORT = 8642
_TRIED = 20
_HIGHEST_PORT = 65_535


@final
@dataclass(frozen=True)
class Serving:
    """A server that runs.

    Attributes:
        port: Of 127.0.0.1.
        token: What the address needs besides.
        stop: Ends it, from any thread; what is at work then is undone first.
    """

    port: int
    token: str
    stop: Callable[[], None]

    @property
    def url(self) -> str:
        """The whole address."""
        return f"http://{HOST}:{self.port}/?token={self.token}"


def serve(
    table: Table,
    *,
    port: int | None = None,
    limits: Limits | None = None,
    on_ready: Callable[[Serving], None] = lambda serving: None,
    on_mistake: Callable[[BaseException], None] = lambda error: None,
) -> None:
    """Load the first model and serve the operating table to this computer alone, until Ctrl-C.

    Args:
        table: What operates.
        port: Of 127.0.0.1; 0: any free one; None: the usual one, or the next that is free.
        limits: How much a page may ask; None: the usual bounds.
        on_ready: Called once connections are taken.
        on_mistake: Called with what an operation raised that no sentence was written for.

    Raises:
        LoadError: starlette or uvicorn is not installed.
        ArgumentTypeError, OptionError: no table; no such port, or it is taken.
        SurgeonError: the table cannot load its first model.
    """
    _require_kinds(table, limits)
    _require_server()
    listening = bind(port)
    from attention_surgeon.viewer.live.app import App  # here, because these need starlette and uvicorn
    from attention_surgeon.viewer.live.run import run

    number = listening.getsockname()[1]
    guard = Guard(number)
    with listening, contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        table.describe(table.models[0], lambda: None)  # after the port is sure, before a person waits for a page
        run(
            listening,
            App(table, guard, limits or Limits(), on_mistake),
            limits or Limits(),
            lambda stop: on_ready(Serving(number, guard.token, stop)),
        )


def bind(port: int | None) -> socket.socket:
    """Return a socket that is bound to a port of 127.0.0.1.

    Raises:
        ArgumentTypeError, OptionError: no such port, or it is taken; the message says which is free.
    """
    if port is not None:
        require_count(port, "port", "serve", least=0, why=" (0 takes any free one)")
        if port > _HIGHEST_PORT:
            raise OptionError(f"serve: port is {port}, expected at most {_HIGHEST_PORT}; 0 takes any free one.")
    first = USUAL_PORT if port is None else port
    try:
        return _bound(first)
    except OSError as error:
        free = _next_free(first)
        if port is None and free is not None:
            return free
        raise _not_bound(first, free, error) from None


def _bound(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere this would let two programs have one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()  # here, because some systems say only now that the port is taken
    except OSError:
        listening.close()
        raise
    return listening


def _next_free(port: int) -> socket.socket | None:
    for candidate in range(port + 1, min(port + _TRIED, _HIGHEST_PORT) + 1):
        with contextlib.suppress(OSError):
            return _bound(candidate)
    return None


def _not_bound(port: int, free: socket.socket | None, error: OSError) -> OptionError:
    way_out = "--port 0 takes any free one"
    if free is not None:
        way_out = f"--port {free.getsockname()[1]} is free, and {way_out}"
        free.close()
    if error.errno == errno.EADDRINUSE:
        return OptionError(f"port {port} is taken by another program; {way_out}.")
    if error.errno == errno.EACCES:
        return OptionError(f"port {port} is not permitted (those below 1024 belong to the system); {way_out}.")
    return OptionError(f"port {port} cannot be used ({error.strerror}); {way_out}.")


def _require_kinds(table: object, limits: object) -> None:
    if not isinstance(table, Table):
        raise ArgumentTypeError(
            f"serve: table is {kind_of(table)}, expected a viewer.live.Table: something with models, describe and "
            f"operate."
        )
    if limits is not None and not isinstance(limits, Limits):
        raise ArgumentTypeError(f"serve: limits is {kind_of(limits)}, expected viewer.live.Limits(...) or None.")


def _require_server() -> None:
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise LoadError(
            f"the operating table needs {' and '.join(missing)}, which is not installed: "
            f"pip install 'attention-surgeon[serve]'."
        )
