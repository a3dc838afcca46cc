"""Who may ask: this computer's own page and nobody else.

A page of any other site can make a browser send requests to this computer, and a name of its own point here. So each
request must name this server as its host, come from its own page, and know a random token.

The token stands in the address that is printed. The page takes it from there, keeps it in storage that browsers give to
no other port, and sends it with each request in a header. The cookie serves to load the page again: browsers send
cookies to every port of a computer, so it holds another secret, which opens the page alone.
"""

import hmac
import secrets
from collections.abc import Mapping
from typing import final

from attention_surgeon.viewer.live.refusal import Refusal

TOKEN_HEADER = "x-surgeon-token"
HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")

HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",  # the page sets its own
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "connection": "close",
}
"""Sent with every answer. One request for each connection: what stays open is what is slow, and ends by a clock."""


@final
class Guard:
    """The secrets of one run of the server, and who passes."""

    def __init__(self, port: int) -> None:
        """Draw the secrets."""
        self.token, self._page_secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self._hosts = {f"{name}:{port}" for name in _NAMES} | (set(_NAMES) if port == 80 else set())
        self._cookie_name = f"surgeon_{port}"

    @property
    def cookie(self) -> str:
        """What the page's answer sets."""
        return f"{self._cookie_name}={self._page_secret}; Path=/; HttpOnly; SameSite=Strict"

    def check_page(self, headers: Mapping[str, str], query: str, cookies: Mapping[str, str]) -> None:
        """Let pass who asks for the page.

        Raises:
            Refusal: 403 or 421, with the way in.
        """
        self._check_origin(headers)
        by_address = _same(query.removeprefix("token="), self.token)
        if not by_address and not _same(cookies.get(self._cookie_name, ""), self._page_secret):
            raise Refusal(403, "this page needs the whole address that surgeon serve printed, token and all.")

    def check_call(self, headers: Mapping[str, str]) -> None:
        """Let pass what the page's program sends.

        Raises:
            Refusal: 403 or 421.
        """
        self._check_origin(headers)
        if "origin" not in headers:
            raise Refusal(403, "the header Origin is missing; only the server's own page may ask.")
        if not _same(headers.get(TOKEN_HEADER, ""), self.token):
            raise Refusal(403, "the token is missing or not that of this run; open the address that was printed.")

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "")
        if host not in self._hosts:
            raise Refusal(421, "this server answers to 127.0.0.1 and localhost with its own port, not to that host.")
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            raise Refusal(403, "the request comes from another page; only the server's own may ask.")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Refusal(403, "the request comes from another site.")


def _same(given: str, expected: str) -> bool:
    """Compare in a time that does not tell how much was right."""
    return hmac.compare_digest(given.encode(), expected.encode())
