"""A wrong kernel is wrong in its own call and right in a small one; a right one refuses what it says."""

import ast

import pytest
import torch

from tests.cases.kernels import Kernel, draw, write
from tests.cases.kernels.generate import LIMITS, SLIPS, answer, expected, inputs
from tests.cases.run import read_case

KERNELS = draw()
WRONG = [kernel for kernel in KERNELS if kernel.verdict == "wrong"]
RIGHT = [kernel for kernel in KERNELS if kernel.verdict == "right"]
SMALL = {"n": 5, "h": 2, "d": 16}


def named(kernel: Kernel) -> str:
    return kernel.name


def error(kernel: Kernel, call: dict) -> float:
    """Return the largest error, infinity for NaN."""
    off = (answer(kernel, call).double() - expected(call)).abs().max().item()
    return off if off == off else float("inf")


def naive_error(call: dict) -> float:
    """Return the error of plain attention in the dtype of the call, which a right kernel may double."""
    q, k, v = inputs(call)
    k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], 1) for part in (k, v))
    scores = q @ k.mT / q.shape[-1] ** 0.5
    n, m = scores.shape[-2:]
    if call.get("causal"):
        scores = scores.masked_fill(torch.ones(n, m, dtype=torch.bool).triu(1 + m - n), -torch.inf)
    return ((scores.softmax(-1) @ v).double() - expected(call)).abs().max().item()


def test_as_many_as_were_asked_for_and_no_two_alike():
    assert (len(WRONG), len(RIGHT)) == (200, 50)
    assert len({kernel.text.partition("\n")[2] for kernel in KERNELS}) == 250
    assert draw() == KERNELS


@pytest.mark.parametrize("kernel", WRONG, ids=named)
def test_a_wrong_kernel_is_wrong_in_its_call(kernel: Kernel):
    assert error(kernel, kernel.call) > max(1e-3, 2 * naive_error(kernel.call))


@pytest.mark.parametrize("kernel", WRONG, ids=named)
def test_a_wrong_kernel_is_right_in_a_small_call(kernel: Kernel):
    assert error(kernel, SMALL) < 1e-5


@pytest.mark.parametrize("kernel", RIGHT, ids=named)
def test_a_right_kernel_is_right_and_refuses_what_it_says(kernel: Kernel):
    assert error(kernel, kernel.call) < max(1e-5, 2 * naive_error(kernel.call))
    if kernel.refused is not None:
        with pytest.raises((AssertionError, ValueError, TypeError, NotImplementedError)):
            answer(kernel, kernel.refused)


def test_what_is_written_reads_as_cases(tmp_path):
    for kernel in write(tmp_path, len(SLIPS), len(LIMITS)):
        case = read_case(tmp_path / f"{kernel.name}.py")
        assert case is not None
        assert case.verdicts == (kernel.verdict,)
        assert case.target.endswith(":attention_kernel")
        ast.parse(kernel.text)
