"""Shared heads: fewer keys and values than queries, for a smaller cache while generating."""

from typing import final

from jaxtyping import Float
from torch import Tensor
from torch.nn import MultiheadAttention as TorchMultiheadAttention

from attention_surgeon.kernels import Implementation
from attention_surgeon.nn.layer import Attended, AttentionLayer
from attention_surgeon.nn.torch_convert import check_source, fill_from_torch
from attention_surgeon.ops import MaskLike
from attention_surgeon.require import require_count


@final
class MultiQueryAttention(AttentionLayer):
    """Every query head has its own projection, and all of them share one key head and one value head.

    Source: Shazeer 2019, "Fast Transformer Decoding: One Write-Head is All You Need".

    >>> layer = MultiQueryAttention(embed_dim=12, num_heads=3)
    >>> layer.key.weight.shape
    torch.Size([4, 12])
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.1, *, bias: bool = True) -> None:
        """Make the four projections; those of key and value are one head wide.

        Args:
            embed_dim: Width of the input and of the output.
            num_heads: Query heads, a divisor of `embed_dim`.
            dropout: Probability with which a weight is dropped while training.
            bias: Whether the projections add a bias.

        Raises:
            ArgumentTypeError, OptionError, ShapeError: a size or probability out of its range, heads that do not
                divide the width.
        """
        super().__init__(embed_dim, num_heads=num_heads, num_kv_heads=1, dropout=dropout, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "*batch n_q embed"],
        mask: MaskLike | None = None,
        return_weights: bool = False,
        *,
        implementation: Implementation = "readable",
    ) -> Attended:
        """Return the output, shaped like `x`, or `(output, weights)`; see `AttentionLayer.attend`."""
        return self.attend(x, x, mask, return_weights, implementation)

    @classmethod
    def from_torch(cls, module: TorchMultiheadAttention) -> "MultiQueryAttention":
        """Return a layer that computes what `module` does for `(batch, n, embed)`, with copied parameters.

        Raises:
            ArgumentTypeError, ConversionError: no such module, or its key heads or value heads are not all equal.
        """
        check_source(module, cls.__name__)
        has_bias = module.in_proj_bias is not None
        layer = cls(module.embed_dim, module.num_heads, module.dropout, bias=has_bias)
        fill_from_torch(layer, module)
        return layer


@final
class GroupedQueryAttention(AttentionLayer):
    """Query heads in groups of neighbours; each group shares one key head and one value head.

    Source: Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head
    Checkpoints". With `num_kv_heads=num_heads` it is `MultiHeadAttention`, with 1 it is `MultiQueryAttention`.

    >>> layer = GroupedQueryAttention(embed_dim=12, num_heads=6, num_kv_heads=2)
    >>> layer.key.weight.shape
    torch.Size([4, 12])
    """

    def __init__(
        self, embed_dim: int, num_heads: int, num_kv_heads: int, dropout: float = 0.1, *, bias: bool = True
    ) -> None:
        """Make the four projections; those of key and value are `num_kv_heads` heads wide.

        Args:
            embed_dim: Width of the input and of the output.
            num_heads: Query heads, a divisor of `embed_dim`.
            num_kv_heads: Key and value heads, a divisor of `num_heads`.
            dropout: Probability with which a weight is dropped while training.
            bias: Whether the projections add a bias.

        Raises:
            ArgumentTypeError, OptionError, ShapeError: a size or probability out of its range, heads that do not
                divide.
        """
        require_count(num_kv_heads, "num_kv_heads", type(self).__name__)
        super().__init__(embed_dim, num_heads=num_heads, num_kv_heads=num_kv_heads, dropout=dropout, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "*batch n_q embed"],
        mask: MaskLike | None = None,
        return_weights: bool = False,
        *,
        implementation: Implementation = "readable",
    ) -> Attended:
        """Return the output, shaped like `x`, or `(output, weights)`; see `AttentionLayer.attend`."""
        return self.attend(x, x, mask, return_weights, implementation)

    @classmethod
    def from_torch(cls, module: TorchMultiheadAttention, num_kv_heads: int) -> "GroupedQueryAttention":
        """Return a layer that computes what `module` does for `(batch, n, embed)`, with copied parameters.

        Raises:
            ArgumentTypeError, ConversionError: no such module, or the key or value heads of a group are not equal.
            ArgumentTypeError, OptionError, ShapeError: `num_kv_heads` does not divide the module's heads.
        """
        check_source(module, cls.__name__)
        has_bias = module.in_proj_bias is not None
        layer = cls(module.embed_dim, module.num_heads, num_kv_heads, module.dropout, bias=has_bias)
        fill_from_torch(layer, module)
        return layer
