"""The page of the operating table: the program and the style of a page of maps, and the controls before it."""

from typing import final

from starlette.responses import Response

from attention_surgeon.viewer.bundle import part, program, style
from attention_surgeon.viewer.live.limits import Limits
from attention_surgeon.viewer.page import as_text, hash_of

MODULES = ("live_settings", "live_wire", "live_controls", "live")
"""What the page's program has besides that of a file, each after those that it imports."""


@final
class LivePage:
    """The page, made once; it holds no secret and nothing of any text."""

    def __init__(self, models: tuple[str, ...], limits: Limits) -> None:
        """Put it together."""
        code, css = program(*MODULES), style() + part("live.css")
        self._policy = (
            f"default-src 'none'; script-src {hash_of(code)}; style-src {hash_of(css)}; img-src data: blob:; "
            f"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        known = {"models": list(models), "textLen": limits.text_len}
        page = part("live.html")
        for name, text in {"style": css, "known": as_text(known), "program": code}.items():
            before, mark, after = page.partition(f"<!--{name}-->")
            assert mark, name
            page = before + text + after
        self._page = page.encode()

    def response(self, cookie: str) -> Response:
        """Return the answer to who asks for the page."""
        headers = {"content-security-policy": self._policy, "set-cookie": cookie}
        return Response(self._page, media_type="text/html", headers=headers)
