"""The options of statistics at the door: window, threshold, and where tokens repeat."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, DeviceError, DTypeError, OptionError, ShapeError
from attention_surgeon.require import broadcast_shape, kind_of, require_count
from attention_surgeon.stats.induction import Repeats
from attention_surgeon.stats.row_sums import StatisticsOptions

TokensLike: TypeAlias = Tensor | Sequence[str] | Sequence[int]


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
