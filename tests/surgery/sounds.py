"""A recording of a tone, and a small model that hears it."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

RATE, SECONDS = 16_000, 0.5
TONE = 0.5 * np.sin(np.arange(int(RATE * SECONDS)) / 17)


def recording(path: Path, width: int = 2, channels: int = 1, rate: int = RATE, tone: np.ndarray = TONE) -> Path:
    """Write a tone as whole numbers of `width` bytes; a second channel holds its negative, halved."""
    scale, shift = 2.0 ** (8 * width - 1) - 1, 128 if width == 1 else 0
    sides = np.stack([tone, -tone / 2], 1)[:, :channels]
    numbers = (sides * scale).round().astype(int) + shift
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(
            b"".join(int(one).to_bytes(width, "little", signed=width > 1) for one in numbers.flatten().tolist())
        )
    return path


def small_whisper() -> Any:
    """Return a Whisper of one layer a stack, three heads, that hears one second."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"d_model": 12, "encoder_layers": 1, "decoder_layers": 1, "num_mel_bins": 80}
    sizes |= {f"{side}_attention_heads": 3 for side in ("encoder", "decoder")}
    sizes |= {f"{side}_ffn_dim": 5 for side in ("encoder", "decoder")}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = transformers.WhisperConfig(**sizes, **special, vocab_size=19, max_source_positions=50)  # one second
    return transformers.WhisperForConditionalGeneration(config).eval()
