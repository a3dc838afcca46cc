"""What the server answers: the page, what a model offers, an operation, and the operation as a file to keep."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from attention_surgeon.errors import SurgeonError
from attention_surgeon.viewer.live.guard import HEADERS, Guard
from attention_surgeon.viewer.live.limits import Limits
from attention_surgeon.viewer.live.page import LivePage
from attention_surgeon.viewer.live.refusal import Refusal
from attention_surgeon.viewer.live.request import TableRequest, read_request
from attention_surgeon.viewer.live.table import StillWanted, Table
from attention_surgeon.viewer.live.turns import Turns
from attention_surgeon.viewer.page import Page

_MOST_HEADER_BYTES = 16_384
_DRAINED_BYTES, _DRAINED_SECONDS = 1 << 20, 0.5
"""How much of a refused body is read and thrown away, so that its sender gets to read why."""


@final
class App:
    """An ASGI application; nothing of it works without a token."""

    def __init__(self, table: Table, guard: Guard, limits: Limits, on_mistake: Callable[[BaseException], None]) -> None:
        """Put the page together; the table is not asked for anything yet."""
        self._table, self._guard, self._limits, self._on_mistake = table, guard, limits, on_mistake
        self._page = LivePage(table.models, limits)
        self.turns = Turns(limits)
        self._calls: dict[bytes, Callable[[TableRequest], Awaitable[Response]]] = {
            b"/model": self._describe,
            b"/operate": self._operate,
            b"/page": self._save,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it is."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Refusal as refusal:
            response = refused(refusal, to_program=request.method != "GET")
        except ClientDisconnect:
            return
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.method == "POST":
            await response(scope, receive, _holding_the_end(send))
            await _drain(request)
            await send({"type": "http.response.body", "body": b""})
        else:
            await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        headers = _headers_of(request)
        if request.method not in ("GET", "POST"):
            raise Refusal(405, f"{request.method[:20]} is not served, only GET and POST.")
        path = request.scope["raw_path"]  # as it was sent: nothing decoded, nothing put together
        if request.method == "GET":
            self._guard.check_page(headers, request.scope["query_string"].decode("latin-1"), request.cookies)
            self._check_path(path, b"/", "POST")
            return self._page.response(self._guard.cookie)
        self._guard.check_call(headers)
        self._check_path(path, path if path in self._calls else b"", "GET")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "the body must be JSON, with content-type application/json.")
        wanted = read_request(await self._body(request, headers), self._limits)
        if wanted.model not in self._table.models:
            raise Refusal(422, f"model is {wanted.model!r}, expected one of {', '.join(self._table.models)}.")
        return await self._calls[path](wanted)

    def _check_path(self, path: bytes, expected: bytes, other_method: str) -> None:
        if path == expected:
            return
        elsewhere = {b"/"} if other_method == "GET" else set(self._calls)
        if path in elsewhere:
            raise Refusal(405, f"this path takes {other_method}.")
        raise Refusal(404, "there is nothing here; the page is at /.")

    async def _body(self, request: Request, headers: dict[str, str]) -> bytes:
        most = self._limits.body_bytes
        too_large = Refusal(413, f"the body is larger than {most:,} bytes, the most that is read.")
        if int(headers.get("content-length", "0")) > most:
            raise too_large
        content = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for part in request.stream():
                    content += part
                    if len(content) > most:
                        raise too_large
        except TimeoutError:
            raise Refusal(408, f"the body did not come within {self._limits.body_seconds:g} s.") from None
        return bytes(content)

    async def _describe(self, wanted: TableRequest) -> Response:
        def work(still_wanted: StillWanted) -> bytes:
            return as_json(self._table.describe(wanted.model, still_wanted))

        return _json(await self._worked(wanted, self._limits.loading_seconds, work))

    async def _operate(self, wanted: TableRequest) -> Response:
        def work(still_wanted: StillWanted) -> bytes:
            answer = self._table.operate(wanted, still_wanted)
            return as_json(
                {"document": answer.document, "receipt": list(answer.receipt), "predictions": answer.predictions}
            )

        return _json(await self._worked(wanted, self._limits.operation_seconds, work))

    async def _save(self, wanted: TableRequest) -> Response:
        def work(still_wanted: StillWanted) -> bytes:
            return Page(self._table.operate(wanted, still_wanted).document).html().encode()

        html = await self._worked(wanted, self._limits.operation_seconds, work)
        return Response(html, media_type="text/html", headers={"content-disposition": "attachment"})

    async def _worked(self, wanted: TableRequest, seconds: float, work: Callable[[StillWanted], bytes]) -> bytes:
        try:
            return await self.turns.take(wanted.page, wanted.number, seconds, work)
        except Refusal:
            raise
        except SurgeonError as error:
            raise Refusal(422, str(error)) from None
        except Exception as error:  # noqa: BLE001  the server must live; what happened is told where it was started
            self._on_mistake(error)
            raise Refusal(500, f"the operation failed by a mistake of this program: {type(error).__name__}.") from None


def as_json(data: Any) -> bytes:
    """Return plain data as JSON; NaN and infinity are a mistake."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def refused(refusal: Refusal, *, to_program: bool) -> Response:
    """Return the answer that says why not, to the page's program as JSON, to a person as text."""
    if to_program:
        response = _json(as_json({"error": str(refusal)}), refusal.status)
    else:
        response = Response(f"{refusal}\n", refusal.status, media_type="text/plain")
    if refusal.status == 503:
        response.headers["retry-after"] = "1"
    if refusal.status == 405:
        response.headers["allow"] = "GET, POST"
    return response


def _json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")


def _headers_of(request: Request) -> dict[str, str]:
    """Return the headers by name.

    Raises:
        Refusal: too many; or one stands there twice, so that two readers could read two things.
    """
    if sum(len(name) + len(value) for name, value in request.headers.raw) > _MOST_HEADER_BYTES:
        raise Refusal(431, f"the headers are larger than {_MOST_HEADER_BYTES:,} bytes.")
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        if name in headers and name not in ("cookie", "accept", "accept-language", "accept-encoding"):
            raise Refusal(400, f"the header {name[:40]} stands there twice.")
        headers[name] = value
    return headers


def _holding_the_end(send: Send) -> Send:
    """Return a `send` that does not say yet that the answer is over."""

    async def held(message: Any) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "more_body": True}
        await send(message)

    return held


async def _drain(request: Request) -> None:
    """Read what is left of the body, within bounds: closing before it came would cost the sender our answer."""
    try:
        async with asyncio.timeout(_DRAINED_SECONDS):
            await _throw_away(request.stream())
    except (TimeoutError, ClientDisconnect, RuntimeError):
        return


async def _throw_away(stream: AsyncIterator[bytes]) -> None:
    num_bytes = 0
    async for part in stream:
        num_bytes += len(part)
        if num_bytes > _DRAINED_BYTES:
            return
