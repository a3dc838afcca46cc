"""The passes of `tiled_attention` in compiled C, which do a tile in one go; without a compiler PyTorch does them."""

from attention_surgeon.kernels.compiled.calls import backward, forward
from attention_surgeon.kernels.compiled.library import build, how_passes_run
from attention_surgeon.kernels.compiled.plain import plain_attention

__all__ = ["backward", "build", "forward", "how_passes_run", "plain_attention"]
