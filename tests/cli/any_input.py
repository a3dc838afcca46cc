"""Thirty commands and eight inputs, each of which ends with a result or with one plain sentence, never in a traceback.

    python -m tests.cli.any_input                        every command with every input (minutes), one line each
    python -m tests.cli.any_input view --inputs 1,512    commands whose words hold `view`, and these inputs

What a command cannot use is handed to it all the same: a sound in place of a trace, a picture in place of a text.
"""

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

from attention_surgeon.cli.app import run
from attention_surgeon.models import trace_text

LENGTHS = {"1": 1, "2": 2, "512": 512, "2000": 2_000, "20000": 20_000}
INPUTS = (*LENGTHS, "picture", "sound", "batch")
_LONGEST = 700
"""Signs of a sentence that is to be read."""

_WORDS = "the cat sat on a mat and the bat spat at the rat that sat in the hat".split()


class Files(NamedTuple):
    """One input as each kind of command takes it: as a text, as tensors, as a trace, as a scan, and as text itself."""

    text: Path
    tensors: Path
    trace: Path
    scan: Path
    words: str


class Outcome(NamedTuple):
    """What a command did: its exit code, what it showed, what it said beside that, and the seconds it took."""

    code: int
    shown: str
    said: str
    seconds: float

    @property
    def fault(self) -> str:
        """What is wrong with how it ended; nothing where it gave a result or one sentence."""
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}: {self.said[-300:]}"
        if "Traceback" in self.said:
            return f"a traceback: {self.said[-300:]}"
        errors = [line for line in self.said.splitlines() if line.startswith("error: ")]
        if self.code == 2 and not (self.shown and not errors) and (len(errors) != 1 or len(errors[0]) > _LONGEST):
            return f"{len(errors)} errors of {max(map(len, errors), default=0)} signs: {self.said[:300]}"
        return ""


Arguments = Callable[[Files, Path, Path], Sequence[str | Path]]
"""From an input, the folder of models and a folder to write into, to what follows `surgeon`."""

