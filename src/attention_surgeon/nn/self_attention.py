"""Self-attention: every position asks, and the same positions answer."""

from typing import final

from jaxtyping import Float
from torch import Tensor
from torch.nn import MultiheadAttention as TorchMultiheadAttention

from attention_surgeon.kernels import Implementation
from attention_surgeon.nn.layer import Attended, AttentionLayer, without_heads
from attention_surgeon.nn.torch_convert import check_source, fill_from_torch
from attention_surgeon.ops import MaskLike, Mechanism, leave_unscaled
from attention_surgeon.require import require_count


@final
class SimpleAttention(AttentionLayer):
    """The smallest attention layer: three projections, one head, no scale, no output projection.

        output = softmax(x W_query (x W_key)ᵀ) (x W_value)

    Its parameters are `query`, `key` and `value`, each an `nn.Linear(n_embd, n_embd)`. Without a scale the scores
    grow with the width, the softmax saturates and learning slows: `SelfAttention` is the same with the scale.

    >>> import torch
    >>> layer = SimpleAttention(n_embd=8)
    >>> layer(torch.ones(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    >>> layer(torch.ones(2, 5, 8), return_weights=True)[1].shape
    torch.Size([2, 5, 5])
    """

    def __init__(self, n_embd: int) -> None:
        """Make the three projections of width `n_embd`, initialised as `nn.Linear` does.

        Raises:
            ArgumentTypeError, OptionError: `n_embd` is no whole number of at least 1.
        """
        require_count(n_embd, "n_embd", type(self).__name__)
        super().__init__(n_embd, use_output=False, mechanism=Mechanism(scale=leave_unscaled))

    def forward(
        self,
        x: Float[Tensor, "*batch n_q embed"],
        mask: MaskLike | None = None,
        return_weights: bool = False,
        *,
        implementation: Implementation = "readable",
    ) -> Attended:
        """Return the output, shaped like `x`, or `(output, weights)` with weights `(*batch, n, n)`.

        Arguments and errors as for `AttentionLayer.attend`.
        """
        return without_heads(self.attend(x, x, mask, return_weights, implementation))

    @classmethod
    def from_torch(cls, module: TorchMultiheadAttention) -> "SimpleAttention":
        """Return a layer that computes what `module` does for `(batch, n, embed)`, with copied parameters.

        PyTorch's scale goes into `query`, its output projection into `value`.

        Raises:
            ArgumentTypeError, ConversionError: no such module; several heads, dropout, or keys of its own.
        """
        check_source(module, cls.__name__, one_head=True)
        layer = cls(module.embed_dim)
        fill_from_torch(layer, module)
        return layer


@final
class SelfAttention(AttentionLayer):
    """Scaled dot-product self-attention with one head and without an output projection.

        output = softmax(Q Kᵀ / √embed_dim) V        Q = x W_query, K = x W_key, V = x W_value

    Source: Vaswani et al. 2017, equation 1.

    >>> import torch
    >>> from attention_surgeon.masks import causal_mask
    >>> output, weights = SelfAttention(8)(torch.ones(3, 8), causal_mask(3), return_weights=True)
    >>> weights                 # equal vectors: each position shares evenly among what it may see
    tensor([[1.0000, 0.0000, 0.0000],
            [0.5000, 0.5000, 0.0000],
            [0.3333, 0.3333, 0.3333]], grad_fn=...)
    """

    def __init__(self, embed_dim: int, dropout: float = 0.0, *, bias: bool = True) -> None:
        """Make the three projections.

        Args:
            embed_dim: Width of the input and of the output.
            dropout: Probability with which a weight is dropped while training.
            bias: Whether the projections add a bias.

        Raises:
            ArgumentTypeError, OptionError: a size or probability out of its range.
        """
        super().__init__(embed_dim, dropout=dropout, bias=bias, use_output=False)

    def forward(
        self,
        x: Float[Tensor, "*batch n_q embed"],
        mask: MaskLike | None = None,
        return_weights: bool = False,
        *,
        implementation: Implementation = "readable",
    ) -> Attended:
        """Return the output, shaped like `x`, or `(output, weights)` with weights `(*batch, n, n)`.

        Arguments and errors as for `AttentionLayer.attend`.
        """
        return without_heads(self.attend(x, x, mask, return_weights, implementation))

    @classmethod
    def from_torch(cls, module: TorchMultiheadAttention) -> "SelfAttention":
        """Return a layer that computes what `module` does for `(batch, n, embed)`, with copied parameters.

        PyTorch's output projection goes into `value`.

        Raises:
            ArgumentTypeError, ConversionError: no such module; several heads, keys of its own, or dropout in front
                of an output bias.
        """
        check_source(module, cls.__name__, one_head=True)
        has_bias = module.in_proj_bias is not None
        layer = cls(module.embed_dim, module.dropout, bias=has_bias)
        fill_from_torch(layer, module)
        return layer


@final
class MultiHeadAttention(AttentionLayer):
    """Several heads side by side, each with its own narrow projection, merged by an output projection.

    Source: Vaswani et al. 2017, section 3.2.2. With h heads each is `embed_dim // h` wide, so all of them together
    cost what one wide head costs.

    Differs from `torch.nn.MultiheadAttention`: one input, batch first, True in a mask means may attend, the output
    alone is returned. `MultiheadAttention` (small h) is the drop-in for that one.

    >>> import torch
    >>> layer = MultiHeadAttention(embed_dim=12, num_heads=3).eval()
    >>> output, weights = layer(torch.ones(2, 5, 12), return_weights=True)
    >>> output.shape, weights.shape
    (torch.Size([2, 5, 12]), torch.Size([2, 3, 5, 5]))
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.1, *, bias: bool = True) -> None:
        """Make the four projections.

        Args:
            embed_dim: Width of the input and of the output.
            num_heads: A divisor of `embed_dim`.
            dropout: Probability with which a weight is dropped while training.
            bias: Whether the projections add a bias.

        Raises:
            ArgumentTypeError, OptionError, ShapeError: a size or probability out of its range, heads that do not
                divide the width.
        """
        super().__init__(embed_dim, num_heads=num_heads, dropout=dropout, bias=bias)

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
    def from_torch(cls, module: TorchMultiheadAttention) -> "MultiHeadAttention":
        """Return a layer that computes what `module` does for `(batch, n, embed)`, with copied parameters.

        Raises:
            ArgumentTypeError, ConversionError: no such module; keys of its own, or another width for them.
        """
        check_source(module, cls.__name__)
        has_bias = module.in_proj_bias is not None
        layer = cls(module.embed_dim, module.num_heads, module.dropout, bias=has_bias)
        fill_from_torch(layer, module)
        return layer
