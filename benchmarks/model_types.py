"""Every model type of transformers, tiny and random: is its attention ours? `python -m benchmarks.model_types [TYPE]`.

`--out FILE` keeps what was found, `--again FILE` tries what was not built again, `--stored` prints the table of what is
kept beside this file.

Each type is built from its own configuration made small, run as it is ("eager"), and run again with the healthy
mechanism, written by hand, in the place of its attention. One line each; at the end the counts:

    equal       all that the model gives is the same, within 1e-4 of its size, and every layer that ran was called
    refused     with its reason
    wrong       neither: this must not happen
    crashed     an error that is none of ours: this must not happen
    part        a configuration that belongs to another type and makes no model
    not built   the small configuration does not make a model that runs by itself, so nothing was tried
"""

import argparse
import contextlib
import json
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.errors import SurgeonError
from attention_surgeon.surgery import capture, operate

SMALL: dict[str, int] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "width", "encoder_hidden_size"), 32),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_decoder_layers", "num_encoder_layers", "depth", "num_text_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "attention_heads", "num_text_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "mlp_dim"), 40),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "n_inner", "hidden_dim"), 40),
    **dict.fromkeys(("vocab_size", "decoder_vocab_size", "text_vocab_size"), 99),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "n_group", "topk_group", "n_shared_experts"), 1),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_source_positions", "max_target_positions"), 64),
    **dict.fromkeys(("head_dim", "d_kv", "v_head_dim", "qk_nope_head_dim", "qk_rope_head_dim"), 8),
    **dict.fromkeys(
        ("kv_lora_rank", "q_lora_rank", "embedding_size", "projection_dim", "hidden_size_per_layer_input"), 16
    ),
    "image_size": 32,
    "patch_size": 8,
    "num_mel_bins": 16,
    "type_vocab_size": 2,
}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3}
VARIANTS: tuple[dict[str, int | None], ...] = (
    {},
    {"num_key_value_heads": 4},  # latent attention has as many of them as of heads
    {"head_dim": None, "num_key_value_heads": 4},
    {"rotary_dim": 4, "head_dim": None},
    {"hidden_size": 48, "embed_dim": 48, "num_attention_heads": 3, "num_heads": 3, "num_key_value_heads": 3},
)
"""Sizes by which a type is tried again where it does not run with the usual ones; None leaves its own."""

RESULTS = Path(__file__).parent / "results" / "model_types.json"
WORDS = {
    "equal": "equal: all that the model gives is the same, and every layer that ran was called",
    "refused": "refused, with the reason",
    "wrong": "wrong: neither",
    "crashed": "an error that is none of ours",
    "not built": "not tried: the configuration made small makes no model that runs by itself here",
    "part": "a configuration inside another type's, no model",
}

_MOST_PARAMETERS, _SECONDS, _WITHIN = 30_000_000, 60, 1e-4
_HEADS = ("CausalLM", "MaskedLM", "Seq2SeqLM", "SpeechSeq2Seq", "ImageClassification", "CTC", "AudioClassification")


def small_config(kind: type, sizes: dict[str, int]) -> Any:
    """Return the configuration of a type with every size that it has made small, those of its parts too."""
    usual = kind()
    parts = {name: small_config(type(part), sizes) for name, part in vars(usual).items() if hasattr(part, "model_type")}
    own = {name: size for name, size in sizes.items() if _holds_a_number(usual, name)}
    for given in ({**own, **parts}, own, parts):
        with contextlib.suppress(Exception):
            return kind(**given)
    return usual


def _holds_a_number(config: Any, name: str) -> bool:
    try:
        return isinstance(getattr(config, name, None), int)
    except Exception:  # noqa: BLE001  some sizes differ from layer to layer and refuse to be asked for
        return False


def model_class(config: Any) -> Any:
    """Return the class that gives the most: with a head for tokens or labels, or without."""
    import transformers

    for head in _HEADS:
        auto = getattr(transformers, f"AutoModelFor{head}", None)
        if auto is not None and type(config) in auto._model_mapping:
            found = auto._model_mapping[type(config)]
            return found[0] if isinstance(found, tuple) else found
    found = transformers.AutoModel._model_mapping[type(config)]
    return found[0] if isinstance(found, tuple) else found


def inputs_of(model: Any) -> Iterator[dict[str, Any]]:
    """Yield small texts, pictures or sounds, what the model names first."""
    drawn, config = torch.Generator().manual_seed(1), model.config
    name = model.main_input_name
    ids = torch.randint(5, 90, (1, 7), generator=drawn)
    size = getattr(getattr(config, "vision_config", config), "image_size", 32)
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    pixels = torch.randn(1, getattr(config, "num_channels", 3), *sides, generator=drawn)
    text: dict[str, Any] = {"input_ids": ids, "use_cache": False}
    given: dict[str, Any] = text
    if name == "pixel_values":
        given = {name: pixels}
    elif name == "input_features":
        length = 2 * getattr(config, "max_source_positions", 32)
        given = {name: torch.randn(1, getattr(config, "num_mel_bins", 16), length, generator=drawn)}
    elif name == "input_values":
        given = {name: torch.randn(1, 4000, generator=drawn)}
    if getattr(config, "is_encoder_decoder", False):
        given = {**given, "decoder_input_ids": torch.randint(5, 90, (1, 5), generator=drawn)}
    yield given
    yield {"input_ids": ids}
    yield {"input_ids": ids, "pixel_values": pixels}
    yield {"pixel_values": pixels}


