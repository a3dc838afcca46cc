"""One way to keep a record of tensors: a safetensors file whose header says in JSON what they are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, FileAccessError, FileFormatError
from attention_surgeon.files import file_access_error, write_file
from attention_surgeon.require import kind_of


@dataclass(frozen=True)
class TensorFile:
    """A kind of file.

    Attributes:
        name: What it is called in words, such as "pooled map"; also stands in the file.
        version: Raised when a reader of the old version would misread a new file.
    """

    name: str
    version: int

    @property
    def _entry(self) -> str:
        return f"attention_surgeon_{self.name.replace(' ', '_')}"

    def write(self, path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Write `tensors` and what `about` says of them, whole or not at all.

        Raises:
            FileAccessError: the file cannot be written.
        """
        described = json.dumps({"version": self.version, **about})
        content = {name: tensor.contiguous() for name, tensor in tensors.items()}
        write_file(path, safetensors.torch.save(content, metadata={self._entry: described}))

    def read(self, path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the tensors and what was said of them.

        Raises:
            ArgumentTypeError: `path` is no path.
            FileAccessError: no such file, a folder, no permission.
            FileFormatError: not such a file, cut short, or of a newer version.
        """
        path = _checked_path(path, self.name)
        try:
            with path.open("rb") as file:
                file.read(1)
            with safe_open(path, framework="pt") as opened:
                about = self._about((opened.metadata() or {}).get(self._entry), path)
                # Cloned, because what comes out of the file is a window on it: it would change when the file does.
                return {name: opened.get_tensor(name).clone() for name in opened.keys()}, about
        except OSError as error:
            raise file_access_error("read", path, error) from error
        except SafetensorError as error:
            raise FileFormatError(f"{path} is no {self.name}, or it was cut short or damaged: {error}.") from None

    def _about(self, text: str | None, path: Path) -> dict[str, Any]:
        if text is None:
            raise FileFormatError(f"{path} is a safetensors file but no {self.name}: it has no {self._entry} entry.")
        try:
            about = json.loads(text)
        except json.JSONDecodeError as error:
            raise FileFormatError(f"{path} is a damaged {self.name}: its description is no JSON ({error}).") from None
        version = about.pop("version", None) if isinstance(about, dict) else None
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise FileFormatError(f"{path} is a damaged {self.name}: it does not say its version.")
        if version > self.version:
            raise FileFormatError(
                f"{path} is a {self.name} of format version {version}, this program reads up to {self.version}; "
                f"update it with pip install --upgrade attention-surgeon."
            )
        return about


def _checked_path(path: str | Path, name: str) -> Path:
    if not isinstance(path, str | Path):
        raise ArgumentTypeError(f"reading a {name}: path is {kind_of(path)}, expected a string or a pathlib.Path.")
    if Path(path).is_dir():
        raise FileAccessError(f"cannot read {path}: it is a folder; give the name of a file.")
    return Path(path)
