"""Attention carried through all layers, and attention that counts what is carried: numbers from one capture.

    rollout          each layer's mean weights with the shortcut in them, multiplied        Abnar and Zuidema 2020
    attention_flow   the most that can flow to each token, with the weights as pipes        the same
    value_weighted   weight times the length of the value                                   Elhage et al. 2021
    norm_weighted    the length of weight times the value through W_O                       Kobayashi et al. 2020

Abnar and Zuidema: "Quantifying Attention Flow in Transformers". Elhage et al.: "A Mathematical Framework for
Transformer Circuits", information-weighted attention. Kobayashi et al.: "Attention is Not Only a Weight".
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.surgery.capture import Capture, CapturedLayer

Weighed: TypeAlias = Capture | Tensor | Mapping[str, Tensor]


def rollout(captured: Weighed, *, shortcut: float = 0.5) -> Tensor:
    """Return how much each position of the last layer goes back to each token, `(layers, n, n)`, layer by layer.

    Args:
        captured: All layers of a model of one stack; or their weights, `(layers, heads, n, n)`, or one by one, as
            `weights_of` gives them.
        shortcut: The share that stays where it is, the residual connection; 0 leaves it out.

    Raises:
        OptionError: layers of several stacks or lengths, no share.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> from attention_surgeon.surgery import capture
    >>> rolled = rollout(capture(Decoder(DecoderConfig(vocabulary_size=11)).eval(), [3, 1, 4]))
    >>> rolled.shape, torch.allclose(rolled.sum(-1), torch.ones(2, 3))
    (torch.Size([2, 3, 3]), True)
    """
    mixed = _mixed(captured, shortcut, "rollout")
    rolled = [mixed[0]]
    for layer in mixed[1:]:
        rolled.append(layer @ rolled[-1])  # (n, n) @ (n, n) -> (n, n)
    return torch.stack(rolled).float()


def attention_flow(captured: Weighed, *, query: int = -1, shortcut: float = 0.5) -> Tensor:
    """Return the most that can flow from one position of the last layer to each token, `(n,)`.

    Args:
        captured: As for `rollout`.
        query: The position.
        shortcut: As for `rollout`.

    Raises:
        OptionError: as `rollout`; no such position.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> from attention_surgeon.surgery import capture
    >>> attention_flow(capture(Decoder(DecoderConfig(vocabulary_size=11)).eval(), [3, 1, 4])).shape
    torch.Size([3])
    """
    import networkx  # comes with torch; needed only here

    mixed = _mixed(captured, shortcut, "attention_flow")
    n = mixed.shape[-1]
    if not -n <= query < n:
        raise OptionError(f"attention_flow: there is no position {query}; the text has {n}.")
    graph: Any = networkx.DiGraph()
    for number, layer in enumerate(mixed.tolist(), start=1):
        for above, row in enumerate(layer):
            graph.add_edges_from(
                ((number, above), (number - 1, below), {"capacity": weight})
                for below, weight in enumerate(row)
                if weight
            )
    source = (len(mixed), query % n)
    flows = [
        networkx.maximum_flow_value(graph, source, (0, token)) if (0, token) in graph else 0.0 for token in range(n)
    ]
    return torch.tensor(flows)


def value_weighted(layer: CapturedLayer) -> Tensor:
    """Return the weights times the length of what each key hands over, `(heads, n_q, n_k)`.

    A head that looks at a token whose value is nearly 0, as at a sink, takes nothing from it.
    """
    return layer["pattern"] * layer["v"].norm(dim=-1)[:, None]  # (h, q, k) * (h, 1, k)


def norm_weighted(layer: CapturedLayer) -> Tensor:
    """Return the length of what each key adds to the stream through W_O, `(heads, n_q, n_k)`.

    Args:
        layer: Of `capture(..., stream=True)`.

    Raises:
        OptionError: captured without the stream.
    """
    written = layer["v"] @ layer["w_o"]  # (h, k, v) @ (h, v, width) -> (h, k, width)
    return layer["pattern"] * written.norm(dim=-1)[:, None]


def _mixed(captured: Weighed, shortcut: float, caller: str) -> Tensor:
    """Return each layer's mean weights with the shortcut in it, `(layers, n, n)` float64."""
    if not 0 <= shortcut < 1:
        raise OptionError(f"{caller}: shortcut is {shortcut}, expected a share from 0 to below 1.")
    if isinstance(captured, Mapping):
        if len({each.shape[-2:] for each in captured.values()}) != 1:
            raise OptionError(f"{caller}: the weights are of several lengths; pass those of one stack.")
        captured = torch.stack([each.double().mean(0, keepdim=True) for each in captured.values()])
    if isinstance(captured, Tensor):
        weights = captured.double().mean(1)
        return (1 - shortcut) * weights + shortcut * torch.eye(weights.shape[-1], dtype=torch.float64)
    shapes: Mapping[Any, Any] = {(layer.stack, *layer["pattern"].shape[-2:]): None for layer in captured.layers}
    if len(shapes) != 1 or len({*captured.layers[0]["pattern"].shape[-2:]}) != 1:
        stacks = ", ".join(dict.fromkeys(layer.stack or "one stack" for layer in captured.layers))
        raise OptionError(f"{caller}: the layers are of {stacks}; capture one stack with layers=, such as 'encoder'.")
    heads = [layer["pattern"].double().mean(0, keepdim=True) for layer in captured.layers]
    return _mixed(torch.stack(heads), shortcut, caller)
