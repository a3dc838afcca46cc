"""Which keys an induction head looks for: those that follow an earlier occurrence of the query's own token."""

from dataclasses import dataclass
from typing import final

from torch import Tensor


@final
@dataclass(frozen=True, eq=False)
class Repeats:
    """Where tokens repeat: known from the tokens, or from the offset at which everything repeats.

    Attributes:
        tokens: Integers `(n_k,)`, or `(*batch, 1, n_k)` where sequences differ; None: `offset` tells.
        offset: After how many positions everything comes again; None: `tokens` tell.
    """

    tokens: Tensor | None = None
    offset: int | None = None

    def targets(self, positions: Tensor, keys: Tensor) -> Tensor:
        """Return which cells are looked for.

        Args:
            positions: `(r,)`, where each query stands among the keys.
            keys: `(c,)`, consecutive keys.

        Returns:
            Boolean `(r, c)`, or `(*batch, 1, r, c)`: True where the key before k holds the query's token, k before p.

        >>> import torch
        >>> Repeats(tokens=torch.tensor([3, 1, 2, 3])).targets(torch.tensor([3]), torch.arange(4))
        tensor([[False,  True, False, False]])
        """
        is_earlier = keys < positions[:, None]
        if self.tokens is None:
            assert self.offset is not None
            return is_earlier & (keys == positions[:, None] - self.offset + 1) & (keys > 0)
        mine = self.tokens[..., positions.clamp(min=0)]
        before = self.tokens[..., (keys - 1).clamp(min=0)]
        return is_earlier & (keys > 0) & (mine[..., :, None] == before[..., None, :])
