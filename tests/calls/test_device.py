"""What asks for a GPU gets the processor where there is none, and is left alone where there is one."""

import pytest
import torch
from torch import nn

from attention_surgeon.calls.device import without_gpu

ASKING = {
    "to": lambda x: x.to("cuda"),
    "to a number": lambda x: x.to("cuda:1"),
    "to by name": lambda x: x.to(device=torch.device("cuda")),
    "made there": lambda x: torch.ones(3, device="cuda") + x,
    "cuda": lambda x: x.cuda(),
    "of a layer": lambda x: nn.Linear(3, 3).cuda()(x),
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_the_processor_stands_for_a_gpu(ask):
    with without_gpu():
        assert ask(torch.ones(3)).device.type == "cpu"
    with pytest.raises((AssertionError, RuntimeError), match=r"CUDA|NVIDIA"):
        ask(torch.ones(3))


def test_other_devices_and_dtypes_stay_as_they_are_asked_for():
    with without_gpu():
        assert torch.ones(3, device="meta").device.type == "meta"
        assert torch.ones(3).to(torch.float64).dtype == torch.float64
