"""What `surgeon view` shows of a model: every weight of a text, or cells of many weights where there are too many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from attention_surgeon.cli.console import note
from attention_surgeon.cli.operate import fitting
from attention_surgeon.cli.scan_sources import Layer, Running, reached
from attention_surgeon.errors import OptionError
from attention_surgeon.stats import AttentionScan, scan_attention
from attention_surgeon.surgery import (
    Capture,
    LoadedModel,
    Patches,
    attention_layers,
    capture,
    fit_to_context,
    heard,
    load_model,
    over_patches,
    read_picture,
    read_sound,
    written,
)
from attention_surgeon.surgery.inputs import context_length, read_ids
from attention_surgeon.surgery.vision import picture_part
from attention_surgeon.viewer import Page, view

_MOST_WEIGHTS = 50_000_000
"""Of all heads together; a capture holds each four times, 4 bytes each."""
_RESOLUTION, _WRITTEN = 512, 20


def subject_of(
    name: str, text: str, target: str | None, stack: str | None, write: int | None = None
) -> tuple[Capture | dict[str, dict[str, AttentionScan]], int | None]:
    """Return what a page shows of a model that reads a text, and how many tokens it was given, where it then wrote.

    Args:
        name: As `load_model` takes it.
        text: Of any length; what the model cannot read at once is cut, and that is said.
        target: What an encoder-decoder is to write; None: the text.
        stack: Which of several stacks of layers; None: all, to be picked in the page.
        write: How many tokens it is to write; None: none.

    Raises:
        SurgeonError: as `load_model` and `capture`; no such stack.
    """
    loaded = load_model(name, note)
    chosen = _stacks(loaded, stack)
    longest = context_length(loaded.model)
    room = None if write is None or longest is None else max(longest - write, 1)  # for what it is to write
    shortened, left_out = fit_to_context(loaded.model, text, loaded.tokenizer, room)
    if left_out is not None:
        note(left_out)
    prompt_length = None
    if write is not None:
        prompt_length = read_ids(shortened, loaded.tokenizer).shape[1]
        shortened = written(loaded.model, shortened, write, tokenizer=loaded.tokenizer)
    if _count_weights(loaded, shortened, chosen) > _MOST_WEIGHTS and not _have_cells(loaded, shortened, target, chosen):
        shortened, _ = fitting(loaded, text, _MOST_WEIGHTS)
    elif _count_weights(loaded, shortened, chosen) > _MOST_WEIGHTS:
        return _pooled(loaded, shortened, target, chosen), prompt_length
    captured = capture(loaded.model, shortened, tokenizer=loaded.tokenizer, target=target, layers=stack or None)
    return captured if stack is None else captured.of_stack(stack), prompt_length


def listening(name: str, sound: Path, target: str | None, stack: str | None, write: int | None) -> Capture:
    """Return what a model does that listens, and what one that writes too makes of it.

    Args:
        name: As `load_model` takes it.
        sound: A WAV file.
        target: What it is to write; None: what it hears.
        stack: Which of several stacks of layers; None: all.
        write: How many tokens it may write; None: 20.

    Raises:
        SurgeonError: as `load_model`, `read_sound` and `capture`; no such stack.
    """
    loaded = load_model(name, note)
    _stacks(loaded, stack)
    recording = read_sound(sound, loaded.model, _folder(name))
    ids = None if target is None else read_ids(target, loaded.tokenizer)
    arguments = heard(loaded.model, recording, ids, _WRITTEN if write is None else write)
    captured = capture(loaded.model, arguments, tokenizer=loaded.tokenizer, layers=stack or None)
    return recording.timed(captured)


def _folder(name: str) -> Path | None:
    """Return the folder of a model, which says how it reads what is no text; None for a built-in one or an id."""
    return Path(name) if Path(name).is_dir() else None


def _stacks(loaded: LoadedModel, stack: str | None) -> list[str]:
    """Return the stacks that are shown: the one that is asked for, or all.

    Raises:
        OptionError: no such stack.
    """
    stacks = list(dict.fromkeys(layer.stack for layer in attention_layers(loaded.model)))
    if stack is not None and stack not in stacks:
        known = ", ".join(filter(None, stacks)) or "one stack only, which has no name"
        raise OptionError(f"--stack is {stack!r}; {loaded.name} has {known}.")
    return stacks if stack is None else [stack]


def _count_weights(loaded: LoadedModel, text: Any, stacks: Sequence[str]) -> int:
    num_heads = sum(layer.num_heads or 1 for layer in attention_layers(loaded.model) if layer.stack in stacks)
    return num_heads * read_ids(text, loaded.tokenizer).shape[1] ** 2


def _have_cells(loaded: LoadedModel, text: Any, target: str | None, stacks: Sequence[str]) -> bool:
    """Tell whether each stack has a layer that can be shown in cells of many weights."""
    return all(any(reached(loaded, text, stack or None, target).values()) for stack in stacks)


def _pooled(
    loaded: LoadedModel, text: Any, target: str | None, stacks: Sequence[str]
) -> dict[str, dict[str, AttentionScan]]:
    length = read_ids(text, loaded.tokenizer).shape[1]
    note(f"with {length:,} tokens the page shows cells of many weights each, as surgeon scan makes them.")
    found: dict[str, dict[str, AttentionScan]] = {}

    def scan(layer: Layer) -> None:
        parts = (layer.query, layer.key, layer.value, layer.mask)
        name = layer.name.removeprefix("layer ")
        stack = name.rpartition(" ")[0]
        scans = found.setdefault(stack, {})
        scans[name] = scan_attention(*parts, scale=layer.scale, resolution=_RESOLUTION)

    for stack in stacks:
        Running(loaded, text, stack or None, target).visit(scan, note)
    if not found:
        raise OptionError(
            f"{loaded.name}: no layer of {length:,} tokens can be shown in cells; a shorter text shows every weight."
        )
    return found


@final
@dataclass(frozen=True, eq=False)
class ShownPicture:
    """A picture that a vision model has read.

    Attributes:
        captured: What its layers did.
        picture: As it is shown, `(height, width, 3)`.
        patches: How it was cut.
        title: Model and file.
    """

    captured: Capture
    picture: np.ndarray
    patches: Patches
    title: str

    def page(self, max_megabytes: float) -> Page:
        """Return the page that lays the weights over the picture."""
        cut = (self.patches.rows, self.patches.columns)
        return view(self.captured, picture=self.picture, patches=cut, title=self.title, max_megabytes=max_megabytes)

    def save(self, path: Path, layer: str | None) -> None:
        """Write the weights of one layer over the picture; None: the last layer."""
        from attention_surgeon.plots import plot_over_picture, save_figure  # here, because it loads matplotlib

        shown = self.captured.layers[-1] if layer is None else self.captured.layer(layer)
        has_class = shown.trace.weights.shape[-1] > len(self.patches.names)
        weights = over_patches(shown, self.patches.rows, self.patches.columns, query=0 if has_class else None)
        save_figure(plot_over_picture(self.picture, weights, title=f"{self.title}, layer {shown.name}"), path)


def picture_of(name: str, image: Path) -> ShownPicture:
    """Return what a vision model does with a picture.

    Raises:
        SurgeonError: as `load_model`, `read_picture` and `capture`.
    """
    loaded = load_model(name, note)
    reader = picture_part(loaded.model)
    pixels, shown = read_picture(image, reader, _folder(name))
    captured = capture(reader, {"pixel_values": pixels})
    return ShownPicture(captured, shown, Patches(reader), f"{Path(loaded.name).name}: {image.name}")
