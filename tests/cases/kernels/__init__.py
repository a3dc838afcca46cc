"""Kernels that are wrong only from some size, stride, dtype or number of groups on, and right ones with limits.

`python -m tests.cases.kernels FOLDER` writes them; the first line of each says its verdict, as in the other cases.
"""

from tests.cases.kernels.generate import Kernel, draw, write

__all__ = ["Kernel", "draw", "write"]