def tensors_of(output: Any) -> list[Tensor]:
    """Return every floating tensor that a model gave, in order."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    parts = output.values() if hasattr(output, "values") else output if isinstance(output, tuple | list) else ()
    return [tensor for part in parts for tensor in tensors_of(part)]


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Stop what takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def build(config_kind: type) -> tuple[Any, dict[str, Any], list[Tensor]]:
    """Return a small model that runs, its input, and what it gives; the first error where no variant runs."""
    first: Exception | None = None
    for variant in VARIANTS:
        sizes = {name: size for name, size in {**SMALL, **TOKENS, **variant}.items() if size is not None}
        try:
            model = _random_model(small_config(config_kind, sizes))
        except Exception as error:  # noqa: BLE001  whatever it is, these sizes do not fit together
            first = first or error
            continue
        for given in inputs_of(model):
            try:
                torch.manual_seed(0)  # some draw what they hide
                return model, given, tensors_of(model(**given))
            except Exception as error:  # noqa: BLE001
                first = first or error
    assert first is not None
    raise first


def _random_model(config: Any) -> Any:
    """Return a model with weights large enough for attention to matter."""
    kind = model_class(config)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in kind(config).parameters())
    if size > _MOST_PARAMETERS:
        raise ValueError(f"{size / 1e6:.0f} million parameters, though made small")
    torch.manual_seed(0)
    model = kind(config).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=0.2)
    return model


@torch.no_grad()
def verdict_of(config_kind: type) -> tuple[str, str]:
    """Return what came of one type, and the reason."""
    try:
        with at_most(_SECONDS):
            model, given, before = build(config_kind)
    except KeyError:
        return "part", "a configuration inside another type's; no model is made of it alone"
    except Exception as error:  # noqa: BLE001  whatever it is, the model did not run by itself
        return "not built", f"{type(error).__name__}: {_first_line(error)}"
    try:
        with at_most(_SECONDS):
            with operate(model, "healthy") as receipt:
                torch.manual_seed(0)
                after = tensors_of(model(**given))
            capture(model, given)
    except SurgeonError as error:
        return "refused", _first_line(error)
    except TimeoutError as error:
        return "not built", str(error)
    except Exception as error:  # noqa: BLE001  that is what is counted
        return "crashed", f"{type(error).__name__}: {_first_line(error)}"
    off = max(
        (
            float((one - other).abs().max() / one.abs().max().clamp_min(1e-6))
            for one, other in zip(before, after, strict=True)
        ),
        default=0.0,
    )
    called = sum(layer.calls for layer in receipt.layers)
    return ("equal" if off < _WITHIN else "wrong"), f"off by {off:.1g}, {called} calls"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200]


def table_of(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield how many types came to what, and who was refused."""
    counts = Counter(verdict for verdict, _ in found.values())
    yield "| what came of it | types |"
    yield "|---|---|"
    for verdict, words in WORDS.items():
        yield f"| {words} | {counts[verdict]} |"
    yield ""
    refused = ", ".join(f"`{name}`" for name, (verdict, _) in sorted(found.items()) if verdict == "refused")
    yield f"Refused by name: {refused}."


def main() -> None:
    """Try the types that are named, or all; write what came of each, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", nargs="*")
    parser.add_argument("--again", type=Path, help="A table that was written: only what was not built is tried again.")
    parser.add_argument("--out", type=Path, help="Write the table as JSON.")
    parser.add_argument("--stored", action="store_true", help="Print the table of what is kept.")
    asked = parser.parse_args()
    if asked.stored:
        print("\n".join(table_of(json.loads(RESULTS.read_text())["types"])))
        return
    warnings.filterwarnings("ignore")
    from transformers import CONFIG_MAPPING
    from transformers.utils import logging

    logging.set_verbosity_error()
    found: dict[str, tuple[str, str]] = {}
    if asked.again:
        found = {name: (one[0], one[1]) for name, one in json.loads(asked.again.read_text())["types"].items()}
    missing = [name for name in sorted(CONFIG_MAPPING) if found.get(name, ("not built",))[0] == "not built"]
    for name in asked.types or missing:
        try:
            found[name] = verdict_of(CONFIG_MAPPING[name])
        except Exception as error:  # noqa: BLE001
            found[name] = ("not built", f"{type(error).__name__}: {_first_line(error)}")
        print(f"{name:<32} {found[name][0]:<10} {found[name][1]}", flush=True)
    counts = Counter(verdict for verdict, _ in found.values())
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    if asked.out:
        asked.out.write_text(json.dumps({"counts": counts, "types": found}, indent=1))
    sys.exit(bool(counts["wrong"] or counts["crashed"]))


if __name__ == "__main__":
    main()
