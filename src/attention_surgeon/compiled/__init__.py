"""Attention and its statistics in compiled C; nothing needs it: without a compiler PyTorch does the same work.

`vectors.h` has the vectors and the one product of which everything is made, `attention.c` forward and backward of
`kernels.tiled_attention`, `scan.c` the rows of `stats.scan_attention`. `library.py` compiles them once for this machine
and keeps them in the user's cache; `cells.py` looks through boolean masks for the one run of keys that a query sees.
"""

from attention_surgeon.compiled.library import build, computed_by_pytorch, who_computes

__all__ = ["build", "computed_by_pytorch", "who_computes"]
