"""A drop-in for `torch.nn.MultiheadAttention`: its arguments, parameters and results, on the mechanism of `ops`."""

from typing import Any, TypeVar, final

import torch
from torch import Tensor, nn
from torch.nn import MultiheadAttention as TorchMultiheadAttention  # also where ours goes by that name afterwards
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from attention_surgeon.errors import ArgumentTypeError, ConversionError, ShapeError
from attention_surgeon.nn.mechanism import changed_steps
from attention_surgeon.nn.multi_head import multi_head_attention_forward
from attention_surgeon.nn.nested import check_nested, nest, pad_nested
from attention_surgeon.nn.torch_errors import errors_as_torch
from attention_surgeon.ops import Mechanism
from attention_surgeon.require import kind_of, require_count, require_probability, require_tensor


def _stay_in_charge(module: nn.Module, inputs: Any) -> None:
    """Do nothing: that a hook is there makes TransformerEncoderLayer call the module in place of a fused kernel."""


@final
class MultiheadAttention(nn.Module):
    """`torch.nn.MultiheadAttention` on the mechanism by hand.

    Same constructor, same `forward`, same state-dict keys, same initialisation (after the same seed, the same
    parameters) and, in training, the same dropout draws on the CPU. It may stand inside `nn.TransformerEncoderLayer`,
    `nn.TransformerDecoderLayer` and the stacks of both, where it is called also in evaluation, when PyTorch's own is
    replaced by a fused kernel.

    Attributes:
        mechanism: The five steps between the projections, an `ops.Mechanism`; assign another one to change how the
            layer attends.

    Source: Vaswani et al. 2017, section 3.2.2.

    Differs from `torch.nn.MultiheadAttention`: a query that may attend to no key gets weights 0 and gradient 0,
    never NaN. Everything is computed one precision up and rounded once, which in float32 takes two to five times as
    long on a CPU; there is no fast path for inference. A dropout outside [0, 1] is refused at once, not at the first
    call in training.

    >>> layer = MultiheadAttention(embed_dim=6, num_heads=2)
    >>> output, weights = layer(torch.ones(5, 3, 6), torch.ones(7, 3, 6), torch.ones(7, 3, 6))
    >>> output.shape, weights.shape
    (torch.Size([5, 3, 6]), torch.Size([3, 5, 7]))
    """

    in_proj_weight: nn.Parameter | None
    q_proj_weight: nn.Parameter | None
    k_proj_weight: nn.Parameter | None
    v_proj_weight: nn.Parameter | None
    in_proj_bias: nn.Parameter | None
    bias_k: nn.Parameter | None
    bias_v: nn.Parameter | None

    @errors_as_torch
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Make and initialise the parameters.

        Args:
            embed_dim: Width of query and output.
            num_heads: A divisor of `embed_dim`.
            dropout: Probability with which a weight is dropped while training.
            bias: Whether the projections add a bias.
            add_bias_kv: Whether a learned key and value are added behind the others.
            add_zero_attn: Whether a key and a value of zeros are added at the end.
            kdim: Width of key; None: `embed_dim`.
            vdim: Width of value; None: `embed_dim`.
            batch_first: Whether inputs and output are `(batch, n, width)` in place of `(n, batch, width)`.
            device: Where the parameters live.
            dtype: Their dtype.

        Raises:
            ArgumentTypeError, OptionError, ShapeError: a size that is no count, a dropout that is no probability,
                heads that do not divide the width.
        """
        super().__init__()
        kdim, vdim = (embed_dim if width is None else width for width in (kdim, vdim))
        for name, size in {"embed_dim": embed_dim, "num_heads": num_heads, "kdim": kdim, "vdim": vdim}.items():
            require_count(size, name, "MultiheadAttention")
        require_probability(dropout, "dropout", "MultiheadAttention")
        if embed_dim % num_heads:
            raise ShapeError(
                f"MultiheadAttention: embed_dim {embed_dim} cannot be cut into {num_heads} equal heads; "
                f"use a num_heads that divides {embed_dim}."
            )
        self.embed_dim, self.kdim, self.vdim = embed_dim, kdim, vdim
        self.num_heads, self.head_dim = num_heads, embed_dim // num_heads
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self.mechanism = Mechanism()
        self._make_parameters(bias, add_bias_kv, {"device": device, "dtype": dtype})
        self._reset_parameters()
        self.register_forward_pre_hook(_stay_in_charge)

    @property
    def _qkv_same_embed_dim(self) -> bool:
        """Whether the three projections are packed in one tensor; PyTorch's encoders ask under this name."""
        return self.kdim == self.vdim == self.embed_dim

    def _make_parameters(self, bias: bool, add_bias_kv: bool, where: dict[str, Any]) -> None:
        width = self.embed_dim
        packed = self._qkv_same_embed_dim
        shapes = {
            "in_proj_weight": (3 * width, width) if packed else None,
            "q_proj_weight": None if packed else (width, width),
            "k_proj_weight": None if packed else (width, self.kdim),
            "v_proj_weight": None if packed else (width, self.vdim),
            "in_proj_bias": (3 * width,) if bias else None,
            "bias_k": (1, 1, width) if add_bias_kv else None,
            "bias_v": (1, 1, width) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            self.register_parameter(name, None if shape is None else nn.Parameter(torch.empty(shape, **where)))
        # PyTorch's own class, so that dynamic quantisation leaves the projection alone here too: its weight is read.
        self.out_proj = NonDynamicallyQuantizableLinear(width, width, bias=bias, **where)

    def _reset_parameters(self) -> None:
        """Draw the parameters anew, in PyTorch's order, so that the same seed gives the same numbers."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                nn.init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            nn.init.zeros_(self.in_proj_bias)
            nn.init.zeros_(self.out_proj.bias)
        for learned in (self.bias_k, self.bias_v):
            if learned is not None:
                nn.init.xavier_normal_(learned)

    @errors_as_torch
    def forward(
        self,
        query: Tensor,  # axes and dtypes are told in `multi_head_attention_forward`; a nested tensor has no axes
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return `(output, weights or None)`; arguments, results and errors as `multi_head_attention_forward`.

        A nested query (which `nn.TransformerEncoder` makes of a padded batch in evaluation) gives a nested output.
        """
        require_tensor(query, "query", "MultiheadAttention")
        nested, layout = query.is_nested, query.layout
        if nested:
            check_nested(query, key, value, attn_mask, key_padding_mask, self.parameters())
            query, key_padding_mask = pad_nested(query)
            key = value = query
        output, weights = multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            batch_first=self.batch_first or nested,
            mechanism=self.mechanism,
        )
        if nested:
            assert key_padding_mask is not None  # pad_nested has made it
            output = nest(output, key_padding_mask, layout)
        return output, weights

    @classmethod
    def from_torch(cls, module: TorchMultiheadAttention) -> "MultiheadAttention":
        """Return a layer with copies of `module`'s parameters and options.

        Raises:
            ArgumentTypeError: no `torch.nn.MultiheadAttention`.

        >>> encoder_layer = nn.TransformerEncoderLayer(d_model=6, nhead=2, batch_first=True)
        >>> encoder_layer.self_attn = MultiheadAttention.from_torch(encoder_layer.self_attn)
        """
        if not isinstance(module, TorchMultiheadAttention):
            raise ArgumentTypeError(
                f"MultiheadAttention.from_torch: module is {kind_of(module)}, expected a torch.nn.MultiheadAttention."
            )
        return _twin(cls, module)

    def to_torch(self) -> TorchMultiheadAttention:
        """Return a `torch.nn.MultiheadAttention` with copies of the parameters and options.

        Raises:
            ConversionError: the mechanism has a step that PyTorch's does not.
        """
        if self.mechanism != Mechanism():
            raise ConversionError(
                f"MultiheadAttention.to_torch: PyTorch has no counterpart of "
                f"{', '.join(changed_steps(self.mechanism))}; set layer.mechanism = Mechanism() first."
            )
        return _twin(TorchMultiheadAttention, self)

    def __prepare_scriptable__(self) -> TorchMultiheadAttention:
        """Return what `torch.jit.script` compiles: PyTorch's own layer, with these very parameters.

        Raises:
            ConversionError: the mechanism has a step that PyTorch's does not.
        """
        twin = self.to_torch()
        for name, parameter in self.named_parameters(recurse=False):
            twin.register_parameter(name, parameter)
        twin.out_proj = self.out_proj
        return twin

    def extra_repr(self) -> str:
        """Say sizes and options, and every step of the mechanism that is not the usual one."""
        names = ("embed_dim", "num_heads", "dropout", "batch_first", "add_zero_attn", "kdim", "vdim")
        return ", ".join([*(f"{name}={getattr(self, name)}" for name in names), *changed_steps(self.mechanism)])


_EitherT = TypeVar("_EitherT", MultiheadAttention, TorchMultiheadAttention)


def _twin(kind: type[_EitherT], module: MultiheadAttention | TorchMultiheadAttention) -> _EitherT:
    """Return a module of the other side with the same options and copies of the same parameters."""
    twin = kind(
        module.embed_dim,
        module.num_heads,
        dropout=module.dropout,
        bias=module.in_proj_bias is not None,
        add_bias_kv=module.bias_k is not None,
        add_zero_attn=module.add_zero_attn,
        kdim=module.kdim,
        vdim=module.vdim,
        batch_first=module.batch_first,
        device=module.out_proj.weight.device,
        dtype=module.out_proj.weight.dtype,
    )
    twin.load_state_dict(module.state_dict())
    return twin.train(module.training)
