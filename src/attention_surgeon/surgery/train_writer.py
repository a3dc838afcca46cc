"""Train the word model that ships as `writer`: a GPT-2 of a million parameters, on one core, in minutes.

    apt-get download r-cran-janeaustenr && dpkg -x r-cran-janeaustenr_*.deb novels
    python -m attention_surgeon.surgery.train_writer novels/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb

The text: Jane Austen's six novels, in the public domain, as the Debian package r-cran-janeaustenr holds them, and the
text of our own that ships for training. One window in four is a run of random tokens, over and over again: there only
looking back helps, so the two heads that begin with it (`_begin_with_a_circuit`) have a reason to go on.

A training that is stopped goes on behind its last checkpoint. The learning rate stays level and falls in the last
fifth (Hu et al. 2024, "MiniCPM", section 4), so a training may be made longer later without wasting what was done.
"""

import json
import math
import re
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import safetensors.torch
import torch
from jaxtyping import Int
from torch import Tensor, nn

from attention_surgeon.errors import FileFormatError, OptionError
from attention_surgeon.files import file_access_error, read_text, write_file
from attention_surgeon.models import shipped_corpus
from attention_surgeon.surgery.writer_card import card_lines, card_of

_R_STRING = b"\x00\x04\x00\x09"  # flags of a string in R's serialization; its length follows, big-endian
_BLOCK = 20_000  # characters that are held out together, so that the model meets whole pages it has not seen
_HELD_OUT = 10  # one block in so many
_FALLING = 0.2  # the share of the steps in which the learning rate falls to 0


@final
@dataclass(frozen=True)
class WriterConfig:
    """Sizes of the model and of its training.

    Attributes:
        vocabulary_size: Tokens, of which 256 are the bytes, so that no text is refused.
        context_len: Most tokens it can look at.
        embed_dim: Width of the stream.
        num_heads: Attention heads of each layer.
        num_layers: Layers.
        num_steps: Steps of the optimiser.
        batch_size: Windows in each, every one as long as the context.
        num_repeating: How many of them are random tokens that repeat.
        learning_rate: The highest.
        num_warmup: Steps in which the learning rate rises.
        seed: Draw of everything.
    """

    vocabulary_size: int = 3072
    context_len: int = 128
    embed_dim: int = 128
    num_heads: int = 4
    num_layers: int = 4
    num_steps: int = 3200
    batch_size: int = 8
    num_repeating: int = 2
    learning_rate: float = 2e-3
    num_warmup: int = 50
    seed: int = 0


def read_source(path: Path) -> str:
    """Return the text of a file: UTF-8, or the strings of an R data base, paragraphs apart by one line end.

    Raises:
        FileAccessError, FileFormatError: a file that cannot be read, or holds no text.
    """
    lines = _r_strings(path) if path.suffix == ".rdb" else read_text(path).split("\n")
    paragraphs, lines_of_one = [], []
    for line in [*lines, ""]:
        if line.strip():
            lines_of_one.append(line.strip())
        elif lines_of_one:
            paragraphs.append(" ".join(lines_of_one).replace("_", ""))
            lines_of_one = []
    return "\n".join(paragraphs)


def split_text(text: str) -> tuple[str, str]:
    """Return what is trained on, and what is held out: every tenth block of pages."""
    blocks = [text[start : start + _BLOCK] for start in range(0, len(text), _BLOCK)]
    held_out = blocks[_HELD_OUT - 1 :: _HELD_OUT]
    return "".join(block for n, block in enumerate(blocks) if n % _HELD_OUT != _HELD_OUT - 1), "".join(held_out)


def train_tokenizer(text: str, config: WriterConfig, folder: Path) -> Any:
    """Return a tokenizer of byte pairs that knows the words of `text`, and write it into `folder`."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    pairs = ByteLevelBPETokenizer()
    pairs.train_from_iterator(text.split("\n"), config.vocabulary_size, show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pairs._tokenizer, model_max_length=config.context_len)
    tokenizer.save_pretrained(folder)
    return tokenizer


def build_model(config: WriterConfig) -> nn.Module:
    """Return the untrained model, the same for the same seed."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(config.seed)
    sizes = GPT2Config(
        vocab_size=config.vocabulary_size,
        n_positions=config.context_len,
        n_embd=config.embed_dim,
        n_layer=config.num_layers,
        n_head=config.num_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=True,
        dtype="float32",
    )
    model = GPT2LMHeadModel(sizes)
    _begin_with_a_circuit(model, config)
    return model


