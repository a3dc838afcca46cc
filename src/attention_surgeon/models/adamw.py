"""AdamW by hand: PyTorch's own loads its compiler first, which takes longer than a small training.

    m = β₁ m + (1 - β₁) g        v = β₂ v + (1 - β₂) g²
    w = w - rate · (decay · w  +  m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε))

Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
"""

import math
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

_BETAS = 0.9, 0.99
_EPSILON = 1e-8


@final
class AdamW:
    """The optimiser: decay for matrices, none for biases and norms.

    Attributes:
        first: Running mean of each parameter's gradient, by name.
        second: Running mean of its square.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> before, optimizer = layer.weight.item(), AdamW(layer, weight_decay=0.0)
    >>> layer(torch.ones(1, 1)).sum().backward()
    >>> optimizer.step(0.1, step=1)                   # the first step always has the size of the rate
    >>> round(before - layer.weight.item(), 3)
    0.1
    """

    def __init__(self, model: nn.Module, weight_decay: float) -> None:
        """Begin with moments of 0 for every parameter of `model`."""
        self._parameters = dict(model.named_parameters())
        self._decays = [weight_decay if parameter.ndim >= 2 else 0.0 for parameter in self._parameters.values()]
        self.first = {name: torch.zeros_like(parameter) for name, parameter in self._parameters.items()}
        self.second = {name: torch.zeros_like(parameter) for name, parameter in self._parameters.items()}

    @torch.no_grad()
    def step(self, rate: float, step: int) -> None:
        """Move every parameter against its gradient; `step` counts from 1."""
        beta_first, beta_second = _BETAS
        fix_first, fix_second = 1 - beta_first**step, math.sqrt(1 - beta_second**step)
        for (name, parameter), decay in zip(self._parameters.items(), self._decays, strict=True):
            gradient = parameter.grad
            if gradient is None:  # a circuit without, for example, a key
                continue
            first = self.first[name].lerp_(gradient, 1 - beta_first)
            second = self.second[name].mul_(beta_second).addcmul_(gradient, gradient, value=1 - beta_second)
            parameter.mul_(1 - rate * decay)
            parameter.addcdiv_(first, second.sqrt().div_(fix_second).add_(_EPSILON), value=-rate / fix_first)

    def state(self) -> dict[str, Tensor]:
        """Return the moments by name, for a checkpoint."""
        first = {f"first.{name}": moment for name, moment in self.first.items()}
        return first | {f"second.{name}": moment for name, moment in self.second.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put back the moments that `state` returned."""
        self.first = {name: state[f"first.{name}"] for name in self._parameters}
        self.second = {name: state[f"second.{name}"] for name in self._parameters}