COMMANDS: dict[str, Arguments] = {
    "trace": lambda of, _, out: ["trace", "--file", of.text],
    "trace --json": lambda of, _, out: ["trace", "--file", of.text, "--json", "--first", "64", "--mask", "causal"],
    "trace --save": lambda of, _, out: ["trace", "--file", of.text, "--mask", "window:3", "--save", out / "a.trace"],
    "trace --load": lambda of, _, out: ["trace", "--load", of.trace],
    "trace -": lambda of, _, out: ["trace", "-", "--heads", "2"],
    "view": lambda of, _, out: ["view", "--file", of.text, "--out", out / "a.html"],
    "view to a picture": lambda of, _, out: ["view", "--file", of.text, "--out", out / "a.png"],
    "view --trace": lambda of, _, out: ["view", "--trace", of.trace, "--out", out / "a.html"],
    "view --scan": lambda of, _, out: ["view", "--scan", of.scan, "--out", out / "a.html"],
    "view a writer": lambda of, _, out: ["view", "--model", "writer", "--file", of.text, "--out", out / "a.html"],
    "view a writer to a picture": lambda of, _, out: (
        ["view", "--model", "writer", "--file", of.text, "--layer", "1", "--out", out / "a.png"]
    ),
    "view --write": lambda of, _, out: (
        ["view", "--model", "writer", "--file", of.text, "--write", "4", "--out", out / "a.html"]
    ),
    "view an encoder": lambda of, _, out: ["view", "--model", "minilm", "--file", of.text, "--out", out / "a.html"],
    "view a pair": lambda of, models, out: (
        ["view", "--model", models / "t5", "--file", of.text, "--target", "the cat sat", "--out", out / "a.html"]
    ),
    "view without a limit": lambda of, models, out: (
        ["view", "--model", models / "llama", "--file", of.text, "--out", out / "a.html"]
    ),
    "view --image": lambda of, models, out: (
        ["view", "--model", models / "vit", "--image", of.text, "--out", out / "a.html"]
    ),
    "view --image to a picture": lambda of, models, out: (
        ["view", "--model", models / "vit", "--image", of.text, "--out", out / "a.png"]
    ),
    "view --image of a writer": lambda of, _, out: (
        ["view", "--model", "writer", "--image", of.text, "--out", out / "a.html"]
    ),
    "view a text with a vision model": lambda of, models, out: (
        ["view", "--model", models / "vit", "--file", of.text, "--out", out / "a.html"]
    ),
    "view a text with a hearing model": lambda of, models, out: (
        ["view", "--model", models / "whisper", "--file", of.text, "--out", out / "a.html"]
    ),
    "view --sound": lambda of, models, out: (
        ["view", "--model", models / "whisper", "--sound", of.text, "--out", out / "a.html"]
    ),
    "scan --model": lambda of, _, out: ["scan", "--model", "writer", "--file", of.text, "--out", out / "a.scan"],
    "scan an encoder": lambda of, _, out: ["scan", "--model", "minilm", "--file", of.text, "--layers", "0", "--json"],
    "scan without a limit": lambda of, models, out: (
        ["scan", "--model", models / "llama", "--file", of.text, "--layers", "0", "--at-most", "5s"]
    ),
    "scan --tensors": lambda of, _, out: ["scan", "--tensors", of.tensors, "--mask", "causal", "--rows", "64"],
    "scan --trace": lambda of, _, out: ["scan", "--trace", of.trace],
    "operate": lambda of, _, out: ["operate", "--fault", "knock_out", "--heads", "0", "--file", of.text],
    "operate on an encoder": lambda of, _, out: (
        ["operate", "minilm", "--fault", "uniform", "--layers", "0", "--file", of.text, "--out", out / "a.html"]
    ),
    "operate on a pair": lambda of, models, out: (
        ["operate", models / "t5", "--fault", "knock_out", "--layers", "cross", "--file", of.text, "--json"]
    ),
    "operate on a vision model": lambda of, models, out: (
        ["operate", models / "vit", "--fault", "knock_out", "--file", of.text]
    ),
    "sweep": lambda of, _, out: (
        ["sweep", "writer", "--layers", "0", "--heads", "0", "--file", of.text, "--out", out / "heads"]
    ),
    "patch": lambda of, _, out: ["patch", "writer", "--clean", of.words, "--corrupt", of.words, "--layers", "0"],
    "patch --method attribution": lambda of, _, out: (
        ["patch", "writer", "--clean", of.words, "--corrupt", f"{of.words} cat", "--method", "attribution"]
    ),
    "patch --method zero": lambda of, _, out: (
        ["patch", "minilm", "--clean", of.words, "--method", "zero", "--layers", "0", "--out", out / "a.png"]
    ),
    "circuits": lambda of, _, out: ["circuits", of.text],
    "report": lambda of, _, out: ["report", "--quick", "--text", of.text, "--out", out / "report"],
    "experiment show": lambda of, _, out: ["experiment", "show", of.text],
    "diagnose": lambda of, _, out: ["diagnose", of.text],
    "fix": lambda of, _, out: ["fix", of.text],
    "faults": lambda of, _, out: ["faults", of.words],
    "check": lambda of, _, out: ["check", of.text],
    "hint": lambda of, _, out: ["hint", of.words],
    "start": lambda of, _, out: ["start", of.text],
    "grade": lambda of, _, out: ["grade", of.text],
    "course check": lambda of, _, out: ["course", "check", of.text],
    "serve --model": lambda of, _, out: ["serve", "--model", of.text, "--port", "0"],
}


def make_inputs(folder: Path, names: Sequence[str] = INPUTS) -> dict[str, Files]:
    """Write inputs, each in all of its forms, into a folder.

    Texts of many tokens are words of a few letters; the batch is thirty texts, one a line, tensors with a batch axis,
    and a trace of a batch.
    """
    made = {}
    for name in names:
        at = folder / name
        at.mkdir()
        made[name] = _files(name, at)
    return made


def _files(name: str, at: Path) -> Files:
    if name == "picture":
        Image.linear_gradient("L").convert("RGB").resize((60, 40)).save(at / "cat.png")
        return Files(at / "cat.png", at / "cat.png", at / "cat.png", at / "cat.png", "cat.png")
    if name == "sound":
        with wave.open(str(at / "cat.wav"), "wb") as sound:
            sound.setparams((1, 2, 16_000, 0, "NONE", ""))
            sound.writeframes(bytes(range(256)) * 64)
        return Files(at / "cat.wav", at / "cat.wav", at / "cat.wav", at / "cat.wav", "cat.wav")
    if name == "batch":
        words = "\n".join(" ".join(_WORDS[: 1 + row % 7]) for row in range(30))
        query = torch.randn(3, 2, 7, 5)
    else:
        length = LENGTHS[name]
        words = " ".join(_WORDS[place % len(_WORDS)] for place in range(length))
        query = torch.randn(2, length, 5)
    (at / "text.txt").write_text(words)
    save_file({"query": query, "key": query.flip(-1).contiguous()}, at / "tensors.safetensors")
    trace_text(words.split()[:600]).save(at / "kept.trace")
    _quietly(["scan", "--tensors", at / "tensors.safetensors", "--rows", "64", "--out", at / "kept.scan"])
    return Files(at / "text.txt", at / "tensors.safetensors", at / "kept.trace", at / "kept.scan", words)


