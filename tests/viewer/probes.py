"""Attention that tests look at: small, with numbers that can be told apart."""

import torch

from attention_surgeon.trace import AttentionTrace, record

TOKENS = ("the", "cat", "sat", "on", "mat")
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "-->",
    "<img src=x onerror=alert(2)>",
    "<svg/onload=alert(3)>",
    "javascript:alert(4)",
    "\"'><b onmouseover=alert(5)>",
    "&lt;script&gt;",
    "]]>",
    "${alert(6)}",
    "{{7*7}}",
    "\u2028alert(8)\u2029",
    "\u202egnp.exe\u202c",
    "\x00\x01\x1b[31m",
    "\ud800",
    "👩‍🔬🇩🇪👍🏽",
    "שלום עולם",
    "a" * 10_000,
    "a" + "\u0301" * 500,
    "\\u003c\\n\r\n\t",
)
"""Strings that other viewers run, blank at, or are turned around by."""


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return rows that sum to 1, some sharp, some broad."""
    generator = torch.Generator().manual_seed(seed)
    return (4 * torch.rand(shape, generator=generator)).softmax(-1)


def trace(heads: int = 3, *, causal: bool = False) -> AttentionTrace:
    """Return a trace of five tokens."""
    generator = torch.Generator().manual_seed(7)
    Q, K, V = (torch.randn(heads, 5, size, generator=generator) for size in (7, 7, 2))
    mask = torch.ones(5, 5).tril().bool() if causal else None
    return record(Q, K, V, mask, query_tokens=TOKENS, source="a probe")
