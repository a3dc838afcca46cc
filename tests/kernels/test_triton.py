"""The Triton kernels, run by Triton's interpreter on the CPU; no test here needs a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import attention_surgeon
from attention_surgeon.errors import DeviceError, DTypeError, LoadError, OptionError
from attention_surgeon.kernels import triton_attention
from attention_surgeon.kernels.triton_attention import require_able
from attention_surgeon.ops import attention

ROOT = Path(__file__).parents[2]
_OF_TRITON = "ignore:Conversion of an array with ndim > 0 to a scalar:DeprecationWarning"  # before 3.7


@pytest.fixture(scope="module")
def errors() -> dict[str, list[float]]:
    """Run every case in one process, because it is the imports that take long."""
    try:
        require_able(torch.ones(1, dtype=torch.float64))
    except (DTypeError, LoadError) as error:
        pytest.skip(str(error))
    package = Path(attention_surgeon.__file__).parents[1]  # the one under test, which may be a copy with a bug in it
    environment = {
        **os.environ,
        "TRITON_INTERPRET": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(package), str(ROOT)]),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", _OF_TRITON, "-m", "tests.kernels.triton_cases"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_output_and_gradients_are_the_oracles(errors: dict[str, list[float]]) -> None:
    assert len(errors) == 15
    wrong = {case: found for case, found in errors.items() if not max(found) <= (1e-5 if "float32" in case else 1e-10)}
    assert not wrong


def test_without_a_gpu_and_without_the_interpreter_it_refuses(
    own_messages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(DeviceError, match="the tensors are on cpu, and Triton runs on a CUDA device"):
        attention(torch.ones(1, 2), torch.ones(3, 2), torch.ones(3, 2), implementation="triton")


@pytest.mark.parametrize(
    ("triton", "dtype", "error", "message"),
    [
        ("3.5.1", torch.float32, LoadError, r"Triton 3\.5\.1 does not run with NumPy 2\.10\.0; install numpy<2.5"),
        ("3.4.0", torch.float64, DTypeError, r"Triton 3\.4\.0 has no products of float64; pass float32"),
    ],
)
def test_an_older_triton_is_refused_what_it_cannot_run(
    own_messages: None,
    monkeypatch: pytest.MonkeyPatch,
    triton: str,
    dtype: torch.dtype,
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr("importlib.metadata.version", {"triton": triton, "numpy": "2.10.0"}.__getitem__)
    query, key = torch.ones(1, 2, dtype=dtype), torch.ones(3, 2, dtype=dtype)
    with pytest.raises(error, match=message):
        triton_attention(query, key, key)


def test_what_it_cannot_do_it_refuses(own_messages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    query, key = torch.ones(1, 2), torch.ones(3, 2)
    with pytest.raises(OptionError, match=r"dropout is 0\.5, but this kernel has none"):
        triton_attention(query, key, key, dropout=0.5)
    with pytest.raises(OptionError, match="no gradient of a floating mask"):
        triton_attention(query, key, key, torch.zeros(1, 3, requires_grad=True))
