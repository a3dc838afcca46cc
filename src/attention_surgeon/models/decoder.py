"""A language model small enough to train while one waits: a decoder of this package's own layers.

    x = token embedding + position embedding
    x = x + attention(norm(x));   x = x + mlp(norm(x))        once for each block ("pre-norm")
    logits = norm(x) W                                        W: the token embedding again (tied), or its own

Source: Vaswani et al. 2017, section 3, decoder only as in Radford et al. 2018; the norm in front of each part as in
Radford et al. 2019; the tied head from Press and Wolf 2017.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.nn import MultiHeadAttention
from attention_surgeon.ops import MaskLike, Mechanism
from attention_surgeon.require import require_count, require_switch

MaskBuilder: TypeAlias = Callable[[int], MaskLike | None]
"""Makes the mask for n positions: `causal_mask`, `reverse_mask`, `no_mask`, or one's own."""

_SPREAD = 0.02  # of the embeddings at the start, so that all logits are small and the first loss is that of guessing


def no_mask(n: int) -> None:
    """Return no mask for any number of positions: everybody sees everything.

    >>> no_mask(3) is None
    True
    """


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes of a `Decoder`.

    Attributes:
        vocabulary_size: Distinct tokens.
        context_len: Most tokens it can look at.
        embed_dim: Width of the stream.
        num_heads: Attention heads of each block, a divisor of `embed_dim`.
        num_layers: Blocks.
        mlp_size: Width inside the feed-forward part; None: four times `embed_dim`.
        dropout: Probability with which an attention weight is dropped while training.
        use_tied_head: Whether the token embedding also makes the logits.
        use_positions: Whether positions are added; without them the model cannot tell order except through the mask.
    """

    vocabulary_size: int
    context_len: int = 64
    embed_dim: int = 64
    num_heads: int = 4
    num_layers: int = 2
    mlp_size: int | None = None
    dropout: float = 0.0
    use_tied_head: bool = True
    use_positions: bool = True

    def __post_init__(self) -> None:
        """Refuse sizes of which no model can be made; the layers check heads and dropout."""
        for name in ("vocabulary_size", "context_len", "embed_dim", "num_heads", "num_layers"):
            require_count(getattr(self, name), name, "DecoderConfig")
        if self.mlp_size is not None:
            require_count(self.mlp_size, "mlp_size", "DecoderConfig")
        for name in ("use_tied_head", "use_positions"):
            require_switch(getattr(self, name), name, "DecoderConfig")


@final
class Block(nn.Module):
    """Attention, then a feed-forward part, each behind a norm and beside a shortcut."""

    def __init__(self, config: DecoderConfig) -> None:
        """Make the parameters for the sizes in `config`."""
        super().__init__()
        width, inner = config.embed_dim, config.mlp_size or 4 * config.embed_dim
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, config.num_heads, config.dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(self, x: Float[Tensor, "batch n embed"], mask: MaskLike | None) -> Float[Tensor, "batch n embed"]:
        """Return the stream behind this block."""
        attended = self.attention(self.attention_norm(x), mask)
        x = x + attended
        return x + self.mlp(self.mlp_norm(x))


@final
class Decoder(nn.Module):
    """A small decoder; which positions see which is said by the mask at each call, never by the model.

    Attributes:
        config: Its sizes.
        blocks: The blocks; `blocks[i].attention` is a `MultiHeadAttention` whose `mechanism` may be replaced.

    >>> from attention_surgeon.masks import causal_mask
    >>> model = Decoder(DecoderConfig(vocabulary_size=11, context_len=7, embed_dim=12, num_heads=3))
    >>> model(torch.zeros(2, 5, dtype=torch.long), causal_mask(5)).shape
    torch.Size([2, 5, 11])
    """

    def __init__(self, config: DecoderConfig, seed: int = 0) -> None:
        """Make the parameters, the same for the same seed, and leave PyTorch's own random numbers where they were.

        Raises:
            ArgumentTypeError, OptionError, ShapeError: heads that do not divide the width, a dropout out of range.
        """
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            width = config.embed_dim
            self.token_embedding = nn.Embedding(config.vocabulary_size, width)
            self.position_embedding = nn.Embedding(config.context_len, width) if config.use_positions else None
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
            self.norm = nn.LayerNorm(width)
            self.head = None if config.use_tied_head else nn.Linear(width, config.vocabulary_size, bias=False)
            for embedding in (self.token_embedding, self.position_embedding):
                if embedding is not None:
                    nn.init.normal_(embedding.weight, std=_SPREAD)

    def attention_layers(self) -> Iterator[MultiHeadAttention]:
        """Yield the attention layer of each block, from the first to the last: where a circuit is changed."""
        for block in self.blocks:
            assert isinstance(block, Block)
            yield block.attention

    def set_mechanism(self, mechanism: Mechanism) -> None:
        """Let every attention layer attend by `mechanism`.

        >>> from attention_surgeon.ops import leave_unscaled
        >>> model = Decoder(DecoderConfig(vocabulary_size=3, num_layers=1))
        >>> model.set_mechanism(Mechanism(scale=leave_unscaled))
        >>> model.blocks[0].attention
        MultiHeadAttention(
          embed_dim=64, num_heads=4, num_kv_heads=4, dropout=0.0, scale=leave_unscaled
          ...
        """
        for layer in self.attention_layers():
            layer.mechanism = mechanism

    def forward(self, tokens: Int[Tensor, "batch n"], mask: MaskLike | None) -> Float[Tensor, "batch n vocabulary"]:
        """Return the logits of the token that follows each position.

        Args:
            tokens: int64 `(batch, n)` with n up to `config.context_len`.
            mask: As for `ops.attention`; None: everybody sees everything, the answer included.

        Raises:
            ShapeError: no `(batch, n)`, or more positions than the context holds.
        """
        return self.read_off(self.run_blocks(self.embed(tokens), mask))

    def embed(self, tokens: Int[Tensor, "batch n"]) -> Float[Tensor, "batch n embed"]:
        """Return the stream in front of the first block: what each position is and where it stands.

        Raises:
            ShapeError: as `forward`.
        """
        if tokens.ndim != 2:
            raise ShapeError(f"Decoder: tokens has shape {tuple(tokens.shape)}, expected (batch, n); use tokens[None].")
        n, longest = tokens.shape[1], self.config.context_len
        if n > longest:
            raise ShapeError(
                f"Decoder: tokens has shape {tuple(tokens.shape)}, {n} positions for a context of {longest}; "
                f"pass the last ones, tokens[:, -{longest}:], or make the model with context_len={n}."
            )
        x = self.token_embedding(tokens)
        return x if self.position_embedding is None else x + self.position_embedding.weight[:n]

    def run_blocks(self, x: Float[Tensor, "batch n embed"], mask: MaskLike | None) -> Float[Tensor, "batch n embed"]:
        """Return the stream behind the last block."""
        for block in self.blocks:
            x = block(x, mask)
        return x

    def read_off(self, x: Float[Tensor, "batch n embed"]) -> Float[Tensor, "batch n vocabulary"]:
        """Return the logits that belong to the stream behind the last block."""
        x = self.norm(x)
        return x @ self.token_embedding.weight.T if self.head is None else self.head(x)  # (b, n, e) -> (b, n, v)


def mask_for(mask: MaskBuilder, n: int) -> MaskLike | None:
    """Return the mask for n positions, written out once for all layers.

    Raises:
        OptionError: `mask` cannot be called.
    """
    if not callable(mask):
        raise OptionError(f"mask is {mask!r:.60}, expected a function of the length, such as causal_mask or no_mask.")
    made = mask(n)
    return made if made is None or isinstance(made, Tensor) else made.dense()
