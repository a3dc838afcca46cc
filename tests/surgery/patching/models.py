"""Small random causal models and where a plain hook finds their parts, for references that use nothing of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from tests.surgery.families import make

CLEAN, CORRUPT = [3, 14, 15, 9, 26, 5, 14], [3, 14, 15, 9, 7, 5, 14]
METRIC = "logit(8) - logit(21)"
_TOKENS = {"vocab_size": 37, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_SIZES = {"num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2, **_TOKENS}


@dataclass(frozen=True)
class Parts:
    """A model and the modules a hook is put on: its blocks, and in each block the output projection and the values."""

    model: Any
    blocks: Callable[[Any], Any]
    projection: Callable[[Any], nn.Module]
    heads: int
    kv_heads: int
    size: int


def _llama(model: Any, size: int = 10) -> Parts:
    return Parts(model, lambda m: m.model.layers, lambda block: block.self_attn.o_proj, 6, 2, size)


@cache
def parts(name: str) -> Parts:
    """Return a family with its parts; tests must leave it as they found it."""
    if name == "gpt2":
        return Parts(make("gpt2"), lambda m: m.transformer.h, lambda block: block.attn.c_proj, 3, 3, 5)
    if name in ("llama", "mistral", "gemma2"):
        return _llama(make(name))
    if name == "bert":
        return Parts(make("bert"), lambda m: m.bert.encoder.layer, lambda block: block.attention.output.dense, 3, 3, 5)
    kind, config = _OTHERS[name]
    torch.manual_seed(0)
    model = kind(config()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return _llama(model, 8)


_OTHERS: dict[str, tuple[Any, Callable[[], Any]]] = {
    "qwen3": (hf.Qwen3ForCausalLM, lambda: hf.Qwen3Config(hidden_size=30, intermediate_size=11, head_dim=8, **_SIZES)),
    "gpt_oss": (
        hf.GptOssForCausalLM,
        lambda: hf.GptOssConfig(
            hidden_size=32,
            intermediate_size=16,
            num_local_experts=2,
            num_experts_per_tok=1,
            head_dim=8,
            sliding_window=3,
            **_SIZES,
        ),
    ),
    "smollm3": (
        hf.SmolLM3ForCausalLM,
        lambda: hf.SmolLM3Config(hidden_size=48, intermediate_size=11, **_SIZES),
    ),
    "olmo2": (hf.Olmo2ForCausalLM, lambda: hf.Olmo2Config(hidden_size=48, intermediate_size=11, **_SIZES)),
}


@torch.no_grad()
def logits(model: nn.Module, ids: list[int], *hooks: tuple[nn.Module, Callable[[Tensor], Tensor]]) -> Tensor:
    """Return the logits with what goes into (first argument) some modules replaced by a function of it."""

    def hook(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
        return lambda module, given: (change(given[0]), *given[1:])

    handles = [module.register_forward_pre_hook(hook(change)) for module, change in hooks]
    try:
        return model(torch.tensor([ids])).logits[0]
    finally:
        for handle in handles:
            handle.remove()


def inputs_of(model: nn.Module, ids: list[int], *modules: nn.Module) -> list[Tensor]:
    """Return what goes into modules in a run."""
    found: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda given: found.setdefault(module, given.clone())

    logits(model, ids, *[(module, keep(module)) for module in modules])
    return [found[module] for module in modules]


def measured(logits: Tensor) -> float:
    """Return what METRIC means."""
    return float(logits[-1, 8] - logits[-1, 21])
