"""Sound: a recording as a model that listens takes it, and its attention by time."""

import os
import wave
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_surgeon.errors import FileFormatError, OptionError, SurgeryError
from attention_surgeon.files import file_access_error
from attention_surgeon.surgery.capture import Capture, CapturedLayer
from attention_surgeon.surgery.layers import is_encoder_decoder, model_name

_READS = ("input_features", "input_values")


@final
@dataclass(frozen=True, eq=False)
class Sound:
    """A recording, ready for a model.

    Attributes:
        features: What the model is called with, such as `input_features (1, bands, frames)`.
        seconds: How long it is as the model reads it, the silence behind it included.
    """

    features: Mapping[str, Float[Tensor, "..."]]
    seconds: float

    def timed(self, captured: Capture) -> Capture:
        """Return a capture whose positions of the recording are named by the second at which they begin."""
        return replace(captured, layers=tuple(self._named(layer) for layer in captured.layers))

    def _named(self, layer: CapturedLayer) -> CapturedLayer:
        if layer.stack == "decoder":
            return layer
        trace, count = layer.trace, layer.trace.weights.shape[-1]
        names = tuple(f"{place * self.seconds / count:.2f} s" for place in range(count))
        queries = trace.query_tokens if layer.stack == "cross" else names
        return replace(layer, trace=replace(trace, query_tokens=queries, key_tokens=names))


def read_sound(path: str | os.PathLike[str], model: nn.Module, folder: Path | None = None) -> Sound:
    """Return a recording as a model takes it.

    `preprocessor_config.json` in the model's folder says how; without one, Whisper's bands are made for a model that
    reads `input_features`, and the wave itself for one that reads `input_values`.

    Args:
        path: A WAV file of whole numbers (PCM), with the samples per second that the model reads; several channels are
            averaged.
        model: What is to listen.
        folder: The model's folder; None: there is none.

    Raises:
        FileAccessError, FileFormatError: the file cannot be read, or is no such WAV file.
        OptionError: another number of samples per second.
        SurgeryError: the model reads no sound.
    """
    named = getattr(model, "main_input_name", "")
    if named not in _READS:
        raise SurgeryError(f"{model_name(model)} reads {named or 'no arguments of that kind'}, so it hears no sound.")
    reader = _reader(model, named, folder)
    samples, rate = _wave(Path(path))
    wanted = int(reader.sampling_rate)
    if rate != wanted:
        raise OptionError(
            f"{path} has {rate:,} samples per second, and {model_name(model)} reads {wanted:,}; "
            f"ffmpeg -i {Path(path).name} -ar {wanted} resampled.wav makes such a file."
        )
    features = reader(samples, sampling_rate=rate, return_tensors="pt")[named]
    padded = getattr(reader, "n_samples", len(samples)) if named == "input_features" else len(samples)
    return Sound({named: features}, padded / rate)


def heard(model: nn.Module, sound: Sound, target: Tensor | None, count: int) -> dict[str, Tensor]:
    """Return the arguments with which a model listens; one that writes too gets what it is to write.

    Args:
        model: What listens.
        sound: What it hears.
        target: Ids that it is to write, `(1, n)`; None: what it writes itself, the likeliest token each time.
        count: How many of them at most.
    """
    arguments = dict(sound.features)
    if not is_encoder_decoder(model):
        return arguments
    config: Any = model.config
    ids = torch.full((1, 1), config.decoder_start_token_id or 0)
    if target is not None:
        return arguments | {"decoder_input_ids": torch.cat([ids, target], dim=1)}
    with torch.no_grad():
        result: Any = model(**arguments, decoder_input_ids=ids)
        listened = (result.encoder_last_hidden_state,)
        for _ in range(count):
            following = model(encoder_outputs=listened, decoder_input_ids=ids).logits[:, -1:].argmax(-1)
            if following.item() == config.eos_token_id:
                break
            ids = torch.cat([ids, following], dim=1)
    return arguments | {"decoder_input_ids": ids}


def _reader(model: nn.Module, named: str, folder: Path | None) -> Any:
    import transformers  # here, because it takes seconds

    if folder is not None and (folder / "preprocessor_config.json").is_file():
        return transformers.AutoFeatureExtractor.from_pretrained(folder)
    if named == "input_values":
        return transformers.Wav2Vec2FeatureExtractor()
    config: Any = model.config
    bands, places = (getattr(config, name, None) for name in ("num_mel_bins", "max_source_positions"))
    if bands is None or places is None:
        raise SurgeryError(f"{model_name(model)} has no preprocessor_config.json that says how it reads a sound.")
    reader = transformers.WhisperFeatureExtractor(feature_size=bands)
    seconds = 2 * places * reader.hop_length // reader.sampling_rate  # two frames become one position
    return transformers.WhisperFeatureExtractor(feature_size=bands, chunk_length=max(seconds, 1))


def _wave(path: Path) -> tuple[np.ndarray, int]:
    """Return the samples between -1 and 1, and how many there are in a second."""
    try:
        with path.open("rb") as file, wave.open(file) as opened:
            width, channels, rate = opened.getsampwidth(), opened.getnchannels(), opened.getframerate()
            content = opened.readframes(opened.getnframes())
    except (wave.Error, EOFError):
        raise FileFormatError(f"{path} is no WAV file of whole numbers (PCM).") from None
    except OSError as error:
        raise file_access_error("read", path, error) from error
    content = content[: len(content) // (width * channels) * width * channels]
    if not content:
        raise FileFormatError(f"{path} holds no sample.")
    if width == 1:
        numbers = np.frombuffer(content, np.uint8).astype(np.float32) - 128
    else:  # the highest bytes of 32 bits
        parts = np.frombuffer(content, np.uint8).reshape(-1, width)
        whole = np.zeros((len(parts), 4), np.uint8)
        whole[:, 4 - width :] = parts
        numbers = whole.view("<i4")[:, 0].astype(np.float32) / 2.0 ** (32 - 8 * width)
    return numbers.reshape(-1, channels).mean(1) / 2.0 ** (8 * width - 1), rate
