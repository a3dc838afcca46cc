"""Draw the pictures of README and docs, for light and for dark pages: `python -m docs.pictures`."""

from pathlib import Path
from typing import Literal

from attention_surgeon.experiments import experiment_scaling_factor
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import tokenize, trace_text
from attention_surgeon.plots import (
    plot_mask,
    plot_multihead_attention,
    plot_scale_comparison,
    plot_scaling_curves,
    save_figure,
)

IMAGES = Path(__file__).parent / "images"
SENTENCE = "The cat sat on the mat. The mat lay by the door."
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


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


if __name__ == "__main__":
    main()
