"""Settings with which every experiment takes a moment, and figures that are drawn once."""

from functools import cache
from typing import Any

import pytest
from matplotlib.figure import Figure

from attention_surgeon.experiments.language import LanguageConfig
from attention_surgeon.experiments.result import Drawings
from attention_surgeon.masks import causal_mask
from attention_surgeon.plots import plot_mask

TEXT = "the cat sat on the mat, and the bat spat at the rat that sat in the hat.\n\n" * 30
LANGUAGE = LanguageConfig(
    num_steps=6, batch_size=3, learning_rate=0.02, context_len=11, embed_dim=6, num_heads=2, num_layers=1
)
_TEXT = {"text": TEXT, "source": "the cat", "language": LANGUAGE}

TINY: dict[str, dict[str, Any]] = {
    "growth": {"d_k_values": (1, 16), "num_draws": 50},
    "scaling": {"d_k_values": (4, 256), "num_keys": (4, 8), "num_draws": 30},
    "saturation": {"spreads": (1.0, 8.0), "num_draws": 20, "d_k_values": (4, 64), "num_steps": 20},
    "masking": {**_TEXT, "num_written": 7},
    "fills": {"num_tokens": 5, "num_draws": 3},
    "width": {"d_k_values": (1, 3), "d_v_values": (2, 3)},
    "rank": {"input_ranks": (1, 3), "num_heads_values": (0, 1, 2)},
    "order": {"num_tokens": 7, "num_draws": 2},
    "lines": {"num_tokens": 7},
    "heads": {**_TEXT, "num_heads_values": (1, 2)},
    "dropout": {**_TEXT, "probabilities": (0.0, 0.5), "num_draws": 50},
    "topk": {"num_keys": 13, "k_values": (1, 13)},
    "promises": {"num_draws": 1},
    "fault": dict(_TEXT),
}

DRAWN = vars(Drawings)["_drawn"]
"""Draws the figures of an experiment itself, where `draw_one` has put something else."""


@cache
def small_figure() -> Figure:
    """Return a mask of three tokens."""
    return plot_mask(causal_mask(3))


def draw_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each experiment show one small figure, where its own are not the point: drawing takes most of the time."""
    monkeypatch.setattr(Drawings, "_drawn", {"drawn": small_figure()})
