"""What may stand where a mask is asked for: a tensor, or anything that writes itself out when asked."""

from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class LazyMask(Protocol):
    """A mask that writes itself out when asked; `attention_surgeon.masks` makes them."""

    def dense(self, device: torch.device | str = "cpu") -> Tensor:
        """Return the whole mask as a boolean tensor, True = may attend."""
        ...


MaskLike: TypeAlias = Tensor | LazyMask
