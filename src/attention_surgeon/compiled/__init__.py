"""Attention and its statistics in compiled C; nothing needs it: without a compiler PyTorch does the same work.

vectors.h     vectors, and the one product of which everything is made
attention.c   forward and backward of `kernels.tiled_attention`
scan.c        the rows of `stats.scan_attention`
library.py    compiled once for this machine, kept in the user's cache
"""

from attention_surgeon.compiled.library import build, computed_by_pytorch, who_computes

__all__ = ["build", "computed_by_pytorch", "who_computes"]
