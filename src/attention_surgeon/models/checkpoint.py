"""Checkpoints: one safetensors file each, parameters and moments as tensors, everything else as JSON in its header.

A checkpoint is written beside its place and moved there in one step, and the one before it stays until the next is
whole. So whenever the machine stops, one of the two can be read. A hash over everything in it stands in the header: a
disk that gives back other numbers than it was given is noticed, and not trained on.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attention_surgeon.errors import FileFormatError, OptionError
from attention_surgeon.files import file_access_error, write_file

_METADATA_KEY, _VERSION = "attention_surgeon_checkpoint", 2
_KEPT = 2
_NAME = re.compile(r"step-(\d{8})\.safetensors")
_UNFINISHED = ".step-*.safetensors"  # what `write_file` writes beside it, and a killed process leaves there


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

    def require_shapes(self, shapes: Mapping[str, Sequence[int]], path: Path) -> None:
        """Refuse tensors that do not fit.

        Raises:
            FileFormatError: a tensor is missing, or has another shape, or there is one too many.
        """
        mine = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        wanted = {name: tuple(shape) for name, shape in shapes.items()}
        for name in sorted(mine.keys() | wanted.keys()):
            if mine.get(name) != wanted.get(name):
                raise FileFormatError(
                    f"{path} does not fit the model: {name} has shape {mine.get(name, 'none')}, "
                    f"expected {wanted.get(name, 'none')}."
                )


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint into `folder`, which is made if need be, and remove all but the last two; return its path.

    Raises:
        FileAccessError: the folder or the file cannot be written, for example because the disk is full. The
            checkpoints that are there already stay.
    """
    described = {"version": _VERSION, "step": checkpoint.step, "settings": checkpoint.settings}
    described["records"] = checkpoint.records
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    # One key: several would stand in the header in an order that changes from process to process.
    text = json.dumps(described | {"sha256": _digest(described, tensors)})
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
    if described.pop("sha256") != _digest(described, tensors):
        raise FileFormatError(f"{path} is damaged: its content is not what was written.")
    return Checkpoint(described["step"], described["settings"], tuple(described["records"]), tensors)


def latest_checkpoint(
    folder: Path, settings: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]
) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint of a folder that can be used, and a sentence for each newer one that cannot.

    Args:
        folder: Where they are.
        settings: Those of the training that is to go on.
        shapes: Of all tensors that it needs.

    Raises:
        FileAccessError: a checkpoint may not be read.
        OptionError: they are of another training.
    """
    problems: list[str] = []
    for path in list_checkpoints(folder):
        try:
            checkpoint = load_checkpoint(path)
            checkpoint.require_settings(settings, folder)
            checkpoint.require_shapes(shapes, path)
        except FileFormatError as error:
            problems.append(str(error))
            continue
        return checkpoint, [f"{problem} The one before it is used." for problem in problems]
    return None, [f"{problem} There is none before it that can be used: it begins anew." for problem in problems]


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left half written; it would fill the disk in the end."""
    for path in folder.glob(_UNFINISHED):
        path.unlink(missing_ok=True)


def _description(text: str | None, path: Path) -> dict[str, Any]:
    try:
        described = json.loads(text or "null")
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path} is a damaged checkpoint: its description is not JSON ({error}).") from None
    if not isinstance(described, dict) or not {"version", "step", "settings", "records"} <= described.keys():
        raise FileFormatError(f"{path} is a safetensors file but no checkpoint: its header does not describe one.")
    if described["version"] != _VERSION:
        raise FileFormatError(
            f"{path} is a checkpoint of version {described['version']!r}; this package reads {_VERSION}, so it has to "
            f"be trained anew, or with the package that wrote it."
        )
    return {"sha256": None} | described


def _digest(described: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the description and of names, types, shapes and numbers of all tensors."""
    whole = hashlib.sha256(json.dumps(described).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        whole.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found = {}
    for name, value in settings.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found
