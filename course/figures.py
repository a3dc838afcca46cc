"""Draw the figures of the course's pages again: `python course/figures.py`. Every number in them is computed here."""

import math
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from attention_surgeon.experiments import experiment_scaling_factor
from attention_surgeon.masks import causal_mask, padding_mask, reverse_mask
from attention_surgeon.models import trace_text
from attention_surgeon.ops import attention
from attention_surgeon.plots import (
    plot_attention_heatmap,
    plot_multihead_attention,
    plot_scale_comparison,
    plot_scaling_curves,
)
from attention_surgeon.plots.style import theme_named
from attention_surgeon.plots.weights import draw_weights
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

COURSE = Path(__file__).parent
TOKENS = ["The", "cat", "sat", "on", "the", "mat"]
_COLOURS = 64  # one hue and its shades; a file is a quarter as large


def main() -> None:
    """Write every figure."""
    scaled, unscaled = trace_text(TOKENS), trace_text(TOKENS, scale=False)
    causal = trace_text(TOKENS, mask=causal_mask)
    weights = scaled.head(0).weights
    drawn = {
        "problems/02-attention-basics/figures/map.png": plot_attention_heatmap(weights, TOKENS, "Who attends to whom"),
        "chapter01_attention/figures/lookup.png": lookup(),
        "chapter01_attention/figures/scale.png": plot_scale_comparison(weights, unscaled.head(0).weights, TOKENS),
        "chapter01_attention/figures/heads.png": plot_multihead_attention(scaled.weights, TOKENS, len(scaled.weights)),
        "lab1_self_attention/figures/masks.png": masks(),
        "lab1_self_attention/figures/heads.png": plot_multihead_attention(
            causal.weights, TOKENS, len(causal.weights), title="Four heads under the causal mask"
        ),
        "project04_attention_surgeon/figures/patterns.png": patterns(),
        "project04_attention_surgeon/figures/directions.png": directions(),
        "project04_attention_surgeon/figures/scaling.png": plot_scaling_curves(experiment_scaling_factor().records),
        "m5_attention_from_scratch/figures/steps.png": steps(),
    }
    for path, figure in drawn.items():
        save(figure, COURSE / path)


def lookup() -> Figure:
    """Return the weights of one query over five keys, with the query made longer and longer: soft to hard lookup."""
    angles = torch.arange(5) * math.pi / 8
    keys = torch.stack([angles.cos(), angles.sin()], dim=-1)
    query = torch.tensor([[math.cos(0.9), math.sin(0.9)]])
    lengths = [0.0, 2.0, 8.0, 32.0, 128.0]
    rows = torch.cat([attention(length * query, keys, keys)[1] for length in lengths])
    names = [f"query x {length:g}" for length in lengths]
    return _draw([rows], names, [f"key {i}" for i in range(5)], "A longer query looks up more sharply", [""])


def masks() -> Figure:
    """Return the weights of even scores under no mask, the causal mask and a padding mask."""
    n = len(TOKENS)
    allowed = [torch.ones(n, n, dtype=torch.bool), causal_mask(n).dense(), padding_mask([n - 2], n).dense()[0]]
    maps = [_even(mask.expand(n, n)) for mask in allowed]
    return _draw(maps, TOKENS, TOKENS, "Even scores under three masks", ["none", "causal", "padding: last two"])


def directions() -> Figure:
    """Return the weights of the same random scores under the three masks of the ablation."""
    n = len(TOKENS)
    scores = torch.randn(n, n, generator=torch.Generator().manual_seed(1))
    allowed = [causal_mask(n).dense(), torch.ones(n, n, dtype=torch.bool), reverse_mask(n).dense()]
    maps = [torch.softmax(scores.masked_fill(~mask, float("-inf")), -1) for mask in allowed]
    return _draw(maps, TOKENS, TOKENS, "The same scores under three masks", ["causal", "none", "reverse"])


def patterns() -> Figure:
    """Return the four patterns that one looks for, drawn from scores made for it."""
    n = len(TOKENS)
    place = torch.arange(n)
    diagonal = 4.0 * torch.eye(n)
    vertical = torch.zeros(n, n)
    vertical[:, 2] = 4.0
    horizontal = 4.0 * torch.eye(n)
    horizontal[3] = 0.0
    block = 4.0 * ((place[:, None] // 3) == (place // 3)).float()
    maps = [torch.softmax(scores, -1) for scores in (diagonal, vertical, horizontal, block)]
    return _draw(maps, TOKENS, TOKENS, "Four patterns", ["diagonal", "vertical", "horizontal (row 'on')", "blocks"])


def steps() -> Figure:
    """Return weights and mask of a sentence, with and without the scale: the capstone's question in one look."""
    traces = [trace_text(TOKENS, mask=causal_mask), trace_text(TOKENS, mask=causal_mask, scale=False)]
    maps = [trace.head(0).weights for trace in traces]
    return _draw(maps, TOKENS, TOKENS, "Causal attention of one head", ["with 1/√d_k", "without"])


def _even(allowed: Tensor) -> Tensor:
    return allowed.double() / allowed.sum(-1, keepdim=True)


def _draw(maps: list[Tensor], queries: list[str], keys: list[str], title: str, captions: list[str]) -> Figure:
    arrays = [np.asarray(weights, dtype=np.float64) for weights in maps]
    theme = theme_named("light", "figures")
    return draw_weights(arrays, queries, keys, title=title, captions=captions, theme=theme, max_weight=1.0)


def save(figure: Figure, path: Path) -> None:
    """Write a figure with few colours."""
    path.parent.mkdir(exist_ok=True)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    image = Image.open(buffer).convert("RGB")
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
