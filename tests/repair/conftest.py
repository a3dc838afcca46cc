"""What is the same for every search for a patch."""

import jaxtyping
import pytest
import torch
from torch import Tensor

from attention_surgeon.diagnose import diagnose


@pytest.fixture(autouse=True)
def unchecked(own_messages: None) -> None:
    """A search calls `ops` by the ten thousands; the tests of the judge see that it is called rightly."""


@pytest.fixture(scope="session", autouse=True)
def tables() -> None:
    """Work out what faults answer before the searches begin: each is a copy of this process, and would do it anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        diagnose(_of_one_shape, "attention")
        diagnose(_unknown, "attention")


def _of_one_shape(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None) -> Tensor:
    return torch.zeros(3)


def _unknown(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = Q @ K.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    return scores.softmax(-1).sqrt() @ V
