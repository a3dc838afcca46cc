"""Sound: files of every width against the wave that was written, what a model is handed, and names by second."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from attention_surgeon.errors import FileAccessError, FileFormatError, OptionError, SurgeryError
from attention_surgeon.surgery import capture, heard, read_sound
from tests.surgery.families import make
from tests.surgery.sounds import RATE, SECONDS, TONE, recording, small_whisper


@pytest.fixture
def whisper() -> Any:
    return small_whisper()


@pytest.fixture
def listener() -> nn.Module:
    sizes: dict[str, Any] = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    sizes |= {"intermediate_size": 5, "conv_dim": (4, 4), "conv_kernel": (10, 3), "conv_stride": (40, 8)}
    sizes |= {"num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    return transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**sizes)).eval()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_wave_is_that_of_the_file(width: int, channels: int, tmp_path: Path, listener: nn.Module):
    sound = read_sound(recording(tmp_path / "tone.wav", width, channels), listener)
    expected = transformers.Wav2Vec2FeatureExtractor()(TONE, sampling_rate=RATE, return_tensors="pt")
    assert sound.features["input_values"].shape == (1, len(TONE))
    steps = 2 * 2.0 ** (-8 * width) / (TONE.std() * (1 if channels == 1 else 0.25))  # one of each rounding, in spreads
    torch.testing.assert_close(sound.features["input_values"], expected["input_values"], atol=steps + 1e-4, rtol=0)
    assert sound.seconds == SECONDS


def test_whisper_hears_what_its_own_reader_makes(tmp_path: Path, whisper: Any):
    sound = read_sound(recording(tmp_path / "tone.wav", width=4), whisper)
    config = whisper.config
    seconds = 2 * config.max_source_positions * 160 // RATE
    own = transformers.WhisperFeatureExtractor(feature_size=config.num_mel_bins, chunk_length=seconds)
    expected = own(TONE, sampling_rate=RATE, return_tensors="pt")["input_features"]
    torch.testing.assert_close(sound.features["input_features"], expected, atol=1e-3, rtol=0)
    assert sound.seconds == seconds


def test_the_folder_says_how_it_is_read(tmp_path: Path, whisper: Any):
    transformers.WhisperFeatureExtractor(feature_size=7, chunk_length=2).save_pretrained(tmp_path)
    sound = read_sound(recording(tmp_path / "tone.wav"), whisper, tmp_path)
    assert (tuple(sound.features["input_features"].shape), sound.seconds) == ((1, 7, 200), 2.0)


def test_positions_are_named_by_second(tmp_path: Path, whisper: Any):
    sound = read_sound(recording(tmp_path / "tone.wav"), whisper)
    captured = sound.timed(capture(whisper, heard(whisper, sound, torch.tensor([[5, 6]]), 0)))
    count = whisper.config.max_source_positions
    times = tuple(f"{place * sound.seconds / count:.2f} s" for place in range(count))
    encoder, decoder, cross = (captured.of_stack(name).layers[0].trace for name in ("encoder", "decoder", "cross"))
    assert (encoder.query_tokens, encoder.key_tokens, cross.key_tokens) == (times, times, times)
    start = str(whisper.config.decoder_start_token_id)
    assert decoder.query_tokens == decoder.key_tokens == cross.query_tokens == (start, "5", "6")


def test_what_it_writes_is_the_likeliest_each_time(tmp_path: Path, whisper: Any):
    sound = read_sound(recording(tmp_path / "tone.wav"), whisper)
    arguments = heard(whisper, sound, None, 3)
    ids = arguments["decoder_input_ids"]
    with torch.no_grad():
        following = whisper(**arguments).logits.argmax(-1)
    assert torch.equal(following[:, :-1], ids[:, 1:])
    assert ids.shape == (1, 4) or following[0, -1] == whisper.config.eos_token_id


def test_a_model_that_only_listens_gets_the_sound_alone(tmp_path: Path, listener: nn.Module):
    sound = read_sound(recording(tmp_path / "tone.wav"), listener)
    assert set(heard(listener, sound, None, 3)) == {"input_values"}
    captured = sound.timed(capture(listener, heard(listener, sound, None, 3)))
    assert captured.layers[0].trace.key_tokens[:2] == ("0.00 s", "0.02 s")


def test_what_cannot_be_heard(tmp_path: Path, whisper: Any):
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(FileFormatError, match=r"text\.wav is no WAV file"):
        read_sound(tmp_path / "text.wav", whisper)
    with pytest.raises(FileFormatError, match=r"empty\.wav holds no sample"):
        read_sound(recording(tmp_path / "empty.wav", tone=TONE[:0]), whisper)
    with pytest.raises(FileAccessError, match=r"missing\.wav"):
        read_sound(tmp_path / "missing.wav", whisper)
    with pytest.raises(OptionError, match=r"8,000 samples per second, and .* reads 16,000; ffmpeg -i slow\.wav -ar"):
        read_sound(recording(tmp_path / "slow.wav", rate=8_000), whisper)
    with pytest.raises(SurgeryError, match="reads input_ids, so it hears no sound"):
        read_sound(recording(tmp_path / "tone.wav"), make("gpt2"))
