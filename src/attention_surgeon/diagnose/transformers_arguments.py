"""What an attention function of transformers does with the arguments that only some models give: a soft cap, sinks.

A model of Gemma 2 hands over `softcap`, one of gpt-oss `s_aux`; a function that takes them by name and drops them is
right for every other model, and silently wrong for these.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.signatures import names_of_parameters
from attention_surgeon.verdict import Behaviour

_HEADS, _KEY_HEADS, _N, _D = 4, 2, 5, 8
_CAP = 0.7


def given_arguments(target: Any) -> tuple[list[Behaviour], list[str]]:
    """Call a function with each argument that it names, and compare.

    Returns:
        What is wrong, and which arguments were given and honoured.
    """
    names = set(names_of_parameters(target))
    wrong: list[Behaviour] = []
    tried: list[str] = []
    for name, (value, fault, does) in _ARGUMENTS.items():
        if name not in names:
            continue
        plain, found = _called(target, {}), _called(target, {name: value})
        if plain is None or found is None:
            continue
        if _apart(found, _right(does)):
            words = "changes nothing" if not _apart(found, plain) else "is not what it asks for"
            wrong.append(Behaviour(fault, f"`{name}` given: what comes out {words}"))
        else:
            tried.append(name)
    return wrong, tried


def _operands() -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(3)
    query = torch.randn(2, _HEADS, _N, _D, generator=source)
    key, value = (torch.randn(2, _KEY_HEADS, _N, _D, generator=source) for _ in range(2))
    return query, key, value


def _called(target: Callable[..., Any], given: Mapping[str, Any]) -> Tensor | None:
    """Return the output as `(batch, n, heads, d)`, None where the call is refused."""
    module = SimpleNamespace(
        num_key_value_groups=_HEADS // _KEY_HEADS,
        training=False,
        is_causal=False,
        layer_idx=0,
        head_dim=_D,
        config=None,
    )
    try:
        with torch.no_grad():
            returned = target(module, *_operands(), None, scaling=_D**-0.5, dropout=0.0, **given)
    except Exception:  # noqa: BLE001  somebody else's code may raise anything
        return None
    output = returned[0] if isinstance(returned, tuple) else returned
    return output if isinstance(output, Tensor) and output.shape == (2, _N, _HEADS, _D) else None


def _right(weigh: Callable[[Tensor], Tensor]) -> Tensor:
    query, key, value = _operands()
    key, value = (x.repeat_interleave(_HEADS // _KEY_HEADS, 1) for x in (key, value))
    return (weigh(query @ key.mT * _D**-0.5) @ value).transpose(1, 2)


def _apart(one: Tensor, two: Tensor) -> bool:
    return bool((one - two).abs().max() > 1e-4)


def _with_cap(scores: Tensor) -> Tensor:
    return (_CAP * torch.tanh(scores / _CAP)).softmax(-1)


def _with_sinks(scores: Tensor) -> Tensor:
    sinks = _SINKS.view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
    return torch.cat([scores, sinks], -1).softmax(-1)[..., :-1]


_SINKS = torch.linspace(-1.0, 1.0, _HEADS)
_ARGUMENTS: Mapping[str, tuple[Any, str, Callable[[Tensor], Tensor]]] = {
    "softcap": (_CAP, "cap_missing", _with_cap),
    "s_aux": (_SINKS, "sink_missing", _with_sinks),
    "sinks": (_SINKS, "sink_missing", _with_sinks),
}
"""By name: what is given, the fault where it is dropped, and what the weights then are."""
