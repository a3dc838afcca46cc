"""Fixtures for every test."""

import os
import signal
from collections.abc import Iterator

import hypothesis
import jaxtyping
import pytest
import torch

from tests.axes import check_by_signature

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # the workers share the cores already

check_by_signature()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: children would be deaf, too
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("default", deadline=None)  # a busy machine is slow, not wrong
hypothesis.settings.register_profile(  # a planted bug needs to be found, not made small or kept
    "mutants", deadline=None, database=None, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate]
)


@pytest.fixture
def own_messages() -> Iterator[None]:
    """Switch off the shape checks of the test hook, which would raise before the package's own messages."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(scope="session", autouse=True)
def library() -> str | None:
    """Build the compiled library, where there is a compiler, and return why it is not there, if so."""
    from attention_surgeon.compiled import build
    from attention_surgeon.errors import OptionError

    try:
        build()
    except OptionError as error:
        return str(error)
    return None


@pytest.fixture(params=["compiled", "PyTorch"])
def computed_by(request: pytest.FixtureRequest, library: str | None) -> Iterator[str]:
    """Run a test twice: with the compiled library, and with PyTorch in its place."""
    from attention_surgeon.compiled import computed_by_pytorch, who_computes

    if request.param == "PyTorch":
        with computed_by_pytorch():
            yield request.param
        return
    if library is not None:
        pytest.skip(library)
    assert who_computes().startswith("compiled"), who_computes()
    yield request.param


@pytest.fixture
def pytorch_alone() -> Iterator[None]:
    """Leave everything to PyTorch, for tests of how it does its work."""
    from attention_surgeon.compiled import computed_by_pytorch

    with computed_by_pytorch():
        yield
