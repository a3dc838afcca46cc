"""What asks for a GPU gets the processor where there is none, and is left alone where there is one."""

from pathlib import Path

import pytest
import torch
from torch import nn

from attention_surgeon.calls.device import names_gpu, without_gpu
from tests.calls import targets

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
    with without_gpu(ASKING["cuda"]):
        assert ask(torch.ones(3)).device.type == "cpu"
    with pytest.raises((AssertionError, RuntimeError), match=r"CUDA|NVIDIA"):
        ask(torch.ones(3))


def test_other_devices_and_dtypes_stay_as_they_are_asked_for():
    with without_gpu(ASKING["cuda"]):
        assert torch.ones(3, device="meta").device.type == "meta"
        assert torch.ones(3).to(torch.float64).dtype == torch.float64


def test_the_file_of_a_target_is_read():
    assert names_gpu(ASKING["to"])
    assert not names_gpu(targets.plain_attention)
    assert not names_gpu(len)


@pytest.mark.parametrize(
    ("line", "is_named"),
    [
        ("device = 'cuda' if torch.cuda.is_available() else 'cpu'", False),
        ('device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")', False),
        ('x = x.to("cuda:0")', True),
        ("torch.zeros(3, device='cuda')", True),
    ],
)
def test_a_gpu_that_is_asked_for_where_there_is_one_is_none(tmp_path: Path, line: str, is_named: bool):
    file = tmp_path / "asking.py"
    file.write_text(f"def f(x):\n    {line}\n", encoding="utf-8")
    names = {}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), names)
    assert names_gpu(names["f"]) == is_named
