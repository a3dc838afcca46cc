"""Judge drawn kernels in one process, without options, as `surgeon diagnose FILE:attention_kernel` does in one each."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from attention_surgeon.diagnose import Verdict, diagnose
from attention_surgeon.diagnose.load import load_target
from tests.cases.kernels.generate import Kernel


def judge_all(kernels: Iterable[Kernel], folder: Path) -> Iterator[tuple[Kernel, Verdict]]:
    """Yield each kernel of a folder with its verdict."""
    for kernel in kernels:
        target = load_target(folder / f"{kernel.name}.py", "attention_kernel")
        yield kernel, diagnose(target.object)
