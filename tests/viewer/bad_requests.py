"""Requests that the server of the operating table must refuse, and what it must answer.

`python -m tests.viewer.bad_requests` sends each to a running server and prints what came back as a Markdown table.
"""

import json
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attention_surgeon.viewer.live import Limits, Serving
from tests.viewer.live_table import StandIn, served

LIMITS = Limits(header_seconds=0.4, body_seconds=0.4, operation_seconds=5.0)
GOOD = {"page": "a", "number": 1, "model": "small", "text": "the cat sat", "fault": "knock_out"}
_SECONDS = 10.0


@dataclass(frozen=True)
class Reply:
    """What came back; status 0: nothing, the connection was closed."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def sentence(self) -> str:
        text = self.body.decode()
        return str(json.loads(text)["error"]) if text.startswith("{") else text.strip()


@dataclass(frozen=True)
class BadRequest:
    """One of them.

    Attributes:
        name: What is wrong with it.
        make: The bytes, for a server.
        status: What must be answered; 0: the connection is closed without an answer.
        sentence: A part of what must be said.
    """

    name: str
    make: Callable[[Serving], bytes]
    status: int
    sentence: str = ""


def page(
    serving: Serving, target: str = "/", headers: dict[str, str | None] | None = None, method: str = "GET"
) -> bytes:
    """Return a request for the page, by default a good one; None takes a header out."""
    target = f"{target}?token={serving.token}" if target == "/" else target
    return _request(method, target, {"Host": _host(serving)} | (headers or {}))


def call(
    serving: Serving,
    target: str = "/operate",
    headers: dict[str, str | None] | None = None,
    method: str = "POST",
    body: bytes | None = None,
    **fields: Any,
) -> bytes:
    """Return a request of the page's program, by default a good one; None takes a header out."""
    body = json.dumps(GOOD | fields).encode() if body is None else body
    usual: dict[str, str | None] = {
        "Host": _host(serving),
        "Origin": f"http://{_host(serving)}",
        "X-Surgeon-Token": serving.token,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    return _request(method, target, usual | (headers or {})) + body


def send(serving: Serving, content: bytes) -> Reply:
    """Send bytes and return what comes back."""
    with socket.create_connection(("127.0.0.1", serving.port), timeout=_SECONDS) as connection:
        connection.sendall(content)
        came = b""
        try:
            while part := connection.recv(65_536):
                came += part
        except ConnectionResetError:
            pass
    head, _, body = came.partition(b"\r\n\r\n")
    if not head:
        return Reply(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Reply(int(first.split()[1]), headers, body)


def cookie_of(serving: Serving) -> str:
    """Return the cookie that the page sets."""
    return send(serving, page(serving)).headers["set-cookie"].partition(";")[0]


def _host(serving: Serving) -> str:
    return f"127.0.0.1:{serving.port}"


def _request(method: str, target: str, headers: dict[str, str | None]) -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items() if value is not None),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _get(target: str) -> Callable[[Serving], bytes]:
    """Return a request for another path, by one who may load the page."""
    return lambda serving: page(serving, target, {"Cookie": cookie_of(serving)})


def _with_body(body: bytes) -> Callable[[Serving], bytes]:
    return lambda serving: call(serving, body=body)


def _with_fields(**fields: Any) -> Callable[[Serving], bytes]:
    return lambda serving: call(serving, **fields)


def _page_with(**headers: str | None) -> Callable[[Serving], bytes]:
    return lambda serving: page(serving, headers={name.replace("_", "-"): value for name, value in headers.items()})


def _call_with(**headers: str | None) -> Callable[[Serving], bytes]:
    return lambda serving: call(serving, headers={name.replace("_", "-"): value for name, value in headers.items()})


def _in_chunks(serving: Serving) -> bytes:
    head = call(serving, headers={"Content-Length": None, "Transfer-Encoding": "chunked"}, body=b"")
    return head + b"1000\r\n" + b"x" * 4096 + b"\r\n" + b"4000\r\n" + b"x" * 16_384 + b"\r\n0\r\n\r\n"


BAD_REQUESTS = [
    BadRequest("the page without a token", lambda s: page(s, "/?"), 403, "whole address"),
    BadRequest("the page with another token", lambda s: page(s, f"/?token={'A' * 43}"), 403, "whole address"),
    BadRequest("the page with half a token", lambda s: page(s, f"/?token={s.token[:20]}"), 403, "whole address"),
    BadRequest("an operation without a token", _call_with(X_Surgeon_Token=None), 403, "token is missing"),
    BadRequest("an operation with another token", _call_with(X_Surgeon_Token="A" * 43), 403, "not that of this run"),
    BadRequest(
        "an operation with the page's cookie in place of the token",
        lambda s: call(s, headers={"X-Surgeon-Token": None, "Cookie": cookie_of(s)}),
        403,
        "token is missing",
    ),
    BadRequest(
        "an operation with the page's secret as its token",
        lambda s: call(s, headers={"X-Surgeon-Token": cookie_of(s).partition("=")[2]}),
        403,
        "not that of this run",
    ),
    BadRequest("another host, as after DNS rebinding", _page_with(Host="evil.example"), 421, "not to that host"),
    BadRequest("another host with our port", lambda s: page(s, headers={"Host": f"evil.example:{s.port}"}), 421),
    BadRequest("our host with another port", _call_with(Host="127.0.0.1:1"), 421, "its own port"),
    BadRequest(
        "a host that begins like ours", lambda s: call(s, headers={"Host": f"127.0.0.1.evil.example:{s.port}"}), 421
    ),
    BadRequest("no host", _page_with(Host=None), 400),
    BadRequest("the origin of another site", _call_with(Origin="https://evil.example"), 403, "another page"),
    BadRequest("the origin null, as of a file", _call_with(Origin="null"), 403, "another page"),
    BadRequest("the origin of another port", _call_with(Origin="http://127.0.0.1:1"), 403, "another page"),
    BadRequest("an operation without an origin", _call_with(Origin=None), 403, "Origin is missing"),
    BadRequest("a link from another site", _page_with(Sec_Fetch_Site="cross-site"), 403, "another site"),
    BadRequest("the origin twice", lambda s: call(s).replace(b"Origin:", b"Origin: null\r\nOrigin:", 1), 400, "twice"),
    BadRequest("a preflight of another site", lambda s: call(s, method="OPTIONS", body=b""), 405, "only GET and POST"),
    BadRequest("PUT", lambda s: call(s, method="PUT"), 405, "only GET and POST"),
    BadRequest("an operation by GET", _get("/operate"), 405, "takes POST"),
    BadRequest("the page by POST", lambda s: call(s, "/"), 405, "takes GET"),
    BadRequest("a body said to be 1 GB", _call_with(Content_Length="1000000000"), 413, "16,384 bytes"),
    BadRequest("a body that grows in chunks", _in_chunks, 413, "16,384 bytes"),
    BadRequest("a length that is no number", _call_with(Content_Length="many"), 400),
    BadRequest("a body that never comes", _call_with(Content_Length="500"), 408, "did not come"),
    BadRequest("headers of 100 kB", _page_with(X_Long="x" * 100_000), 431, "16,384 bytes"),
    BadRequest("half a request, and then nothing", lambda s: page(s)[:-20], 0),
    BadRequest("no HTTP", lambda s: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    BadRequest("../ in the path", _get("/../../etc/passwd"), 404, "nothing here"),
    BadRequest("%2e%2e in the path", _get("/%2e%2e/%2e%2e/etc/passwd"), 404, "nothing here"),
    BadRequest("a path encoded twice", _get("/%252e%252e%252fetc%252fpasswd"), 404, "nothing here"),
    BadRequest("a path with a NUL", _get("/%00"), 404, "nothing here"),
    BadRequest(
        "an absolute path", lambda s: page(s, f"http://127.0.0.1:{s.port}/etc/passwd", {"Cookie": cookie_of(s)}), 404
    ),
    BadRequest("a file of the page by its name", _get("/live.js"), 404, "nothing here"),
    BadRequest("a folder", _get("/page/"), 404, "nothing here"),
    BadRequest("a detour to an operation", lambda s: call(s, "/x/../operate"), 404, "nothing here"),
    BadRequest("a form in place of JSON", _call_with(Content_Type="text/plain"), 415, "must be JSON"),
    BadRequest("a body that is no JSON", _with_body(b"{page: 1}"), 400, "not JSON"),
    BadRequest("a body that is no UTF-8", _with_body(b'{"page": "\xff"}'), 400, "not UTF-8"),
    BadRequest("a body nested 8,000 deep", _with_body(b"[" * 8_000), 400, "not JSON"),
    BadRequest("NaN", _with_body(b'{"page":"a","number":1,"model":"small","temperature":NaN}'), 400, "NaN"),
    BadRequest(
        "a number beyond all",
        _with_body(b'{"page":"a","number":1,"model":"small","temperature":1e999}'),
        422,
        "temperature",
    ),
    BadRequest("a field twice", _with_body(b'{"page":"a","page":"b","number":1,"model":"small"}'), 400, "twice"),
    BadRequest("an unknown field", _with_fields(path="/etc/passwd"), 422, "is no field"),
    BadRequest("a field that is missing", _with_body(b'{"page":"a","number":1}'), 422, "model is missing"),
    BadRequest("a text that is a number", _with_fields(text=5), 422, "expected text"),
    BadRequest("a text of 2,001 characters", _with_fields(text="x" * 2_001), 422, "2,000 are the most"),
    BadRequest("half a character", _with_fields(text="\ud800"), 422, "lone surrogate"),
    BadRequest("a folder as the model", _with_fields(model="../../etc"), 422, "expected one of small, second"),
    BadRequest("a head below 0", _with_fields(heads=[-1]), 422, "whole number from 0"),
    BadRequest("heads as a word", _with_fields(heads="all"), 422, "null for all"),
    BadRequest("5,000 heads", _with_fields(heads=[0] * 5_000), 422, "null for all"),
    BadRequest("true in place of a number", _with_fields(layers=[True]), 422, "whole number from 0"),
]


def markdown(serving: Serving) -> str:
    """Send each and return a table of what came back.

    Raises:
        AssertionError: one was answered with another status, or the server serves no more.
    """
    lines = ["| request | answer | sentence |", "|---|---|---|"]
    for number, row in enumerate(BAD_REQUESTS):
        reply = send(serving, row.make(serving))
        assert reply.status == row.status, f"{row.name}: {reply.status}, expected {row.status}"
        assert send(serving, call(serving, page=f"after {number}")).status == 200, f"not serving after: {row.name}"
        sentence = reply.sentence if reply.body else "" if reply.status else "the connection is closed"
        sentence = re.sub(r"([|*_<`])", r"\\\1", sentence)
        lines.append(f"| {row.name} | {reply.status or 'none'} | {sentence} |")
    lines += ["", f"{len(BAD_REQUESTS)} refused; after each one an operation was asked for and done."]
    return "\n".join(lines)


if __name__ == "__main__":
    with served(StandIn(), LIMITS) as running:
        sys.stdout.write(f"{markdown(running)}\n")
