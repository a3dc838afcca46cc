"""A decoder and a corpus so small that a training takes a fraction of a second; all sizes are different primes."""

from attention_surgeon.models import Corpus, Decoder, DecoderConfig, TrainingConfig

TEXT = "the cat sat on the mat, and the bat spat at the rat that sat in the hat. " * 12
CORPUS = Corpus.from_text(TEXT)
LENGTH = 11
CONFIG = TrainingConfig(num_steps=13, batch_size=5, num_warmup=2, evaluate_every=5, save_every=3)


def decoder(**sizes) -> Decoder:
    settings = {"context_len": LENGTH, "embed_dim": 6, "num_heads": 2, "num_layers": 2, "mlp_size": 7}
    return Decoder(DecoderConfig(CORPUS.tokenizer.size, **{**settings, **sizes}))
