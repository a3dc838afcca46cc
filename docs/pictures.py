"""Draw the pictures of README and docs, for light and for dark pages: `python -m docs.pictures`."""

from io import BytesIO
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure
from PIL import Image

from attention_surgeon.experiments import experiment_scaling_factor
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import tokenize, trace_text
from attention_surgeon.plots import (
    plot_fault,
    plot_mask,
    plot_multihead_attention,
    plot_scale_comparison,
    plot_scaling_curves,
    save_figure,
)
from attention_surgeon.plots.ideas import IDEAS
from docs import page, scan, surgery

IMAGES = Path(__file__).parent / "images"
SENTENCE = "The cat sat on the mat. The mat lay by the door."
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

DRAWN_FAULTS = (
    "projection_transposed",
    "heads_merged_without_transpose",
    "heads_split_by_view",
    "key_as_value",
    "scale_missing",
    "mask_inverted",
    "mask_after_softmax",
    "mask_off_by_one",
    "nan_rows",
    "causal_aligned_at_start",
    "softmax_over_queries",
    "softmax_over_everything",
)
"""The faults whose picture stands in the catalogue."""

_COLOURS = 96  # enough for two hues, their shades and the letters; a file is a quarter as large


def main() -> None:
    """Write each picture as `images/NAME-light.png` and `images/NAME-dark.png`."""
    tokens = tokenize(SENTENCE)
    healthy, unscaled, causal = (
        trace_text(tokens),
        trace_text(tokens, scale=False),
        trace_text(tokens, mask=causal_mask),
    )
    records = experiment_scaling_factor().records
    IMAGES.mkdir(exist_ok=True)
    page.draw()
    for theme in THEMES:
        spelling = healthy.head(0).weights
        figures = {
            "scale": plot_scale_comparison(spelling, unscaled.head(0).weights, tokens, theme=theme),
            "heads": plot_multihead_attention(causal.weights, tokens, 4, title="Four heads, causal mask", theme=theme),
            "causal": plot_mask(causal_mask(len(tokens)), tokens, title="The causal mask", theme=theme),
            "scaling": plot_scaling_curves(records, theme=theme),
        }
        for name, figure in figures.items():
            save_figure(figure, IMAGES / f"{name}-{theme}.png")
        save_small(scan.figure(theme), IMAGES / f"scan-{theme}.png")
        for kind in surgery.KINDS:
            save_small(surgery.figure(kind, theme), IMAGES / f"surgery-{kind}-{theme}.png")
        for name, draw in IDEAS.items():
            save_figure(draw(theme), IMAGES / f"intuition-{name}-{theme}.png")
        for name in DRAWN_FAULTS:
            save_small(plot_fault(name, theme=theme), IMAGES / f"fault-{name}-{theme}.png")


def save_small(figure: Figure, path: Path) -> None:
    """Write a figure with few colours."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    Image.open(drawn).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
