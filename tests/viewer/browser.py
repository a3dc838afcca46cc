"""A real browser: the Chromium of this machine, one for each worker of pytest."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "SURGEON_BROWSER"
"""Set to "required" where a missing browser is a failure and no reason to skip: continuous integration."""

_FLAGS = (
    "--no-sandbox --headless=new --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run --disable-gpu"
).split()


def executable() -> str | None:
    """Return the path of a Chromium: $CHROMIUM, or the first that is found."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def running(path: str) -> Iterator[Browser]:
    """Start a browser with a profile of its own, and close it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


class Shown:
    """A page in the browser, and everything that it asked for or complained about."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        """Open a file and wait for its first picture."""
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True, **options)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        self.page.on("dialog", lambda dialog: (self.problems.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.set_default_timeout(8000)
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("#page[data-drawn]")

    def go(self, view: str) -> None:
        """Choose a tab and wait until its view is drawn."""
        self.page.click(f"#tab-{view}")
        self.page.wait_for_selector(f"#page[data-drawn={view}]")

    def choose_tab_and_map(self, view: str, name: str) -> None:
        """Choose a tab, and there a map by its name."""
        self.go(view)
        self.choose("Map", name)

    def settle(self) -> None:
        """Wait for two pictures: a change is drawn before the next one."""
        self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))))"
        )

    @property
    def says(self) -> str:
        """The sentence about the chosen cell."""
        self.settle()
        return self.page.locator(".says").inner_text()

    @property
    def heard(self) -> str:
        """What a screen reader is told."""
        self.settle()
        return self.page.locator("[role=status]").inner_text()

    @property
    def stage(self) -> Locator:
        """The first map or drawing that takes keys."""
        return self.page.locator(".stage").first

    def choose(self, label: str, option: str) -> None:
        """Choose from a list by its label."""
        self.page.get_by_role("combobox", name=label, exact=True).select_option(label=option)
        self.settle()

    def pixel(self, x: float, y: float) -> tuple[int, ...]:
        """Return the colour of a point of the first canvas, in CSS pixels."""
        return tuple(
            self.page.evaluate(
                "([x, y]) => { const c = document.querySelector('.stage canvas'); const r = devicePixelRatio;"
                "return [...c.getContext('2d').getImageData(x * r, y * r, 1, 1).data]; }",
                [x, y],
            )
        )

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    def saved(self, button: str) -> bytes:
        """Press a button and return the file that it saves."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=button, exact=True).click()
        return Path(download.value.path()).read_bytes()

    def close(self) -> None:
        """Close it, and see that nothing left the machine and nothing went wrong."""
        self.context.close()
        outside = [url for url in self.requests if not url.startswith(("file:", "data:", "blob:", "about:"))]
        assert not outside
        assert not self.problems
