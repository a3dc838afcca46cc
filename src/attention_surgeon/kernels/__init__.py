"""The fast forms of attention: the same answers as `ops`, in less time and in memory that grows with n."""

from attention_surgeon.kernels.by_name import IMPLEMENTATIONS, Implementation, attention_named
from attention_surgeon.kernels.tiled import tiled_attention
from attention_surgeon.kernels.triton_attention import triton_attention

__all__ = ["IMPLEMENTATIONS", "Implementation", "attention_named", "tiled_attention", "triton_attention"]
