"""Models that are small enough to see through: one that needs no training, one that is trained while you wait."""

from attention_surgeon.models.characters import CharacterTokenizer
from attention_surgeon.models.corpus import Corpus, shipped_corpus
from attention_surgeon.models.decoder import Decoder, DecoderConfig, MaskBuilder, no_mask
from attention_surgeon.models.losses import (
    bigram_loss,
    bits,
    future_gradients,
    loss_without_future,
    teacher_forced_loss,
    uniform_loss,
)
from attention_surgeon.models.spelling import BANDS, embed_tokens
from attention_surgeon.models.spelling_layer import default_size, describe_heads, spelling_attention, trace_text
from attention_surgeon.models.training import StepRecord, TrainingConfig, train
from attention_surgeon.models.words import tokenize
from attention_surgeon.models.writing import write_text

__all__ = [
    "BANDS",
    "CharacterTokenizer",
    "Corpus",
    "Decoder",
    "DecoderConfig",
    "MaskBuilder",
    "StepRecord",
    "TrainingConfig",
    "bigram_loss",
    "bits",
    "default_size",
    "describe_heads",
    "embed_tokens",
    "future_gradients",
    "loss_without_future",
    "no_mask",
    "shipped_corpus",
    "spelling_attention",
    "teacher_forced_loss",
    "tokenize",
    "trace_text",
    "train",
    "uniform_loss",
    "write_text",
]
