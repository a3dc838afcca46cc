"""Models that are small enough to see through: a text becomes vectors and attention without any training."""

from attention_surgeon.models.spelling import BANDS, embed_tokens
from attention_surgeon.models.spelling_layer import default_size, describe_heads, spelling_attention, trace_text
from attention_surgeon.models.words import tokenize

__all__ = [
    "BANDS",
    "default_size",
    "describe_heads",
    "embed_tokens",
    "spelling_attention",
    "tokenize",
    "trace_text",
]
