"""What keeps attention within bounds: the length of queries and keys, the scores, the weight, the keys in sight.

    norm     q / rms(q), k / rms(k)                 before positions and scores
    cap      cap · tanh(score / cap)                between scale and mask
    window   the query's own key and size - 1 before it
    sink     exp(s_j) / (exp(sink) + Σ exp(s))      a part of each row goes to no key

Each is a part of a `Circuit`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.ops.operands import Operands
from attention_surgeon.ops.softmax import logsumexp
from attention_surgeon.require import require_count


def leave_lengths(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Return queries and keys as long as they are."""
    return query, key


def leave_uncapped(scaled: Tensor, operands: Operands) -> Tensor:
    """Let scores be as large as they are."""
    return scaled


def keep_all_weight(weights: Tensor, masked: Tensor, operands: Operands) -> Tensor:
    """Let the keys have all of the weight."""
    return weights


@dataclass(frozen=True, eq=False)
class QKNorm:
    """Queries and keys divided by their root mean square, before positions and scores, so that no score explodes.

        x / √(mean(x²) + eps) · gain

    Attributes:
        query_gain: Learned factors of the query's features, `(d,)`; None: 1.
        key_gain: The same for the key.
        eps: Keeps zeros from being divided by zero.

    Source: Henry et al. 2020, "Query-key normalization"; with the root mean square as in Dehghani et al. 2023,
    "Scaling vision transformers to 22 billion parameters", and Qwen3.

    >>> query, key = QKNorm(eps=0.0)(torch.tensor([[3.0, 4.0]]), torch.tensor([[30.0, 40.0]]))
    >>> query, key
    (tensor([[0.8485, 1.1314]]), tensor([[0.8485, 1.1314]]))
    """

    query_gain: Tensor | None = None
    key_gain: Tensor | None = None
    eps: float = 1e-6

    def __call__(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return both of one length, `(*batch, n, d)`."""
        return self.of(query, self.query_gain), self.of(key, self.key_gain)

    def of(self, x: Float[Tensor, "*batch n d"], gain: Tensor | None) -> Float[Tensor, "*batch n d"]:
        """Return `x` divided by its root mean square, times `gain`."""
        level = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return level if gain is None else level * gain.to(x.dtype)


def unit_length(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Return queries and keys of length 1, so that scores are cosines; the scale is then a temperature.

    Source: Liu et al. 2022, "Swin transformer v2", section 3.2.

    >>> unit_length(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]]))
    (tensor([[0.6000, 0.8000]]), tensor([[0., 1.]]))
    """
    return torch.nn.functional.normalize(query, dim=-1), torch.nn.functional.normalize(key, dim=-1)


@dataclass(frozen=True)
class SoftCap:
    """Scaled scores pressed into (-cap, cap), before the mask: `cap · tanh(score / cap)`.

    Attributes:
        cap: The limit.

    Source: Gemma team 2024, "Gemma 2", section 2 (logit soft-capping, after Bello et al. 2016).

    >>> SoftCap(50.0)(torch.tensor([1.0, 1000.0]), None)
    tensor([ 0.9999, 50.0000])
    """

    cap: float

    def __post_init__(self) -> None:
        """Refuse a cap that leaves no room."""
        if not self.cap > 0:
            raise OptionError(f"SoftCap: cap is {self.cap}, expected a number above 0.")

    def __call__(self, scaled: Tensor, operands: Operands | None) -> Tensor:
        """Return the scores, none beyond the cap."""
        return self.cap * torch.tanh(scaled / self.cap)


@dataclass(frozen=True, eq=False)
class Sink:
    """A score beside the keys that takes its share of each row and belongs to no key.

        w_j · Σ exp(s) / (exp(sink) + Σ exp(s)),  w = softmax(s)

    Attributes:
        scores: One for all `()`, one for each head `(heads,)`, or one for each row `(batch, heads, n_q, 1)`.

    Source: OpenAI 2025, "gpt-oss model card", section 2.3; a score of 0 is Miller 2023, "Attention is off by one".

    >>> from attention_surgeon.ops import Circuit
    >>> Circuit(sink=Sink(torch.tensor(0.0))).attend(torch.zeros(1, 2), torch.zeros(3, 2), torch.ones(3, 1))
    (tensor([[0.7500]]), tensor([[0.2500, 0.2500, 0.2500]]))
    """

    scores: Tensor

    def __call__(self, weights: Tensor, masked: Tensor, operands: Operands) -> Tensor:
        """Return what is left of the weights, `(*batch, heads, n_q, n_k)`."""
        sink = self.scores.to(masked)
        sink = sink[:, None, None] if sink.ndim == 1 else sink  # (heads,) -> (heads, 1, 1), beside (heads, n_q, 1)
        return weights * torch.sigmoid(logsumexp(masked).unsqueeze(-1) - sink)


@dataclass(frozen=True)
class Window:
    """The pattern in which a query sees its own key and the `size - 1` keys before it, every `dilation`-th only.

    Attributes:
        size: How many keys are seen, the query's own included.
        dilation: The step from one to the next; 1: neighbours.

    Source: Beltagy et al. 2020, "Longformer", section 3.1; causal as in Jiang et al. 2023, "Mistral 7B".

    >>> Window(2)(3, 3).int().tolist(), Window(2, dilation=2)(3, 3).int().tolist()
    ([[1, 0, 0], [1, 1, 0], [0, 1, 1]], [[1, 0, 0], [0, 1, 0], [1, 0, 1]])
    """

    size: int
    dilation: int = 1

    def __post_init__(self) -> None:
        """Refuse sizes that are no counts."""
        require_count(self.size, "size", "Window", why=" (a window counts the query itself)")
        require_count(self.dilation, "dilation", "Window")

    def __call__(self, num_queries: int, num_keys: int) -> Bool[Tensor, "q k"]:
        """Return who may attend, `(n_q, n_k)`; the last query stands at the last key."""
        behind = torch.arange(num_keys - num_queries, num_keys)[:, None] - torch.arange(num_keys)
        return (behind >= 0) & (behind < self.size * self.dilation) & (behind % self.dilation == 0)
