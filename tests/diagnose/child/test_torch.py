"""A child of a parent whose torch has run on several threads can still compute."""

from pathlib import Path

import pytest
import torch

from tests.diagnose.child.running import run_source


@pytest.fixture
def _warm_threads():
    """Make OpenMP start its threads in this process, as one large product of a watcher's would."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    x = torch.ones(401, 401, requires_grad=True)
    (x @ x).softmax(-1).sum().backward()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_warm_threads")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_products_and_gradients_run_in_a_child(tmp_path: Path, threads: int):
    source = f"""
        import numpy as np
        import torch
        def f():
            torch.set_num_threads({threads})
            x = torch.ones(401, 401, requires_grad=True)
            (x @ x).exp().softmax(-1).sum().backward()
            return [x.grad.shape[0], float((np.ones((401, 401)) @ np.ones((401, 401)))[0, 0])]
    """
    outcome = run_source(tmp_path, source)
    assert (outcome.ended, outcome.value) == ("finished", [401, 401.0])


def test_one_thread_is_the_default(tmp_path: Path):
    assert run_source(tmp_path, "import torch\ndef f(): return torch.get_num_threads()").value == 1
