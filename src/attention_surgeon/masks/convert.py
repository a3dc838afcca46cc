"""From our masks to other people's and back; the name of each function names both sides.

    side      who                                                      boolean, 0/1        floating
    mask      attention, and everything in this package                True = may attend   added to the scores
    sdpa      F.scaled_dot_product_attention                           True = may attend   added to the scores
    mha       nn.MultiheadAttention, nn.Transformer*: attn_mask,       True = HIDDEN       added to the scores
              src_mask, key_padding_mask, src_key_padding_mask
    additive  transformers' eager attention, create_causal_mask        -                   0 stays, -inf hides

flex_attention, JAX, Keras and the attention_mask of transformers' tokenizers have the polarity of sdpa, and ours.
A bias (a floating mask with numbers other than 0 and `-inf`) says more than yes or no: the ways back refuse it.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DTypeError, MaskError, ShapeError
from attention_surgeon.masks.draw import draw_cells
from attention_surgeon.masks.foreign import known_mask
from attention_surgeon.masks.mask import Device, Mask
from attention_surgeon.masks.read import read_additive, read_unbiased, read_yes_no, require_plain
from attention_surgeon.require import require_count, require_tensor


def mask_to_sdpa(mask: Mask | Tensor, device: Device | None = None) -> Bool[Tensor, "*cells"]:
    """Return our mask as `F.scaled_dot_product_attention` takes it: boolean, True = may attend.

    Args:
        mask: A mask, or a boolean or 0/1 integer tensor, 1 = may attend.
        device: Where the result lives; None: where the tensor is, for a mask the CPU.

    Returns:
        A new boolean tensor of the same shape.

    Raises:
        ArgumentTypeError, MaskError: no mask, or one whose meaning is in doubt.

    >>> mask_to_sdpa(torch.tensor([[1, 0]]))
    tensor([[ True, False]])
    """
    return _allowed(mask, device, "mask_to_sdpa")


def sdpa_to_mask(mask: Tensor) -> Bool[Tensor, "*cells"]:
    """Return a mask of `F.scaled_dot_product_attention` as ours.

    Args:
        mask: Boolean (True = may attend) or floating (0 = may attend, `-inf` = hidden); or a `CausalBias` of
            `torch.nn.attention.bias`.

    Returns:
        A new boolean tensor of the same shape, True = may attend.

    Raises:
        ArgumentTypeError, MaskError: an integer mask (that function refuses it too), a bias, or doubtful numbers.

    >>> sdpa_to_mask(torch.tensor([[0.0, float("-inf")]]))
    tensor([[ True, False]])
    """
    known = known_mask(mask, "sdpa_to_mask")
    if isinstance(known, Mask) and known is not mask:
        return known.dense()
    return _read_torchs(mask, "sdpa_to_mask", "scaled_dot_product_attention").clone()


def mask_to_mha(
    mask: Mask | Tensor, num_heads: int | None = None, device: Device | None = None
) -> Bool[Tensor, "*cells"]:
    """Return our mask as `nn.MultiheadAttention` takes it: boolean, True = HIDDEN, the opposite of ours.

    Args:
        mask: A mask, or a boolean or 0/1 integer tensor, 1 = may attend. For `attn_mask` `(n_q, n_k)`; for
            `key_padding_mask` `(batch, n_k)`, for example `mask_to_mha(padding_mask(lengths))[:, 0]`.
        num_heads: For a mask with a batch: `(batch, n_q, n_k)` or `(batch, heads or 1, n_q, n_k)` becomes
            `(batch * num_heads, n_q, n_k)`, the heads of one sequence next to each other, as `attn_mask` wants it.
        device: Where the result lives; None: where the tensor is, for a mask the CPU.

    Returns:
        A new boolean tensor.

    Raises:
        ArgumentTypeError, MaskError, OptionError, ShapeError: no mask, a doubtful one, or heads that do not fit.

    Differs in what follows: a query without any key gets NaN from that module (with weights), 0 from `attention`.

    >>> mask_to_mha(torch.tensor([[True, False]]))
    tensor([[False,  True]])
    """
    hidden = ~_allowed(mask, device, "mask_to_mha")
    if num_heads is None:
        return hidden
    require_count(num_heads, "num_heads", "mask_to_mha")
    by_head = hidden.unsqueeze(1) if hidden.ndim == 3 else hidden  # (batch, q, k) -> (batch, 1, q, k)
    if by_head.ndim != 4 or by_head.shape[1] not in (1, num_heads):
        raise ShapeError(
            f"mask_to_mha: mask has shape {tuple(hidden.shape)}, expected (batch, n_q, n_k) or "
            f"(batch, {num_heads} or 1, n_q, n_k) for num_heads={num_heads}; a mask (n_q, n_k) needs no num_heads."
        )
    return by_head.expand(-1, num_heads, -1, -1).flatten(0, 1)  # (batch, heads, q, k) -> (batch * heads, q, k)


def mha_to_mask(mask: Tensor, num_heads: int | None = None) -> Bool[Tensor, "*cells"]:
    """Return a mask of `nn.MultiheadAttention` as ours.

    Args:
        mask: Boolean (True = HIDDEN) or floating (0 = may attend, `-inf` = hidden).
        num_heads: For an `attn_mask` `(batch * num_heads, n_q, n_k)`: it becomes `(batch, num_heads, n_q, n_k)`.

    Returns:
        A new boolean tensor, True = may attend. A `key_padding_mask` `(batch, n_k)` still needs its query axis:
        `mha_to_mask(key_padding_mask)[:, None, :]`.

    Raises:
        ArgumentTypeError, MaskError, OptionError, ShapeError: an integer mask (that module refuses it too), a bias,
            doubtful numbers, or heads that do not fit.

    >>> mha_to_mask(torch.tensor([[False, True]]))
    tensor([[ True, False]])
    """
    read = _read_torchs(mask, "mha_to_mask", "nn.MultiheadAttention")
    allowed = ~read if mask.dtype == torch.bool else read
    if num_heads is None:
        return allowed
    require_count(num_heads, "num_heads", "mha_to_mask")
    if allowed.ndim != 3 or allowed.shape[0] % num_heads:
        raise ShapeError(
            f"mha_to_mask: mask has shape {tuple(mask.shape)}, expected (batch * {num_heads}, n_q, n_k) "
            f"for num_heads={num_heads}; a mask (n_q, n_k) or (batch, n_k) needs no num_heads."
        )
    return allowed.unflatten(0, (-1, num_heads))  # (batch * heads, q, k) -> (batch, heads, q, k)


def mask_to_additive(
    mask: Mask | Tensor, dtype: torch.dtype = torch.float32, device: Device | None = None
) -> Float[Tensor, "*cells"]:
    """Return our mask as numbers to add to the scores: 0 where a query may attend, `-inf` where it may not.

    Args:
        mask: A mask, or a boolean or 0/1 integer tensor, 1 = may attend.
        dtype: Floating dtype of the result.
        device: Where the result lives; None: where the tensor is, for a mask the CPU.

    Returns:
        A new floating tensor of the same shape.

    Raises:
        ArgumentTypeError, DTypeError, MaskError: no mask, one whose meaning is in doubt, or a dtype without `-inf`.

    >>> mask_to_additive(torch.tensor([[True, False]]))
    tensor([[0., -inf]])
    """
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise DTypeError(f"mask_to_additive: dtype is {dtype!r}, expected a floating one such as torch.float32.")
    allowed = _allowed(mask, device, "mask_to_additive")
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, float("-inf"))


def additive_to_mask(mask: Tensor) -> Bool[Tensor, "*cells"]:
    """Return a mask of numbers that are added to the scores as ours.

    Args:
        mask: Floating: 0 = may attend; `-inf`, or the lowest number of the dtype or of bfloat16, = hidden.

    Returns:
        A new boolean tensor of the same shape, True = may attend.

    Raises:
        ArgumentTypeError, MaskError: not floating; NaN or +inf; a bias, which a boolean mask cannot hold; only 0s
            and 1s, which are nearly always a boolean mask of one polarity or the other.

    >>> additive_to_mask(torch.tensor([[0.0, torch.finfo(torch.float32).min]]))
    tensor([[ True, False]])
    """
    return read_unbiased(mask, "additive_to_mask")


def draw_mask(mask: Mask | Tensor) -> str:
    """Draw a mask or a tensor as `attention` understands it: `x` may attend, `.` is hidden, one line per query.

    Args:
        mask: A mask; a boolean or 0/1 integer tensor, 1 = may attend; or a floating one, of which only what it
            hides is drawn. At least `(n_q, n_k)`; with batch axes each matrix stands under its index.

    Raises:
        ArgumentTypeError, MaskError, ShapeError: no mask, a doubtful one, or fewer than two axes.

    >>> print(draw_mask(torch.tensor([[0.0, float("-inf")], [0.5, 0.0]])))
    x.
    xx
    """
    mask = known_mask(mask, "draw_mask")
    if isinstance(mask, Mask):
        return mask.draw()
    require_tensor(mask, "mask", "draw_mask", expected="a mask or a torch.Tensor")
    allowed = read_additive(mask, "draw_mask") if mask.is_floating_point() else read_yes_no(mask, "draw_mask")
    if allowed.ndim < 2:
        raise ShapeError(
            f"draw_mask: mask has shape {tuple(mask.shape)}, expected (*batch, n_q, n_k); one row is mask[None, :]."
        )
    return draw_cells(allowed)


def _allowed(mask: Mask | Tensor, device: Device | None, caller: str) -> Tensor:
    mask = known_mask(mask, caller)
    if isinstance(mask, Mask):
        return mask.dense("cpu" if device is None else device)
    require_tensor(mask, "mask", caller, expected="a mask or a torch.Tensor")
    return read_yes_no(mask, caller).to(mask.device if device is None else device, copy=True)


def _read_torchs(mask: Tensor, caller: str, side: str) -> Tensor:
    """Return a boolean tensor as it is and a floating one as True = may attend; refuse what PyTorch refuses."""
    if isinstance(mask, Mask):
        raise ArgumentTypeError(f"{caller}: mask is a mask of attention_surgeon.masks already; write mask.dense().")
    require_plain(mask, "mask", caller)
    if mask.dtype == torch.bool:
        return mask
    if mask.is_floating_point():
        return read_unbiased(mask, caller)
    raise MaskError(f"{caller}: mask has dtype {mask.dtype}, which {side} refuses; call .bool() on it first.")
