"""Parts beside the attention that mix tokens, taken out, so that what is left says whose is what.

A group norm takes its mean over all pixels, a convolution of three looks at the neighbours: with them every number
depends on every token, and nothing can be told of the attention behind them.
"""

from collections.abc import Iterator

import torch
from torch import nn

_NORMS = (nn.GroupNorm, nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


class _Gains(nn.Module):
    """What is left of a norm over several tokens: its gains and biases."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.weight, self.bias = getattr(norm, "weight", None), getattr(norm, "bias", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(b, c, ...)` times one gain for each channel, and one bias added."""
        shape = (1, -1, *[1] * (x.ndim - 2))
        out = x if self.weight is None else x * self.weight.view(shape)
        return out if self.bias is None else out + self.bias.view(shape)


def make_tokenwise(made: object) -> tuple[str, ...]:
    """Change a module in place so that what stands around its attention no longer mixes tokens.

    Returns:
        What was changed, a sentence each.
    """
    return tuple(dict.fromkeys(_changes(made))) if isinstance(made, nn.Module) else ()


def _changes(made: nn.Module) -> Iterator[str]:
    for module in list(made.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, _NORMS):
                setattr(module, name, _Gains(part))
                yield f"its {type(part).__name__} mixes tokens and was left out to read the rest"
            elif isinstance(part, _CONVOLUTIONS) and _looks_around(part):
                _keep_middle(part)
                yield "of its convolutions only the middle was kept to read the rest"


def _looks_around(part: nn.Conv1d | nn.Conv2d) -> bool:
    """Whether a convolution keeps the number of tokens and looks at their neighbours."""
    sizes = part.kernel_size
    same = part.padding == "same" or tuple(part.padding) == tuple((size // 2) * d for size, d in _pairs(part))
    return any(size > 1 for size in sizes) and set(part.stride) == {1} and same


def _pairs(part: nn.Conv1d | nn.Conv2d) -> Iterator[tuple[int, int]]:
    return zip(part.kernel_size, part.dilation, strict=True)


def _keep_middle(part: nn.Conv1d | nn.Conv2d) -> None:
    middle = tuple(size // 2 for size in part.kernel_size)
    with torch.no_grad():
        kept = part.weight[(slice(None), slice(None), *middle)].clone()
        part.weight.zero_()
        part.weight[(slice(None), slice(None), *middle)] = kept
