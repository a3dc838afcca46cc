"""The picture of docs/scan.md: a long head, pooled twice."""

import torch
from matplotlib.figure import Figure

from attention_surgeon.masks import causal_mask
from attention_surgeon.plots import plot_fields
from attention_surgeon.plots.style import ThemeName
from attention_surgeon.stats import scan_attention

TOKENS = 8192
CELLS = 64
NEEDLE = (6200, 1900)
"""One query that looks at one key, far back."""


def figure(theme: ThemeName) -> Figure:
    """Return the largest and the mean weight of each cell, for a head with a sink, near keys and one needle."""
    query, key = made_up_head()
    pooled = scan_attention(query, key, mask=causal_mask(TOKENS), resolution=CELLS).map
    assert pooled is not None
    return plot_fields(
        {"largest weight": pooled.largest.numpy(), "mean weight": pooled.mean.numpy()},
        title=f"{TOKENS:,} tokens in {CELLS} x {CELLS} cells",
        row_name="query / 128",
        column_name="key / 128",
        label="weight",
        theme=theme,
    )


def made_up_head() -> tuple[torch.Tensor, torch.Tensor]:
    """Return query and key `(n, d)`: near keys are like the query, the first is liked by all, one pair is special."""
    source = torch.Generator().manual_seed(0)
    place = torch.arange(TOKENS)[:, None] / TOKENS * torch.arange(1, 25) * 40
    near = torch.cat([place.cos(), place.sin(), 0.3 * torch.randn(TOKENS, 14, generator=source)], -1)
    query = torch.cat([near, torch.ones(TOKENS, 1), torch.zeros(TOKENS, 1)], -1)
    key = torch.cat([near, torch.zeros(TOKENS, 2)], -1)
    key[0, -2], query[NEEDLE[0], -1], key[NEEDLE[1], -1] = 45.0, 20.0, 20.0
    return query, key
