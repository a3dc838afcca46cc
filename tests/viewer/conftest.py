"""Fixtures that open pages in a real browser."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from attention_surgeon.viewer import Page
from tests.viewer.browser import NAMES, REQUIRED, Shown, executable, running

Opener = Callable[..., Shown]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a worker; see tests/SKIPS.md."""
    path = executable()
    if path is None:
        reason = (
            f"no browser: none of {', '.join(NAMES)} on the PATH, and CHROMIUM is not set (make browser installs one)"
        )
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    with running(path) as started:
        yield started


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Open pages; each is examined for requests and errors when the test ends."""
    shown: list[Shown] = []

    def open_page(page: Page, **options: Any) -> Shown:
        shown.append(Shown(browser, page.save(tmp_path / f"page{len(shown)}.html"), **options))
        return shown[-1]

    yield open_page
    for each in shown:
        each.close()
