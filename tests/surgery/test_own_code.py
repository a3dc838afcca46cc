"""Attention by code of its own: followed while it runs, proved at each call, refused by name where it cannot be."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from torch.nn import functional

from attention_surgeon.errors import SurgeryError
from attention_surgeon.surgery import attention_layers, before_and_after, capture, operate, patch, pattern_operation

HEADS, SIZE, WIDTH, WORDS = 3, 5, 15, 31
_USUAL: dict[str, Any] = {"vocab_size": WORDS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _strengthened(model: nn.Module) -> Any:
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


def _bloom() -> Any:
    return hf.BloomForCausalLM(hf.BloomConfig(hidden_size=WIDTH, n_layer=2, n_head=HEADS, **_USUAL))


def _mpt() -> Any:
    return hf.MptForCausalLM(hf.MptConfig(d_model=20, n_heads=4, n_layers=2, max_seq_len=16, **_USUAL))


def _gpt_neo() -> Any:
    sizes: dict[str, Any] = {"hidden_size": WIDTH, "num_layers": 2, "num_heads": HEADS, "max_position_embeddings": 16}
    return hf.GPTNeoForCausalLM(
        hf.GPTNeoConfig(**sizes, attention_types=[[["global", "local"], 1]], window_size=3, **_USUAL)
    )


def _falcon(alibi: bool) -> Any:
    sizes: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = hf.FalconConfig(**sizes, alibi=alibi, **_USUAL)
    config._attn_implementation = "eager" if alibi else "sdpa"
    return hf.FalconForCausalLM(config)


def _deberta() -> Any:
    sizes: dict[str, Any] = {
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "intermediate_size": 7,
    }
    config = hf.DebertaConfig(**sizes, relative_attention=True, pos_att_type=["c2p", "p2c"], **_USUAL)
    return hf.DebertaForMaskedLM(config)


def _xlnet() -> Any:
    return hf.XLNetLMHeadModel(hf.XLNetConfig(d_model=18, n_layer=2, n_head=HEADS, d_inner=7, **_USUAL))


MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "bloom": (_bloom, "dense"),
    "mpt": (_mpt, "out_proj"),
    "gpt_neo": (_gpt_neo, "out_proj"),
    "falcon": (lambda: _falcon(False), "dense"),
    "falcon, alibi": (lambda: _falcon(True), "dense"),
    "deberta": (_deberta, "output.dense"),
    "xlnet": (_xlnet, ""),
}
IDS = torch.tensor([[5, 9, 3, 17, 8, 11, 4]])


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_a_model_outside_the_registry_is_operated_on(name: str) -> None:
    model = _strengthened(MODELS[name][0]())
    before = model(input_ids=IDS).logits
    with operate(model, "healthy") as receipt:
        healthy = model(input_ids=IDS).logits
    assert float((healthy - before).abs().max()) < 1e-5
    assert [(layer.calls, layer.runs) for layer in receipt.layers] == [(1, 1), (1, 1)]
    layer = attention_layers(model)[1]
    with operate(model, "knock_out", layers=1, heads=1) as receipt:
        found = model(input_ids=IDS).logits
    assert receipt.layers[0].others_identical
    assert receipt.bypassing == ""
    if projection := MODELS[name][1]:
        parent = model.get_submodule(layer.path if hasattr(layer.module, projection) else layer.path.rpartition(".")[0])
        size = capture(model, IDS).layer(layer.name)["z"].shape[-1]

        def without_head(module: nn.Module, given: tuple[Tensor, ...]) -> Any:
            changed = given[0].clone()
            changed[..., size : 2 * size] = 0
            return (changed, *given[1:])

        hook = parent.get_submodule(projection).register_forward_pre_hook(without_head)
        assert float((model(input_ids=IDS).logits - found).abs().max()) < 1e-5
        hook.remove()
    assert not torch.equal(found, before)
    assert torch.equal(model(input_ids=IDS).logits, before)


@torch.no_grad()
def test_what_stands_between_scores_and_softmax_is_read() -> None:
    bloom = capture(_strengthened(_bloom()), IDS).layer(1).trace
    assert bloom.step_functions[1] == "divide_by_root_key_size"
    assert bloom.allowed is not None
    assert torch.equal(bloom.allowed[0], torch.ones(7, 7).tril().bool())
    assert bloom.bias is not None
    assert bloom.bias[2, 6, 3] != 0
    assert torch.allclose(bloom.bias[2, 6, 3] * 2, bloom.bias[2, 6, 6])  # ALiBi counts keys
    neo = capture(_strengthened(_gpt_neo()), IDS).layer(1).trace
    assert neo.step_functions[1] == "leave_unscaled"
    assert neo.allowed is not None
    assert neo.allowed[0, 6].tolist() == [False] * 4 + [True] * 3  # a window of three


class Own(nn.Module):
    """Attention as people write it."""

    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.attend, self.num_heads = attend, HEADS
        self.into, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        parts = (part.unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for part in self.into(x).chunk(3, dim=-1))
        return self.out(self.attend(*parts).transpose(1, 2).flatten(-2))


class OwnAttention(Own):
    """Found by its name."""


class Reader(nn.Module):
    """Two layers between a table and logits."""

    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, WORDS)
        self.blocks = nn.ModuleList([OwnAttention(attend) for _ in range(2)])

    def forward(self, ids: Tensor) -> tuple[Tensor, None]:
        x = self.table(ids)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x), None


def _hide(scores: Tensor) -> Tensor:
    n = scores.shape[-1]
    return scores.masked_fill(torch.ones(n, n).tril() == 0, float("-inf"))


def _written(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.softmax(_hide(q @ k.transpose(-2, -1) / math.sqrt(SIZE)), dim=-1) @ v


def _in_one(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def _summed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("bhid,bhjd->bhij", q, k) * SIZE**-0.5
    return torch.einsum("bhij,bhjd->bhid", _hide(scores).softmax(-1), v)


def _folded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    query, key, value = (part.reshape(-1, *part.shape[-2:]) for part in (q, k, v))
    scores = torch.bmm(query, key.mT)
    scores /= SIZE**0.5
    return torch.bmm(torch.softmax(_hide(scores), -1), value).view(q.shape)


def _capped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = 2.0 * torch.tanh(q @ k.mT * SIZE**-0.5 / 2.0)
    n = scores.shape[-1]
    return torch.where(torch.ones(n, n).tril().bool(), scores, torch.finfo(scores.dtype).min).softmax(-1) @ v


def _old(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT / SIZE**0.5
    seen = torch.ones(scores.shape[-2:]).tril()
    scores = scores * seen - 1e4 * (1 - seen)
    return scores.softmax(-1).masked_fill(seen == 0, 0.0) @ v


WAYS = [_written, _in_one, _summed, _folded, _capped, _old]


@pytest.mark.parametrize("attend", WAYS)
@torch.no_grad()
def test_somebodys_own_module_is_operated_on(attend: Callable[..., Tensor]) -> None:
    model = _strengthened(Reader(attend))
    before = model(IDS)[0]
    with operate(model, "healthy") as receipt:
        assert float((model(IDS)[0] - before).abs().max()) < 1e-5
    assert sum(layer.hidden for layer in receipt.layers) == 2 * HEADS * 21
    trace = capture(model, IDS).layer(0).trace
    shown = trace.scaled if attend is not _capped else 2 * torch.tanh(trace.scaled / 2)
    assert torch.allclose(trace.masked[trace.masked > -torch.inf], shown[trace.masked > -torch.inf], atol=1e-5)
    assert trace.step_functions[1] == "divide_by_root_key_size"
    effect = before_and_after(model, "uniform", IDS, layers=0, heads=2)
    assert effect.receipt.changed
    assert effect.is_restored
    assert effect.after.layer(0)["pattern"][2, 3, :4].tolist() == [0.25] * 4
    found = patch(model, IDS, IDS.flip(-1), metric="logit(3) - logit(5)", what="q")
    assert found.goal is not None
    assert "forward" not in vars(model.blocks[0])


def _linear(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return q.softmax(-1) @ (k.softmax(-2).mT @ v)


def _over_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT).softmax(-2) @ v


def _gated(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q @ k.mT).softmax(-1) * q.sigmoid().mean(-1, keepdim=True)) @ v


def _half_hidden(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT * torch.ones(7, 7).tril()).softmax(-1) @ v


def _half_erased(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT).softmax(-1).masked_fill(torch.ones(7, 7).tril() == 0, 0.0) @ v


@pytest.mark.parametrize("attend", [_linear, _over_queries, _gated, _half_hidden, _half_erased])
def test_what_cannot_be_followed_is_refused(attend: Callable[..., Tensor]) -> None:
    model = _strengthened(Reader(attend))
    message = r"layer 0 of Reader \(OwnAttention\) ran 1 times and attends in a way that cannot be followed: no softmax"
    with pytest.raises(SurgeryError, match=message), operate(model, "knock_out"):
        model(IDS)
    with pytest.raises(SurgeryError, match=r"no attention was seen in its layers \(OwnAttention\): nothing was capt"):
        capture(model, IDS)


def test_two_attentions_in_one_module_are_refused() -> None:
    model = _strengthened(Reader(lambda q, k, v: _written(q, k, v) + _in_one(q, k, v)))
    with pytest.raises(SurgeryError, match="layer 0 attends 2 times in one run of OwnAttention"):
        capture(model, IDS)


def test_dropout_is_refused() -> None:
    model = _strengthened(Reader(lambda q, k, v: functional.dropout((q @ k.mT).softmax(-1), 0.1) @ v))
    with pytest.raises(SurgeryError, match="drops weights at random"), operate(model, "healthy"):
        model(IDS)


@torch.no_grad()
def test_a_bias_that_depends_on_the_queries_is_of_no_other_ones() -> None:
    model = _strengthened(_deberta())
    with pytest.raises(SurgeryError, match="adds to its scores what depends on its queries and keys"):
        patch(model, IDS, IDS.flip(-1), metric="logit(3)", what="q")
    assert patch(model, IDS, IDS.flip(-1), metric="logit(3)", what="v").goal is not None


@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 7, "vdim": 11}]
)
@torch.no_grad()
def test_attention_of_pytorch(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(WIDTH, HEADS, **options)}).eval()
    attention: Any = model["attention"]
    first = bool(options.get("batch_first"))
    sizes = (WIDTH, options.get("kdim", WIDTH), options.get("vdim", WIDTH))
    query, key, value = (torch.randn(2, n, size) for n, size in zip((5, 7, 7), sizes, strict=True))
    parts = [one if first else one.transpose(0, 1) for one in (query, key, value)]
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[1, 5:] = True
    before, weights = attention(*parts, key_padding_mask=padding, average_attn_weights=False)
    with operate(model, "healthy") as receipt:
        assert torch.allclose(attention(*parts, key_padding_mask=padding)[0], before, atol=1e-6)
    assert receipt.layers[0].hidden == HEADS * 5 * 2
    seen: list[Tensor] = []

    def keep(own: Tensor) -> Tensor:
        seen.append(own)
        return own

    with operate(model, pattern_operation(keep), heads=1) as receipt:
        attention(*parts, key_padding_mask=padding)
    assert not receipt.changed
    assert torch.allclose(seen[0].float(), weights, atol=1e-6)
    with operate(model, "knock_out", heads=1):
        found = attention(*parts, key_padding_mask=padding)[0]
    lost = attention.out_proj.weight[:, SIZE : 2 * SIZE]
    projected = functional.linear(
        value, (attention.v_proj_weight if "vdim" in options else attention.in_proj_weight[-WIDTH:])
    )
    gathered = weights[:, 1, :, :7] @ projected[..., SIZE : 2 * SIZE]
    if not options or first:  # without extra keys what the head gathered is weights times values
        expected = before - (gathered @ lost.T if first else (gathered @ lost.T).transpose(0, 1))
        assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(attention(*parts, key_padding_mask=padding)[0], before)


@pytest.mark.filterwarnings("ignore:.*nested tensor")
@torch.no_grad()
def test_whole_layers_of_pytorch_do_not_go_around_it() -> None:
    torch.manual_seed(0)
    model = nn.Transformer(12, 2, 2, 1, 7, batch_first=True).eval()
    assert [layer.name for layer in attention_layers(model)] == ["encoder 0", "encoder 1", "decoder 0", "cross 0"]
    x, padding = torch.randn(2, 5, 12), torch.zeros(2, 5, dtype=torch.bool)
    padding[1, 3:] = True
    before = model.encoder(x, src_key_padding_mask=padding)
    with operate(model.encoder, "healthy") as receipt:
        after = model.encoder(x, src_key_padding_mask=padding)
    assert [layer.calls for layer in receipt.layers] == [1, 1]
    assert torch.allclose(before[~padding], after[~padding], atol=1e-5)
    assert torch.backends.mha.get_fastpath_enabled()
    effect = before_and_after(model.encoder, "knock_out", {"src": x[:1]}, layers=1)
    assert effect.cosine is not None
    assert effect.cosine < 1