def make_models(folder: Path) -> Path:
    """Write small random models into a folder: for pictures, for sounds, a pair, one without a table of positions.

    Those that read texts get the word model's tokenizer.
    """
    tokens: dict[str, Any] = {"vocab_size": 4_096, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    width: dict[str, Any] = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 16,
    }
    pair: dict[str, Any] = {**tokens, "decoder_start_token_id": 0}
    kinds: dict[str, Any] = {
        "vit": transformers.ViTForImageClassification(transformers.ViTConfig(**width, image_size=32, patch_size=8)),
        "llama": transformers.LlamaForCausalLM(transformers.LlamaConfig(**width, **tokens)),
        "t5": transformers.T5ForConditionalGeneration(
            transformers.T5Config(d_model=24, d_kv=8, d_ff=16, num_heads=3, num_layers=2, **pair)
        ),
        "whisper": transformers.WhisperForConditionalGeneration(
            transformers.WhisperConfig(
                d_model=24,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=16,
                decoder_ffn_dim=16,
                decoder_start_token_id=0,
                **tokens,
            )
        ),
    }
    for name, model in kinds.items():
        model.save_pretrained(folder / name)
        if name != "vit":
            _copy_tokenizer(folder / name)
    return folder


def _copy_tokenizer(folder: Path) -> None:
    import attention_surgeon.surgery

    writer = Path(attention_surgeon.surgery.__file__).parent / "writer"
    for path in writer.glob("tokenizer*"):
        shutil.copy(path, folder)


def ran(name: str, files: Files, models: Path, out: Path) -> Outcome:
    """Run one command in this process and return how it ended."""
    began = time.perf_counter()
    return Outcome(*_quietly(COMMANDS[name](files, models, out), files.text), time.perf_counter() - began)


def _quietly(arguments: Sequence[str | Path], stdin: Path | None = None) -> tuple[int, str, str]:
    """Run a command, and return its exit code and what it wrote to the standard output and to the standard error."""
    shown, said = io.StringIO(), io.StringIO()
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(b"" if stdin is None else stdin.read_bytes()))
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
            code = run([str(argument) for argument in arguments])
    finally:
        sys.stdin = before
    return code, shown.getvalue(), said.getvalue()


def outcomes(chosen: Sequence[str], inputs: Sequence[str]) -> Iterator[tuple[str, str, Outcome]]:
    """Yield command, input and how it ended."""
    with tempfile.TemporaryDirectory() as scratch:
        for folder in ("inputs", "models", "out"):
            (Path(scratch) / folder).mkdir()
        made, models = make_inputs(Path(scratch) / "inputs", inputs), make_models(Path(scratch) / "models")
        for command in chosen:
            for name in inputs:
                out = Path(tempfile.mkdtemp(dir=Path(scratch) / "out"))
                with contextlib.chdir(out):
                    outcome = ran(command, made[name], models, out)
                shutil.rmtree(out)
                yield command, name, outcome


def main() -> int:
    """Run what was asked for, print one line each, and return whether something ended badly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", default=[""], help="what the words of a command hold")
    parser.add_argument("--inputs", default=",".join(INPUTS), help="which inputs, with commas between")
    asked = parser.parse_args()
    chosen = [name for name in COMMANDS if any(part in name for part in asked.part)]
    inputs = asked.inputs.split(",")
    faults = []
    for command, name, outcome in outcomes(chosen, inputs):
        last = outcome.said.strip().splitlines()[-1:] or [""]
        print(f"{command} · {name}: exit code {outcome.code}, {outcome.seconds:.1f} s  {last[0][:160]}", flush=True)
        if outcome.fault:
            faults.append(f"{command} · {name}: {outcome.fault}")
    print(f"\n{len(chosen)} commands x {len(inputs)} inputs: {len(faults)} ended badly", *faults, sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
