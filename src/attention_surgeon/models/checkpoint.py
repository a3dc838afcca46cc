"""Checkpoints: one safetensors file each, parameters and moments as tensors, everything else as JSON in its header.

A checkpoint is written beside its place and moved there in one step, and the one before it stays until the next is
whole. So whenever the machine stops, one of the two can be read.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attention_surgeon.errors import FileFormatError, OptionError
from attention_surgeon.files import file_access_error, write_file

_METADATA_KEY, _VERSION = "attention_surgeon_checkpoint", 1
_KEPT = 2
_NAME = re.compile(r"step-(\d{8})\.safetensors")


@final
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training in the middle.

    Attributes:
        step: Steps done.
        settings: What must be the same for the training to go on, as plain data.
        records: One mapping per step that was done.
        tensors: Parameters and moments by name.
    """

    step: int
    settings: Mapping[str, Any]
    records: tuple[Mapping[str, Any], ...]
    tensors: Mapping[str, Tensor]

    def require_settings(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Refuse to go on with a training of other settings.

        Raises:
            OptionError: it names every setting that differs.
        """
        mine, others = _flat(self.settings), _flat(settings)
        different = [
            f"{name} was {mine.get(name)!r:.40} and is now {others.get(name)!r:.40}"
            for name in sorted(mine.keys() | others.keys())
            if mine.get(name) != others.get(name)
        ]
        if different:
            raise OptionError(
                f"the checkpoints in {folder} are of another training: {'; '.join(different)}. "
                f"Take the old settings, or another folder."
            )


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint into `folder`, which is made if need be, and remove all but the last two; return its path.

    Raises:
        FileAccessError: the folder or the file cannot be written, for example because the disk is full. The
            checkpoints that are there already stay.
    """
    described = {"version": _VERSION, "step": checkpoint.step, "settings": checkpoint.settings}
    text = json.dumps({**described, "records": checkpoint.records})
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    content = safetensors.torch.save(tensors, metadata={_METADATA_KEY: text})
    path = folder / f"step-{checkpoint.step:08}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_access_error("make the folder", folder, error) from error
    write_file(path, content)
    for old in list_checkpoints(folder)[_KEPT:]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Return the checkpoint that `save_checkpoint` wrote.

    Raises:
        FileAccessError: no such file, a folder, no permission.
        FileFormatError: something else, cut short, damaged, or of a newer version.
    """
    path = Path(path)
    try:
        with path.open("rb"):  # for the operating system's own words on what is wrong
            pass
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
            # Cloned, because what comes out of the file is a window on it: it would change when the file does.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except SafetensorError as error:
        raise FileFormatError(f"{path} is no checkpoint, or it was cut short or damaged: {error}.") from None
    except OSError as error:
        raise file_access_error("read", path, error) from error
    described = _description(text, path)
    return Checkpoint(described["step"], described["settings"], tuple(described["records"]), tensors)


def latest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint of a folder that can be read, and a sentence for each newer one that cannot.

    Raises:
        FileAccessError: a checkpoint may not be read.
    """
    problems = []
    for path in list_checkpoints(folder):
        try:
            return load_checkpoint(path), problems
        except FileFormatError as error:
            problems.append(f"{error} The one before it is used.")
    return None, problems


def _description(text: str | None, path: Path) -> dict[str, Any]:
    try:
        described = json.loads(text or "null")
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path} is a damaged checkpoint: its description is not JSON ({error}).") from None
    if not isinstance(described, dict) or not {"version", "step", "settings", "records"} <= described.keys():
        raise FileFormatError(f"{path} is a safetensors file but no checkpoint: its header does not describe one.")
    if described["version"] != _VERSION:
        raise FileFormatError(
            f"{path} is a checkpoint of version {described['version']!r}; this package reads {_VERSION}: update it."
        )
    return described


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found = {}
    for name, value in settings.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found