@torch.no_grad()
def _begin_with_a_circuit(model: Any, config: WriterConfig) -> None:
    """Let two heads begin as the circuit of induction (Elhage et al. 2021), and be trained like all others from there.

    Head 0 of layer 0 looks at the token before: positions begin as sines and cosines (Vaswani et al. 2017, section
    3.5), its key is what they are, its query what they were one position ago, a turn of each pair by its angle. It
    writes the token that it finds where positions stand. Head 0 of layer 1 asks with its own token for that, and adds
    the token that stands there to what comes next. Left to chance, no head did either within the minutes that the
    training has; whether the circuit stays is up to the training.
    """
    width, size = config.embed_dim, config.embed_dim // config.num_heads
    drawn = torch.Generator().manual_seed(config.seed)
    angles = torch.linspace(0.2, 3.0, size // 2)  # fast enough that one position makes a difference
    turned = torch.arange(config.context_len)[:, None] * angles
    embeddings = model.transformer.wte.weight, model.transformer.wpe.weight
    embeddings[0].mul_(_TOKEN_SIZE / embeddings[0].std())
    embeddings[0][:, :size] *= 0.1
    embeddings[1].mul_(0.1)
    embeddings[1][:, :size] = 2**0.5 * _TOKEN_SIZE * torch.stack([turned.sin(), turned.cos()], -1).flatten(-2)
    positions, back = torch.eye(width, size), torch.zeros(width, size)
    for at, angle in zip(range(0, size, 2), angles.tolist(), strict=True):
        sin, cos = math.sin(angle), math.cos(angle)
        back[at : at + 2, at : at + 2] = torch.tensor([[cos, sin], [-sin, cos]])
    tokens = torch.zeros(width, size)  # from a state to what is read of its token: a turn of all but the positions
    tokens[size:] = torch.linalg.qr(torch.randn(width - size, size, generator=drawn))[0]
    first, second = (model.transformer.h[layer].attn for layer in (0, 1))
    _set_head(first, query=_BACK * back, key=_BACK * positions, value=tokens, output=_WRITTEN * positions.T)
    _set_head(second, query=_ASKED * tokens, key=_ASKED * positions, value=tokens, output=_ADDED * tokens.T)


def _set_head(attention: Any, *, output: Tensor, **parts: Tensor) -> None:
    """Set head 0: from a state `(width,)` to query, key and value `(size,)`, and from that back to a state."""
    size, width = output.shape
    for name, matrix in parts.items():
        start = ("query", "key", "value").index(name) * width
        attention.c_attn.weight[:, start : start + size] = matrix
    attention.c_proj.weight[:size] = output


_TOKEN_SIZE = 0.1
_BACK, _WRITTEN, _ASKED, _ADDED = 1.5, 0.3, 1.6, 0.5


def windows_at(step: int, tokens: Int[Tensor, " n"], config: WriterConfig) -> Int[Tensor, "batch length"]:
    """Return the windows of a step, which depend on the step and the seed alone; the last ones repeat themselves."""
    drawn = torch.Generator().manual_seed(config.seed * 2**31 + step)
    length = config.context_len + 1
    num_read = config.batch_size - config.num_repeating
    starts = torch.randint(len(tokens) - length, (num_read,), generator=drawn)
    windows = [tokens[start : start + length] for start in starts.tolist()]
    for _ in range(config.num_repeating):
        period = int(torch.randint(5, config.context_len // 2, (), generator=drawn))
        once = tokens[torch.randint(len(tokens), (period,), generator=drawn)]
        windows.append(once.repeat(math.ceil(length / period))[:length])
    return torch.stack(windows)


def rate_at(step: int, config: WriterConfig) -> float:
    """Return the share of the highest learning rate at a step, counted from 1: it rises, stays, and falls to 0.

    >>> config = WriterConfig(num_steps=400, num_warmup=100)
    >>> [rate_at(step, config) for step in (50, 200, 320, 360, 400)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    left = (config.num_steps - step) / (_FALLING * config.num_steps)
    return min(1.0, step / config.num_warmup, left)


def train_writer(model: nn.Module, tokens: Int[Tensor, " n"], config: WriterConfig, folder: Path) -> float:
    """Train `model` in place and return the seconds of one core that all steps took, those before a stop included.

    Raises:
        FileAccessError: a checkpoint cannot be written.
    """
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
    done, before = _restore(model, optimizer, folder)
    started = time.process_time()
    model.train()
    for step in range(done + 1, config.num_steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rate_at(step, config)
        windows = windows_at(step, tokens, config)
        logits = model(input_ids=windows[:, :-1]).logits
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == config.num_steps:
            seconds = before + time.process_time() - started
            _keep(model, optimizer, step, seconds, folder)
            print(f"step {step:5}  loss {loss.item():.3f}  {seconds:.0f} s", flush=True)
    model.eval()
    return before + time.process_time() - started


def save_writer(model: Any, folder: Path) -> None:
    """Write the model into `folder` as transformers reads it, its numbers in 16 bits; loaded, they are float32."""
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tied = {"lm_head.weight"}
    tensors = {name: tensor.half() for name, tensor in model.state_dict().items() if name not in tied}
    write_file(folder / "model.safetensors", safetensors.torch.save(tensors, metadata={"format": "pt"}))


def main(arguments: Sequence[str]) -> None:
    """Train on the files that are named, into the package; `--steps N` and `--out DIR` say how long and where.

    `--card` prints what is known of the model that ships.
    """
    if list(arguments) == ["--card"]:
        print("\n".join(card_lines(Path(__file__).parent / "writer")))
        return
    paths, options = _parse(arguments)
    folder = Path(options.get("out", Path(__file__).parent / "writer"))
    folder.mkdir(parents=True, exist_ok=True)
    config = WriterConfig(num_steps=int(options.get("steps", WriterConfig.num_steps)))
    torch.set_num_threads(1)
    text = "\n".join([*(read_source(path) for path in paths), read_text_of_ours()])
    train, held_out = split_text(text)
    tokenizer = train_tokenizer(train, config, folder)
    model = build_model(config)
    seconds = train_writer(model, torch.tensor(tokenizer.encode(train)), config, folder)
    save_writer(model, folder)
    card = card_of(folder, train, held_out) | {"seconds": round(seconds), "training": asdict(config)}
    (folder / "training.pt").unlink(missing_ok=True)
    write_file(folder / "card.json", json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(card, indent=1, ensure_ascii=False))


def read_text_of_ours() -> str:
    """Return the text that ships for training, paragraphs apart as in `read_source`."""
    return re.sub(r"\n+", "\n", re.sub(r"(?<!\n)\n(?!\n)", " ", shipped_corpus()))


def _r_strings(path: Path) -> list[str]:
    """Return every string of an R data base: its streams one behind the other, each with a length in front."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise file_access_error("read", path, error) from error
    found = []
    while raw:
        stream = zlib.decompressobj()
        try:
            content = stream.decompress(raw[4:])
        except zlib.error:
            raise FileFormatError(f"{path} is no data base of R, as r-cran-janeaustenr has it: Rdata.rdb.") from None
        raw = stream.unused_data
        at = content.find(_R_STRING)
        while at >= 0:
            start = at + 8
            end = start + int.from_bytes(content[at + 4 : start], "big")
            found.append(content[start:end].decode("utf-8", "replace"))
            at = content.find(_R_STRING, end)
    return found


def _keep(model: nn.Module, optimizer: torch.optim.Optimizer, step: int, seconds: float, folder: Path) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}
    beside = folder / "training.tmp"
    torch.save(state, beside)
    beside.replace(folder / "training.pt")


def _restore(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> tuple[int, float]:
    path = folder / "training.pt"
    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"]


def _parse(arguments: Sequence[str]) -> tuple[list[Path], dict[str, str]]:
    words, options, paths = iter(arguments), {}, []
    for word in words:
        if word in ("--steps", "--out"):
            options[word.removeprefix("--")] = next(words, "")
        else:
            paths.append(Path(word))
    if not paths:
        raise OptionError("no text to train on; pass the path of Rdata.rdb, or of a text file.")
    return paths, options


if __name__ == "__main__":
    main(sys.argv[1:])
