"""Who may attend to whom: boolean masks, True = may attend, that know their blocks and combine with `&`, `|`, `~`."""

from attention_surgeon.masks.blocks import TileKind
from attention_surgeon.masks.by_content import document_mask, padding_mask, tensor_mask, token_padding_mask
from attention_surgeon.masks.by_position import (
    causal_mask,
    create_causal_mask,
    create_reverse_mask,
    prefix_mask,
    reverse_mask,
    window_mask,
)
from attention_surgeon.masks.convert import (
    additive_to_mask,
    draw_mask,
    mask_to_additive,
    mask_to_mha,
    mask_to_sdpa,
    mha_to_mask,
    sdpa_to_mask,
)
from attention_surgeon.masks.mask import Mask

__all__ = [
    "Mask",
    "TileKind",
    "additive_to_mask",
    "causal_mask",
    "create_causal_mask",
    "create_reverse_mask",
    "document_mask",
    "draw_mask",
    "mask_to_additive",
    "mask_to_mha",
    "mask_to_sdpa",
    "mha_to_mask",
    "padding_mask",
    "prefix_mask",
    "reverse_mask",
    "sdpa_to_mask",
    "tensor_mask",
    "token_padding_mask",
    "window_mask",
]
