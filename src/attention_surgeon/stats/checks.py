"""What weights must be before anything is measured on them, said once for every door of `stats`."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DeviceError, DTypeError, NonFiniteError, OptionError, ShapeError
from attention_surgeon.ops import MaskLike, resolve_mask
from attention_surgeon.require import broadcast_shape, kind_of, require_count, require_floating
from attention_surgeon.stats.row_sums import Repeats, StatisticsOptions

ROW_SUM_TOLERANCE = 0.01
"""How far from 1 a row may sum and still be taken for weights; bfloat16 errs by 0.004."""

TokensLike: TypeAlias = Tensor | Sequence[str] | Sequence[int]


def require_weights(weights: object, caller: str, name: str = "weights") -> None:
    """Refuse anything but attention weights: floating, finite, not negative, rows that sum to 1 (or are all 0).

    Raises:
        ArgumentTypeError, DTypeError, ShapeError, NonFiniteError, OptionError: with what was found, where, and the
            way out.
    """
    require_floating(weights, name, caller)
    assert isinstance(weights, Tensor)
    if weights.ndim < 2 or not weights.numel():
        raise ShapeError(
            f"{caller}: {name} has shape {tuple(weights.shape)}, expected (*batch, n_q, n_k), none of them 0."
        )
    if not bool(weights.isfinite().all()):
        place = (~weights.isfinite()).nonzero()[0].tolist()
        raise NonFiniteError(
            f"{caller}: {name} is {weights[tuple(place)].item()} at {place}, expected finite weights; a query without "
            f"keys gets weights 0 from attention_surgeon.attention, NaN from some others."
        )
    if bool((weights < 0).any()):
        place = (weights < 0).nonzero()[0].tolist()
        raise OptionError(
            f"{caller}: {name} is {weights[tuple(place)].item():.3g} at {place}, expected weights from 0 to 1; scores "
            f"become weights with softmax(scores)."
        )
    _require_row_sums(weights, caller, name)


def _require_row_sums(weights: Tensor, caller: str, name: str) -> None:
    sums = weights.sum(-1, dtype=torch.float32 if weights.element_size() < 4 else weights.dtype)
    wrong = ((sums - 1).abs() > ROW_SUM_TOLERANCE) & (sums != 0)
    if not bool(wrong.any()):
        return
    place = wrong.nonzero()[0].tolist()
    columns = weights.sum(-2, dtype=sums.dtype)
    hint = "weights after dropout do not: call the model in eval mode"
    if bool(((columns - 1).abs() <= ROW_SUM_TOLERANCE).all()):
        hint = f"its columns do: pass {name}.mT"
    raise OptionError(
        f"{caller}: row {place} of {name} sums to {sums[tuple(place)].item():.3g}, expected 1 (or 0: no keys); {hint}."
    )


def resolve_allowed(allowed: MaskLike | None, weights: Tensor, caller: str) -> Tensor | None:
    """Return the mask as a boolean tensor that broadcasts to `weights`, True = may attend; None stays None.

    Raises:
        ArgumentTypeError, DeviceError, ShapeError, MaskError: no mask, or one that does not fit.
        DTypeError: a floating mask, which says what is added and not who may attend.
        OptionError: a hidden cell has weight, in a row that may attend to something.
    """
    if isinstance(allowed, Tensor) and allowed.is_floating_point():
        raise DTypeError(
            f"{caller}: allowed has dtype {allowed.dtype}, expected True = may attend; "
            f"additive_to_mask(allowed) makes that of a mask that is added."
        )
    visible, _ = resolve_mask(
        allowed, tuple(weights.shape), device=weights.device, dtype=weights.dtype, caller=f"{caller}: allowed"
    )
    if visible is None:
        return None
    leaks = (weights > 0) & ~visible & visible.any(-1, keepdim=True)
    if bool(leaks.any()):
        place = leaks.nonzero()[0].tolist()
        raise OptionError(
            f"{caller}: {int(leaks.sum())} cells that allowed hides have weight, the first at {place}; is it the mask "
            f"of these weights, with True = may attend?"
        )
    return visible


def check_options(
    shape: Sequence[int],
    device: torch.device,
    window: int,
    threshold: float,
    tokens: TokensLike | None,
    repeat_offset: int | None,
    caller: str,
) -> StatisticsOptions:
    """Return the options, checked for weights of `shape` `(*batch, heads, n_q, n_k)`.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, OptionError: an option of the wrong kind, out of its
            range, or tokens that are not those of the keys.
    """
    require_count(window, "window", caller, least=0)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise ArgumentTypeError(f"{caller}: threshold is {kind_of(threshold)}, expected a number from 0 to 1.")
    if not 0 <= threshold <= 1:
        raise OptionError(f"{caller}: threshold is {threshold}, expected a number from 0 to 1.")
    if tokens is not None and repeat_offset is not None:
        raise OptionError(
            f"{caller}: tokens and repeat_offset are both given; each says where tokens repeat, pass one."
        )
    repeats = None
    if repeat_offset is not None:
        require_count(repeat_offset, "repeat_offset", caller, least=2, why=" (a token at the next position is itself)")
        repeats = Repeats(offset=repeat_offset)
    if tokens is not None:
        repeats = Repeats(tokens=_as_integers(tokens, shape, device, caller))
    return StatisticsOptions(window, float(threshold), repeats)


def _as_integers(tokens: TokensLike, shape: Sequence[int], device: torch.device, caller: str) -> Tensor:
    """Return the tokens as `(n_k,)`, or `(*batch, 1, n_k)` if sequences differ."""
    if not isinstance(tokens, Tensor):
        return _numbered(tokens, shape[-1], device, caller)
    if tokens.is_floating_point() or tokens.is_complex():
        raise DTypeError(f"{caller}: tokens has dtype {tokens.dtype}, expected integers, one for each key.")
    if tokens.device != device:
        raise DeviceError(
            f"{caller}: tokens is on {tokens.device} and weights on {device}; move it with tokens.to(...)."
        )
    batch = tuple(shape[:-3])
    fits = tokens.ndim >= 1 and tokens.shape[-1] == shape[-1]
    if not fits or broadcast_shape(tokens.shape[:-1], batch) != batch:
        raise ShapeError(
            f"{caller}: tokens has shape {tuple(tokens.shape)} but weights {tuple(shape)} (*batch, heads, n_q, n_k); "
            f"expected (n_k,) or (*batch, n_k)."
        )
    return tokens if tokens.ndim == 1 else tokens[..., None, :]


def _numbered(tokens: Sequence[str] | Sequence[int], num_keys: int, device: torch.device, caller: str) -> Tensor:
    if isinstance(tokens, str) or not isinstance(tokens, Sequence) or not all(isinstance(t, str | int) for t in tokens):
        raise ArgumentTypeError(
            f"{caller}: tokens is {kind_of(tokens)}, expected a list of strings or integers, one for each key, or an "
            f"integer tensor."
        )
    if len(tokens) != num_keys:
        raise ShapeError(f"{caller}: {len(tokens)} tokens for {num_keys} keys; each key needs one.")
    numbers: dict[str | int, int] = {}
    return torch.tensor([numbers.setdefault(token, len(numbers)) for token in tokens], device=device)
