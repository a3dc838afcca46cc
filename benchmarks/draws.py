"""Drawn configurations of attention: options, shapes, masks and numbers, all from one seed each."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

BATCHES = (1, 2, 3)
LENGTHS = (1, 2, 5, 7, 11, 23)
HEADS = (1, 2, 3, 5)
HEAD_DIMS = (1, 2, 4, 7, 16)
OTHER_WIDTHS = (3, 8, 13)

Inputs = dict[str, Tensor]
"""Query, key and value by name; in self-attention the three are one tensor."""


@dataclass(frozen=True)
class ModuleCase:
    """One configuration of nn.MultiheadAttention in float32: a module, what it is called with, and its result's loss.

    Attributes:
        module: PyTorch's, with parameters drawn.
        inputs: Query, key and value.
        options: Every other argument of the call.
        options_text: The configuration in words.
    """

    module: nn.MultiheadAttention
    inputs: Inputs
    options: dict[str, Tensor | bool]
    options_text: str


def draw_module_case(seed: int) -> ModuleCase:
    """Draw a module with every option of its constructor, and a call with every option of `forward`."""
    dice = random.Random(seed)
    torch.manual_seed(seed)
    heads, size = dice.choice(HEADS), dice.choice(HEAD_DIMS)
    width, batch, n_q, n_k = heads * size, dice.choice(BATCHES), dice.choice(LENGTHS), dice.choice(LENGTHS)
    sharing = dice.choice(["self", "memory", "apart", "other widths"])
    constructor = {
        "bias": dice.random() < 0.8,
        "add_bias_kv": dice.random() < 0.3,
        "add_zero_attn": dice.random() < 0.3,
        "batch_first": dice.random() < 0.5,
        "kdim": dice.choice(OTHER_WIDTHS) if sharing == "other widths" else None,
        "vdim": dice.choice(OTHER_WIDTHS) if sharing == "other widths" else None,
    }
    module = nn.MultiheadAttention(width, heads, **constructor)
    for parameter in module.parameters():  # biases start at 0, where a forgotten one would not be noticed
        if parameter.ndim == 1:
            nn.init.normal_(parameter)
    is_batched = dice.random() < 0.8
    n_k = n_q if sharing == "self" else n_k

    def sequence(length: int, features: int) -> Tensor:
        if not is_batched:
            return torch.randn(length, features)
        return torch.randn(*((batch, length) if module.batch_first else (length, batch)), features)

    query = sequence(n_q, width)
    key = query if sharing == "self" else sequence(n_k, module.kdim)
    value = key if sharing in ("self", "memory") else sequence(n_k, module.vdim)
    options = {
        "need_weights": dice.random() < 0.6,
        "average_attn_weights": dice.random() < 0.5,
        **_module_masks(dice, batch if is_batched else None, heads, n_q, n_k),
    }
    words = [f"{heads}x{size}", sharing, *(name for name, value in constructor.items() if value is True)]
    words += [
        name if value is True else f"{name} {_kind(value)}" for name, value in options.items() if value is not False
    ]
    return ModuleCase(module, {"query": query, "key": key, "value": value}, options, " ".join(words))


def _kind(value: Tensor | bool) -> str:
    return f"{value.dtype}{tuple(value.shape)}" if isinstance(value, Tensor) else str(value)


def _module_masks(dice: random.Random, batch: int | None, heads: int, n_q: int, n_k: int) -> dict[str, Tensor | bool]:
    """Draw both masks, of one kind, as PyTorch wants it; nobody is left without a key, for which PyTorch gives NaN."""
    masks: dict[str, Tensor | bool] = {}
    hide = dice.choice([hidden_boolean, hidden_additive])
    where = dice.choice(["none", "all", "each head", "causal"])
    if where == "causal":
        masks["attn_mask"] = torch.ones(n_q, n_k, dtype=torch.bool).triu(1)
        masks["is_causal"] = dice.random() < 0.5
        hide = hidden_boolean
    elif where != "none":
        shape = (n_q, n_k) if where == "all" else ((batch or 1) * heads, n_q, n_k)
        masks["attn_mask"] = hide(shape)
    if dice.random() < 0.4:
        masks["key_padding_mask"] = hide((n_k,) if batch is None else (batch, n_k))
    return masks


def hidden_boolean(shape: tuple[int, ...]) -> Tensor:
    """Return a mask in which True hides about a third, never the first key."""
    hidden = torch.rand(shape) < 0.35
    hidden[..., 0] = False
    return hidden


def hidden_additive(shape: tuple[int, ...]) -> Tensor:
    """Return a mask of numbers to add, about a third of them -inf, never at the first key."""
    return torch.randn(shape).masked_fill(hidden_boolean(shape), float("-inf"))


@dataclass(frozen=True)
class FunctionCase:
    """One configuration of scaled_dot_product_attention in float32.

    Attributes:
        inputs: Query, key and value.
        options: Every other argument of the call.
        options_text: The configuration in words.
    """

    inputs: Inputs
    options: dict[str, Tensor | bool | float | None]
    options_text: str


def draw_function_case(seed: int) -> FunctionCase:
    """Draw shapes, shared heads, a scale and a mask."""
    dice = random.Random(seed)
    torch.manual_seed(seed)
    heads, size, batch = dice.choice(HEADS), dice.choice(HEAD_DIMS), dice.choice(BATCHES)
    n_q, n_k = dice.choice(LENGTHS), dice.choice(LENGTHS)
    groups = dice.choice([1, 1, 2, 3])
    leading = dice.choice(["batch and heads", "batch and heads", "heads"]) if groups == 1 else "batch and heads"
    before = (batch,) if leading == "batch and heads" else ()
    value_size = dice.choice([size, size, 5])
    inputs = {
        "query": torch.randn(*before, heads * groups, n_q, size),
        "key": torch.randn(*before, heads, n_k, size),
        "value": torch.randn(*before, heads, n_k, value_size),
    }
    mask = dice.choice(["none", "causal", "boolean", "additive", "boolean by head", "additive by head"])
    options: dict[str, Tensor | bool | float | None] = {
        "scale": dice.choice([None, None, 1.0, 0.3]),
        "enable_gqa": groups > 1,
        "is_causal": mask == "causal",
    }
    shape = (*before, heads * groups, n_q, n_k) if mask.endswith("by head") else (n_q, n_k)
    if mask.startswith("boolean"):
        options["attn_mask"] = ~hidden_boolean(shape)
    elif mask.startswith("additive"):
        options["attn_mask"] = hidden_additive(shape)
    text = f"{tuple(inputs['query'].shape)} {tuple(inputs['value'].shape)} {mask} scale={options['scale']}"
    return FunctionCase(inputs, options, text)


def with_huge_scores(case: FunctionCase) -> FunctionCase:
    """Return the case with queries enlarged until the largest score, after the scale, is 10⁴."""
    query, key = case.inputs["query"], case.inputs["key"]
    groups = query.shape[-3] // key.shape[-3]
    scale = case.options["scale"] or query.shape[-1] ** -0.5
    largest = (query @ key.repeat_interleave(groups, -3).mT).abs().max() * scale
    return replace(case, inputs={**case.inputs, "query": query * (1e4 / largest)})


def with_empty_rows(case: FunctionCase) -> FunctionCase:
    """Return the case with a mask in which every other query may attend to nobody."""
    n_q, n_k = case.inputs["query"].shape[-2], case.inputs["key"].shape[-2]
    mask = ~hidden_boolean((n_q, n_k))
    mask[::2] = False
    return replace(case, options={**case.options, "is_causal": False, "attn_mask": mask})


REGIMES: dict[str, Callable[[FunctionCase], FunctionCase]] = {
    "SDPA": lambda case: case,
    "SDPA at ±10⁴": with_huge_scores,
    "SDPA, no keys": with_empty_rows,
}
