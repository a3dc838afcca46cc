"""Tiny random models of eight families, with weights large enough for attention to matter, and a padded batch each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

VOCABULARY = 37
_TOKENS = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_LLAMA = {
    "hidden_size": 30,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "intermediate_size": 11,
    "head_dim": 10,
    **_TOKENS,
}


@dataclass(frozen=True)
class Family:
    """A kind of model: its class, its configuration, and how it reads and writes.

    Attributes:
        kind: The class in transformers.
        config: Makes its configuration.
        reads: "text", "pair" (encoder-decoder) or "pixels".
        padded: On which side a batch is padded.
        writes: Whether it can generate.
    """

    kind: type[nn.Module]
    config: Callable[[], Any]
    reads: str = "text"
    padded: str = "right"
    writes: bool = True


FAMILIES: dict[str, Family] = {
    "gpt2": Family(
        hf.GPT2LMHeadModel,
        lambda: hf.GPT2Config(n_layer=2, n_embd=15, n_head=3, n_positions=29, **_TOKENS),
        padded="left",
    ),
    "llama": Family(hf.LlamaForCausalLM, lambda: hf.LlamaConfig(**_LLAMA), padded="left"),
    "mistral": Family(hf.MistralForCausalLM, lambda: hf.MistralConfig(sliding_window=3, **_LLAMA), padded="left"),
    "gemma2": Family(
        hf.Gemma2ForCausalLM,
        lambda: hf.Gemma2Config(
            sliding_window=3, attn_logit_softcapping=2.0, query_pre_attn_scalar=7, cache_implementation=None, **_LLAMA
        ),
        padded="left",
    ),
    "bert": Family(
        hf.BertForMaskedLM,
        lambda: hf.BertConfig(
            hidden_size=15, num_hidden_layers=2, num_attention_heads=3, intermediate_size=11, **_TOKENS
        ),
        writes=False,
    ),
    "t5": Family(
        hf.T5ForConditionalGeneration,
        lambda: hf.T5Config(
            d_model=15, d_kv=7, num_heads=3, num_layers=2, d_ff=11, decoder_start_token_id=0, **_TOKENS
        ),
        reads="pair",
    ),
    "bart": Family(
        hf.BartForConditionalGeneration,
        lambda: hf.BartConfig(
            d_model=30,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=5,
            decoder_attention_heads=3,
            encoder_ffn_dim=11,
            decoder_ffn_dim=13,
            max_position_embeddings=29,
            decoder_start_token_id=2,
            forced_eos_token_id=None,
            **_TOKENS,
        ),
        reads="pair",
    ),
    "vit": Family(
        hf.ViTForImageClassification,
        lambda: hf.ViTConfig(
            hidden_size=15,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=11,
            image_size=12,
            patch_size=4,
            num_labels=5,
        ),
        reads="pixels",
        writes=False,
    ),
}


def make(name: str, implementation: str = "eager") -> Any:
    """Return the model of a family, made once; tests must leave it as they found it."""
    return _made(name, implementation)


@cache  # which takes make(name) and make(name, "eager") for two calls
def _made(name: str, implementation: str) -> Any:
    family = FAMILIES[name]
    config = family.config()
    config._attn_implementation = implementation
    torch.manual_seed(0)
    model = family.kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
            elif parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def inputs(name: str) -> dict[str, Tensor]:
    """Return a batch of two sequences, one of them padded (ViT: two pictures)."""
    family, drawn = FAMILIES[name], torch.Generator().manual_seed(1)
    if family.reads == "pixels":
        return {"pixel_values": torch.randn(2, 3, 12, 12, generator=drawn)}
    ids = torch.randint(3, VOCABULARY, (2, 7), generator=drawn)
    mask = torch.ones_like(ids)
    hidden = slice(0, 2) if family.padded == "left" else slice(5, 7)
    mask[1, hidden] = 0
    ids[1, hidden] = 0
    given = {"input_ids": ids, "attention_mask": mask}
    if family.reads == "pair":
        given["decoder_input_ids"] = torch.randint(3, VOCABULARY, (2, 5), generator=drawn)
    return given


def logits(name: str, implementation: str = "eager") -> Tensor:
    """Return the logits of every real token of the batch, `(tokens, vocabulary)`."""
    given = inputs(name)
    with torch.no_grad():
        found = make(name, implementation)(**given).logits
    if found.ndim == 2 or "decoder_input_ids" in given:
        return found.flatten(0, -2)
    return found[given["attention_mask"].bool()]
