"""What PyTorch refuses, the drop-in refuses, with an error that the same `except` catches."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attention_surgeon import nn
from attention_surgeon.errors import SurgeonError
from tests.nn.probes import BATCH, EMBED, HEADS, N_K, N_Q, draw

Wrong = Callable[[Any, Any, Tensor, Tensor], object]
"""A wrong call, given a module class, the function, a query `(n_q, batch, width)` and a key."""

HIDDEN = torch.zeros(N_Q, N_K, dtype=torch.bool)

WRONG_CALLS: dict[str, Wrong] = {
    "no width": lambda kind, *_: kind(0, 2),
    "negative heads": lambda kind, *_: kind(4, -2),
    "heads that do not divide": lambda kind, *_: kind(5, 2),
    "a width with a fraction": lambda kind, *_: kind(4.0, 2),
    "four axes": lambda kind, q, k: kind(EMBED, HEADS)(q[None], k[None], k[None]),
    "one axis": lambda kind, q, k: kind(EMBED, HEADS)(q[0, 0], k[0, 0], k[0, 0]),
    "a batch of queries only": lambda kind, q, k: kind(EMBED, HEADS)(q, k[:, 0], k[:, 0]),
    "a batch of keys only": lambda kind, q, k: kind(EMBED, HEADS)(q[:, 0], k, k),
    "narrow query": lambda kind, q, k: kind(EMBED, HEADS)(q[..., 1:], k, k),
    "narrow key": lambda kind, q, k: kind(EMBED, HEADS)(q, k[..., 1:], k[..., 1:]),
    "narrow key of its own width": lambda kind, q, k: kind(EMBED, HEADS, kdim=13)(q, k, k),
    "fewer values": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k[1:]),
    "fewer values of their own width": lambda kind, q, k: kind(EMBED, HEADS, kdim=13)(q, k[..., :13], k[1:]),
    "another batch": lambda kind, q, k: kind(EMBED, HEADS)(q, k[:, :1], k[:, :1]),
    "another dtype": lambda kind, q, k: kind(EMBED, HEADS)(q.double(), k.double(), k.double()),
    "keys of another dtype": lambda kind, q, k: kind(EMBED, HEADS)(q, k.double(), k.double()),
    "integers": lambda kind, q, k: kind(EMBED, HEADS)(q.long(), k.long(), k.long()),
    "another device": lambda kind, q, k: kind(EMBED, HEADS)(q.to("meta"), k, k),
    "integer padding": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(BATCH, N_K).long()),
    "padding of another length": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(BATCH, N_Q).bool()),
    "padding of another batch": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(1, N_K).bool()),
    "padding without batch": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(N_K).bool()),
    "padding of a single sequence with batch": lambda kind, q, k: kind(EMBED, HEADS)(
        q[:, 0], k[:, 0], k[:, 0], torch.zeros(1, N_K).bool()
    ),
    "integer mask": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN.long()),
    "transposed mask": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN.T),
    "mask without heads": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN.expand(BATCH, -1, -1)),
    "mask with an axis for heads": lambda kind, q, k: kind(EMBED, HEADS)(
        q, k, k, attn_mask=HIDDEN.expand(BATCH, HEADS, -1, -1)
    ),
    "mask of one row": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN[0]),
    "mask of another dtype": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, attn_mask=HIDDEN.double()),
    "padding of another dtype": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, torch.zeros(BATCH, N_K).double()),
    "a hint without a mask": lambda kind, q, k: kind(EMBED, HEADS)(q, k, k, is_causal=True),
    "dropout above 1": lambda kind, q, k: kind(EMBED, HEADS, dropout=2.0)(q, k, k),
}


@pytest.mark.usefixtures("own_messages")
@pytest.mark.parametrize("name", WRONG_CALLS)
def test_what_pytorch_refuses_is_refused_and_caught_by_the_same_except(name: str):
    arguments = (draw(N_Q, BATCH, EMBED).float(), draw(N_K, BATCH, EMBED).float())
    with pytest.raises(Exception) as theirs:  # noqa: PT011  whatever it is
        WRONG_CALLS[name](torch.nn.MultiheadAttention, *arguments)
    with pytest.raises(SurgeonError) as ours:
        WRONG_CALLS[name](nn.MultiheadAttention, *arguments)
    assert isinstance(ours.value, theirs.type)


def function_arguments(**changed: Any) -> dict[str, Any]:
    module = torch.nn.MultiheadAttention(EMBED, HEADS)
    x = draw(N_Q, BATCH, EMBED).float()
    usual = {
        **dict.fromkeys(("query", "key", "value"), x),
        "embed_dim_to_check": EMBED,
        "num_heads": HEADS,
        "in_proj_weight": module.in_proj_weight,
        "in_proj_bias": module.in_proj_bias,
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
        "out_proj_weight": module.out_proj.weight,
        "out_proj_bias": module.out_proj.bias,
    }
    return {**usual, **changed}


STATIC = torch.zeros(BATCH * HEADS, N_Q, EMBED // HEADS)

WRONG_FUNCTION_CALLS: dict[str, dict[str, Any]] = {
    "another width to check": {"embed_dim_to_check": EMBED + 1},
    "heads that do not divide": {"num_heads": 2},
    "no packed weight": {"in_proj_weight": None},
    "packed weight of another width": {"in_proj_weight": torch.zeros(3 * EMBED, EMBED + 1)},
    "packed bias of another length": {"in_proj_bias": torch.zeros(3 * EMBED + 3)},
    "no separate weights": {"use_separate_proj_weight": True},
    "separate key weight of another width": {
        "use_separate_proj_weight": True,
        "q_proj_weight": torch.zeros(EMBED, EMBED),
        "k_proj_weight": torch.zeros(EMBED, 13),
        "v_proj_weight": torch.zeros(EMBED, EMBED),
    },
    "a learned key without its value": {"bias_k": torch.zeros(1, 1, EMBED)},
    "a value without its learned key": {"bias_v": torch.zeros(1, 1, EMBED)},
    "output weight of another width": {"out_proj_weight": torch.zeros(EMBED, EMBED + 1)},
    "a learned key for static keys": {
        "static_k": STATIC,
        "static_v": STATIC,
        "bias_k": torch.zeros(1, 1, EMBED),
        "bias_v": torch.zeros(1, 1, EMBED),
    },
    "static keys of another batch": {"static_k": STATIC[1:]},
    "static values of another width": {"static_v": STATIC[..., 1:]},
}


@pytest.mark.usefixtures("own_messages")
@pytest.mark.parametrize("name", WRONG_FUNCTION_CALLS)
def test_what_pytorchs_function_refuses_is_refused_and_caught_by_the_same_except(name: str):
    arguments = function_arguments(**WRONG_FUNCTION_CALLS[name])
    with pytest.raises(Exception) as theirs:  # noqa: PT011  whatever it is
        F.multi_head_attention_forward(**arguments)
    with pytest.raises(SurgeonError) as ours:
        nn.multi_head_attention_forward(**arguments)
    assert isinstance(ours.value, theirs.type)
