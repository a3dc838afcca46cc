"""Vision: a picture as a model reads it, and its attention by patch."""

import json
import os
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_surgeon.errors import FileFormatError, ShapeError, SurgeryError
from attention_surgeon.files import file_access_error
from attention_surgeon.surgery.capture import CapturedLayer
from attention_surgeon.surgery.layers import model_name

_HALF = (0.5, 0.5, 0.5)


@final
class Patches:
    """How a vision model cuts a picture.

    Attributes:
        rows: Patches from top to bottom.
        columns: Patches from left to right.
    """

    def __init__(self, model: nn.Module) -> None:
        """Ask a model's configuration.

        Raises:
            SurgeryError: it has no size of picture and patch.
        """
        config = getattr(model, "config", None)
        config = getattr(config, "vision_config", config)
        size, patch = (getattr(config, name, None) for name in ("image_size", "patch_size"))
        if size is None or patch is None:
            raise SurgeryError(f"{model_name(model)} says no image_size and patch_size, so it reads no picture.")
        self.height, self.width = size if isinstance(size, list | tuple) else (size, size)
        high, wide = patch if isinstance(patch, list | tuple) else (patch, patch)
        self.rows, self.columns = self.height // high, self.width // wide

    @property
    def names(self) -> tuple[str, ...]:
        """One name for each patch, row and column."""
        return tuple(f"{row},{column}" for row in range(self.rows) for column in range(self.columns))


def picture_part(model: nn.Module) -> nn.Module:
    """Return what of a model reads the picture: its vision part, where it reads a text as well (CLIP), or all of it."""
    part = getattr(model, "vision_model", None)
    reads_text = getattr(model, "main_input_name", "") == "input_ids"
    return part if reads_text and isinstance(part, nn.Module) else model


def over_patches(
    layer: CapturedLayer, rows: int, columns: int, *, query: int | None = 0
) -> Float[Tensor, "heads rows columns"]:
    """Return what one position gives to each patch of the picture, by head.

    Args:
        layer: A layer of a captured vision model, its patches last: behind a class token, and register tokens.
        rows: Patches from top to bottom.
        columns: Patches from left to right.
        query: Which position gives; 0 is the class token where there is one; None: the mean over all patches.

    Raises:
        ShapeError: there are fewer keys than patches.

    Source: Caron et al. 2021, "Emerging properties in self-supervised vision transformers", figure 1.
    """
    weights = layer["pattern"]
    count = rows * columns
    if weights.shape[-1] < count:
        raise ShapeError(
            f"over_patches: layer {layer.name} has {weights.shape[-1]} keys, fewer than {rows} x {columns} patches."
        )
    chosen = weights[:, -count:].mean(1) if query is None else weights[:, query]  # (heads, n_q, n_k) -> (heads, n_k)
    return chosen[:, -count:].unflatten(-1, (rows, columns))


def read_picture(
    path: str | os.PathLike[str], model: nn.Module, folder: Path | None = None
) -> tuple[Tensor, np.ndarray]:
    """Return a picture as a model takes it, `(1, 3, height, width)`, and as it is to be shown, `(height, width, 3)`.

    It is scaled to the size that the model reads; mean and spread are those of `preprocessor_config.json` in the
    model's folder, or 0.5.

    Args:
        path: A picture in any format that Pillow reads.
        model: What is to read it.
        folder: The model's folder; None: there is none.

    Raises:
        FileAccessError, FileFormatError: the file cannot be read, or is no picture.
        SurgeryError: the model reads no pictures.
    """
    from PIL import Image, UnidentifiedImageError  # here, because it is needed for pictures alone

    patches = Patches(model)
    try:
        with Image.open(path) as opened:
            scaled = opened.convert("RGB").resize((patches.width, patches.height), Image.Resampling.BICUBIC)
    except UnidentifiedImageError:
        raise FileFormatError(f"{path} is no picture that can be read; expected PNG, JPEG, WebP or the like.") from None
    except OSError as error:
        raise file_access_error("read", Path(path), error) from error
    shown = np.asarray(scaled)
    described: dict[str, Any] = {}
    if folder is not None and (folder / "preprocessor_config.json").is_file():
        described = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    mean, spread = (torch.tensor(described.get(name) or _HALF) for name in ("image_mean", "image_std"))
    pixels = (torch.from_numpy(shown.copy()).float() / 255 - mean) / spread
    return pixels.permute(2, 0, 1)[None], shown  # (height, width, 3) -> (1, 3, height, width)
