"""Cross-attention: one sequence asks, another one answers."""

from typing import final

from jaxtyping import Float
from torch import Tensor
from torch.nn import MultiheadAttention as TorchMultiheadAttention

from attention_surgeon.kernels import Implementation
from attention_surgeon.nn.layer import Attended, AttentionLayer
from attention_surgeon.nn.torch_convert import check_source, fill_from_torch
from attention_surgeon.ops import MaskLike


@final
class CrossAttention(AttentionLayer):
    """Multi-head attention whose queries come from one sequence and whose keys and values come from another.

    Source: Vaswani et al. 2017, section 3.2.3 ("encoder-decoder attention").

    >>> import torch
    >>> layer = CrossAttention(embed_dim=12, num_heads=3, context_dim=7)
    >>> output, weights = layer(torch.ones(2, 5, 12), torch.ones(2, 11, 7), return_weights=True)
    >>> output.shape, weights.shape
    (torch.Size([2, 5, 12]), torch.Size([2, 3, 5, 11]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.1,
        *,
        context_dim: int | None = None,
        bias: bool = True,
    ) -> None:
        """Make the four projections.

        Args:
            embed_dim: Width of the input and of the output.
            num_heads: A divisor of `embed_dim`.
            dropout: Probability with which a weight is dropped while training.
            context_dim: Width of the context; None: `embed_dim`.
            bias: Whether the projections add a bias.

        Raises:
            ArgumentTypeError, OptionError, ShapeError: a size or probability out of its range, heads that do not
                divide the width.
        """
        super().__init__(embed_dim, num_heads=num_heads, context_dim=context_dim, dropout=dropout, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "*batch n_q embed"],
        context: Float[Tensor, "*rest n_k width"],
        mask: MaskLike | None = None,
        return_weights: bool = False,
        *,
        implementation: Implementation = "readable",
    ) -> Attended:
        """Return the output, shaped like `x`, or `(output, weights)`; see `AttentionLayer.attend`."""
        return self.attend(x, context, mask, return_weights, implementation)

    @classmethod
    def from_torch(cls, module: TorchMultiheadAttention) -> "CrossAttention":
        """Return a layer that computes what `module(x, context, context)` does, batch first, with copied parameters.

        Raises:
            ArgumentTypeError, ConversionError: no such module; keys of its own, or kdim and vdim that differ.
        """
        check_source(module, cls.__name__)
        has_bias = module.in_proj_bias is not None
        layer = cls(module.embed_dim, module.num_heads, module.dropout, context_dim=module.kdim, bias=has_bias)
        fill_from_torch(layer, module)
        return layer
