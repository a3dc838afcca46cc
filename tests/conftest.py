"""Fixtures for every test."""

from collections.abc import Iterator

import jaxtyping
import pytest


@pytest.fixture
def own_messages() -> Iterator[None]:
    """Switch off the shape checks of the test hook, which would raise before the package's own messages."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
