"""For each attention in `modern/`: a call that its signature allows, and whose answer its wrong twins miss.

`right_NAME.py` and each `wrong_NAME__SLIP.py` are given the same call, the function NAME below, or NAME__SLIP where the
slip shows in another one. Weights depend on the name of a parameter only, inputs on their shape and their turn.
"""

import ast
import contextlib
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import torch

MODERN = Path(__file__).parent / "modern"

_turn = [0]


def rand(*shape: int) -> torch.Tensor:
    """Return numbers in (0, 1), other ones at each call."""
    _turn[0] += 1
    return torch.rand(shape, generator=torch.Generator().manual_seed(_turn[0]))


def x(*shape: int) -> torch.Tensor:
    """Return normal numbers, other ones at each call."""
    _turn[0] += 1
    return torch.randn(shape, generator=torch.Generator().manual_seed(1000 + _turn[0]))


def make(kind: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Make a layer in evaluation mode whose parameters are drawn by their names."""
    layer = kind(*arguments, **options).eval()
    for name, parameter in layer.named_parameters():
        drawn = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
        with torch.no_grad():
            parameter.copy_(drawn * (parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.3))
    return layer


def mean_of(call: Callable[[], torch.Tensor], times: int) -> torch.Tensor:
    """Return the mean of a call that draws."""
    torch.manual_seed(0)
    return torch.stack([call() for _ in range(times)]).mean(0)


def load(file: Path) -> ModuleType:
    """Return what the file defines, without the work that it does when it is loaded; missing packages are stand-ins."""
    module = ModuleType(file.stem)
    sys.modules[file.stem] = module  # dataclasses look their module up
    for part in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(part, ast.Import | ast.ImportFrom):
            _load_import(part, module)
        elif isinstance(part, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign):
            with contextlib.suppress(FileNotFoundError):
                exec(compile(ast.Module([part], []), str(file), "exec"), module.__dict__)
    return module


def _load_import(part: ast.Import | ast.ImportFrom, module: ModuleType) -> None:
    try:
        exec(compile(ast.Module([part], []), module.__name__, "exec"), module.__dict__)
    except ImportError:
        for alias in part.names:
            module.__dict__[(alias.asname or alias.name).split(".")[0]] = MagicMock()


def answers(file: Path) -> list[torch.Tensor]:
    """Return the numbers that a file answers its call with."""
    name = file.stem.partition("_")[2]
    right = name.partition("__")[0]
    return call_of(name if name in globals() else right, file)


def call_of(name: str, file: Path) -> list[torch.Tensor]:
    """Return the numbers that a file answers the call NAME with."""
    _turn[0] = 0
    torch.manual_seed(0)
    given = globals()[name](load(file))
    parts = given if isinstance(given, tuple | list) else [given]
    return [torch.as_tensor(part).detach().float() for part in parts if part is not None]


# The calls.


def llama_facebook(m):
    layer = make(m.Attention, m.ModelArgs())
    freqs = m.rotation_table(8, 64)
    mask = torch.full((5, 5), -torch.inf).triu(1)
    first = layer(x(2, 5, 64), 0, freqs[:5], mask)
    return first, layer(x(2, 1, 64), 5, freqs[5:6], None)


def nanogpt(m):
    given = x(2, 7, 48)
    slow = make(m.CausalSelfAttention, m.GPTConfig(dropout=0.5))
    train = mean_of(lambda: make(m.CausalSelfAttention, m.GPTConfig(dropout=0.5)).train()(given), 200)
    return slow(given), train, make(m.CausalSelfAttention, m.GPTConfig(dropout=0.5, flash=True))(given)


def mingpt(m):
    return make(m.CausalSelfAttention, m.get_default_config())(x(2, 6, 24))


def video_lecture(m):
    return make(m.MultiHeadAttention, 4, 5)(x(2, 6, 36)), make(m.Head, 9)(x(2, 5, 36))


def video_lecture__proj_twice(m):
    return make(m.MultiHeadAttention, 4, 9)(x(2, 6, 36))


def timm_vit(m):
    return make(m.Attention, 40, 5, qkv_bias=True)(x(2, 6, 40)), make(m.Attention, 24, 4, qk_norm=True)(x(2, 6, 24))


def whisper(m):
    layer, kept, mask = make(m.MultiHeadAttention, 24, 3), {}, torch.full((9, 9), -torch.inf).triu(1)
    given = x(2, 6, 24)
    pieces = torch.cat([layer(given[:, a:b], None, mask, kept)[0] for a, b in ((0, 3), (3, 5), (5, 6))], 1)
    return pieces, layer(given, None, mask)[0], layer(given, x(2, 7, 24))[0]


def whisper__values_of_x(m):
    return make(m.MultiHeadAttention, 24, 3)(x(2, 6, 24), x(2, 6, 24))[0]


def t5_bias(m):
    return make(m.T5Attention)(x(2, 7, 32))


def bert(m):
    mask = torch.zeros(2, 1, 1, 6)
    mask[1, ..., 4:] = -10000.0
    return make(m.BertSelfAttention, m.config)(x(2, 6, 48), mask)


def gpt_neox(m):
    return make(m.GPTNeoXAttention, m.NeoXConfig())(3 * x(2, 7, 64))


def gemma2(m):
    mask = torch.full((1, 1, 7, 7), -2.3819763e38).triu(1)
    full = make(m.Gemma2Attention, m.GemmaConfig(attn_type="global"))
    return make(m.Gemma2Attention, m.GemmaConfig())(3 * x(2, 7, 48), mask), full(3 * x(2, 7, 48), mask)


def gpt_oss_sinks(m):
    return make(m.SinkAttention, 24, 4, 2)(x(2, 6, 24))


def mistral_window(m):
    layer, cache, given = make(m.Attention, 24, 3), m.RollingCache(4), x(2, 9, 24)
    return layer(given), torch.cat([layer(given[:, i : i + 1], cache) for i in range(9)], 1)


def falcon_mqa(m):
    keep = torch.ones(2, 6, dtype=torch.bool)
    keep[1, 4:] = False
    layer = make(m.FalconAttention, 24, 3)
    return layer(x(2, 6, 24)), layer(x(2, 6, 24), keep)[:, :4]


def deepseek_mla(m):
    return make(m.MLA)(2 * x(2, 6, 48))


def swin_window(m):
    layer, mask = make(m.WindowAttention, 12, (2, 3), 3), torch.where(rand(2, 6, 6) > 0.5, -100.0, 0.0)
    return layer(x(4, 6, 12)), layer(x(4, 6, 12), mask)


def swinv2_cosine(m):
    return make(m.CosineAttention, 24, 4)(x(2, 6, 24))


def mpt_alibi(m):
    return make(m.MultiheadAttention, 24, 4)(x(2, 7, 24)), make(m.MultiheadAttention, 24, 6)(x(2, 7, 24))


def qwen3_qk_norm(m):
    layer, tables = make(m.Qwen3Attention, 24, 4, 2), m.rotary_tables(6, 8)
    causal = torch.full((1, 1, 6, 6), torch.finfo(torch.float32).min).triu(1)
    return (*layer(x(2, 6, 24), tables), layer(x(2, 6, 24), tables, causal)[0])


def talking_heads(m):
    return make(m.TalkingHeadAttention, 24, 4)(x(2, 6, 24))


def perceiver_cross(m):
    layer, keep = make(m.PreNormCrossAttention, 12, 20), torch.ones(3, 7, dtype=torch.bool)
    keep[0, 5:], keep[2, 2:] = False, False
    return layer(x(3, 5, 12), x(3, 7, 20)), layer(x(3, 5, 12), x(3, 7, 20), keep)


def stable_diffusion_attnblock(m):
    return make(m.AttnBlock, 8)(2 * x(2, 8, 3, 5))


def axial_rows_columns(m):
    return make(m.AxialAttention, 8, 2)(2 * x(2, 8, 3, 5))


def fairseq_seq_first(m):
    layer = make(m.MultiheadAttention, 24, 3, dropout=0.5)
    q, kv, pad = x(5, 2, 24), x(7, 2, 24), torch.zeros(2, 7, dtype=torch.bool)
    pad[0, 4:] = True
    causal = torch.full((5, 7), -torch.inf).triu(3)
    return *layer(q, kv, kv), *layer(q, kv, kv, pad), layer(q, kv, x(7, 2, 24), attn_mask=causal, need_weights=False)[0]


def fairseq_seq_first__weights_transposed(m):
    given = x(5, 2, 24)
    return make(m.MultiheadAttention, 24, 3)(given, given, given)


def xformers_bnhd(m):
    q, k, v = x(2, 5, 3, 4), x(2, 7, 3, 4), x(2, 7, 3, 6)
    f = m.memory_efficient_attention
    return f(q, k, v), f(q, k, v, scale=0.3), f(q, k, v, attn_bias=x(2, 3, 5, 7))


def xformers_bnhd__over_heads(m):
    q, k, v = x(2, 5, 3, 4), x(2, 5, 3, 4), x(2, 5, 3, 6)
    return m.memory_efficient_attention(q, k, v)


def varlen_packed(m):
    f, q, k, v = m.flash_attn_varlen_func, x(9, 4, 6), x(12, 2, 6), x(12, 2, 6)
    a, b = torch.tensor([0, 2, 6, 9], dtype=torch.int32), torch.tensor([0, 3, 8, 12], dtype=torch.int32)
    return f(q, k, v, a, b, 4, 5), f(q, k, v, a, b, 4, 5, causal=True)


def einsum_haiku(m):
    layer, q, k, v = make(m.MultiHeadAttention, 3, 5, 8), x(2, 6, 8), x(2, 6, 8), x(2, 6, 8)
    return layer(q, k, v), layer(q, k, v, (rand(2, 1, 6, 6) > 0.4) | torch.eye(6).bool())


def functional_weights(m):
    w = [x(12, 12) * 0.4 for _ in range(4)]
    f, given = m.multi_head_attention_forward, x(2, 5, 12)
    return f(given, *w, 3), f(given, *w, 3, causal=True), f(given[0], *w, 2)


def numpy_class(m):
    layer, q, k = m.MultiHeadAttention(12, 3), x(2, 5, 12).numpy(), x(2, 7, 12).numpy()
    mask = (rand(2, 1, 5, 7) > 0.5).numpy()
    mask[..., 0] = True
    return layer(q, k, x(2, 7, 12).numpy()), layer(q, k, k, mask)


def numpy_helpers(m):
    q, k, v, mask = x(5, 4).numpy(), x(7, 4).numpy(), x(7, 3).numpy(), (rand(5, 7) > 0.5).float().numpy()
    mask[:, 1] = 1
    return *m.scaled_dot_product_attention(q, k, v), *m.scaled_dot_product_attention(q, k, v, mask)


def numpy_helpers__weak_fill(m):
    q, k, v, mask = 8 * x(5, 4).numpy(), 8 * x(7, 4).numpy(), x(7, 3).numpy(), (rand(5, 7) > 0.5).float().numpy()
    mask[:, 1] = 1
    return m.scaled_dot_product_attention(q, k, v, mask)


def d2l_multihead(m):
    layer, q, k = make(m.MultiHeadAttention, 12, 3), x(2, 5, 12), x(2, 7, 12)
    rows = torch.tensor([[1, 2, 3, 4, 5], [7, 6, 5, 4, 3]])
    return layer(q, k, k, None), layer(q, k, x(2, 7, 12), torch.tensor([3, 6])), layer(q, k, k, rows)


def annotated_transformer(m):
    layer, q, k, v = make(m.MultiHeadedAttention, 3, 12), x(2, 5, 12), x(2, 7, 12), x(2, 7, 12)
    mask = rand(2, 5, 7) > 0.5
    mask[..., 2] = True
    return layer(q, k, v), layer(q, k, v, mask), layer.attn, layer(q, q, q, m.subsequent_mask(5))


def annotated_transformer__mask_without_head_axis(m):
    mask = rand(3, 5, 5) > 0.4
    mask[..., 0], given = True, x(3, 5, 12)
    return make(m.MultiHeadedAttention, 3, 12)(given, given, given, mask)


def raschka_wrapper(m):
    return make(m.MultiHeadAttentionWrapper, 7, 4, 16, 0.5, 3)(x(2, 6, 7)), make(m.CausalAttention, 7, 5, 8, 0.0, True)(
        x(2, 8, 7)
    )


def raschka_multihead(m):
    return make(m.MultiHeadAttention, m.GPT_CONFIG_124M)(x(2, 6, 48))


def hf_gpt2_layer_past(m):
    layer, given = make(m.GPT2Attention, m.GPT2Config()), x(2, 6, 24)
    first, past = layer(given[:, :3], use_cache=True)
    second, past = layer(given[:, 3:5], past, use_cache=True)
    pad = torch.zeros(2, 1, 1, 6)
    pad[1, ..., 1:3] = torch.finfo(torch.float32).min
    last = layer(given[:, 5:], past, output_attentions=True)
    return first, second, last[0], last[2], layer(given)[0], layer(given, attention_mask=pad)[0]


def gpt_fast_input_pos(m):
    layer, given, mask = make(m.Attention, 24, 4, 2), x(2, 6, 24), torch.ones(1, 1, 9, 9).tril().bool()
    whole = layer(given, mask[:, :, :6, :6])
    layer.kv_cache = m.KVCache(2, 9, 2, 6)
    first = layer(given[:, :4], mask[:, :, :4], torch.arange(4))
    return whole, first, layer(given[:, 4:], mask[:, :, 4:6], torch.arange(4, 6))


def dynamic_cache_object(m):
    layer, given, cache = make(m.LlamaAttention, 24, 3), x(2, 7, 24), m.DynamicCache()
    pieces = [layer(given[:, a:b], cache) for a, b in ((0, 3), (3, 4), (4, 7))]
    return layer(given), *pieces


def dict_cache(m):
    layer, given, cache = make(m.CachedAttention, 24, 3), x(2, 6, 24), {}
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[0, 1] = mask[1, 2] = False
    return layer(given), layer(given, mask=mask), layer(given[:, :4], cache), layer(given[:, 4:], cache)


def sdpa_user(m):
    layer, given, mask = make(m.SDPAttention, 24, 4, 2, dropout=0.3), x(2, 6, 24), rand(2, 1, 6, 6) > 0.4
    mask[..., 0] = True
    return layer(given), layer(given, mask), make(m.SDPAttention, 24, 4, 2, is_causal=False)(given)


def sdpa_user__mask_inverted(m):
    layer, given, mask = make(m.SDPAttention, 24, 4, 2), x(2, 6, 24), rand(2, 1, 6, 6) > 0.4
    mask[..., 0], mask[..., 1] = True, False
    return layer(given, mask)


def own_sdpa(m):
    f, q, k, v = m.scaled_dot_product_attention, x(2, 4, 5, 6), x(2, 4, 7, 6), x(2, 4, 7, 3)
    keep = rand(2, 1, 5, 7) > 0.4
    keep[..., 0], keep[..., 1] = True, False
    grouped = f(q, x(2, 2, 7, 6), x(2, 2, 7, 3), enable_gqa=True)
    return f(q, k, v), f(q, k, v, keep), f(q, k, v, x(5, 7)), f(q, k, v, is_causal=True), f(q, k, v, scale=0.2), grouped


def torch_mha_clone(m):
    layer, q, k, v = make(m.MultiheadAttention, 12, 3), x(2, 5, 12), x(2, 7, 12), x(2, 7, 12)
    pad = torch.zeros(2, 7, dtype=torch.bool)
    pad[0, 5:], pad[1, 2:] = True, True
    three = torch.zeros(6, 5, 7).masked_fill(rand(6, 5, 7) > 0.7, -3.0)
    return (
        *layer(q, k, v),
        layer(q, k, v, pad)[0],
        layer(q, k, v, pad.float() * -2)[0],
        layer(q, k, v, attn_mask=torch.ones(5, 7).triu(3).bool())[0],
        layer(q, k, v, attn_mask=three)[0],
        layer(q, k, v, average_attn_weights=False)[1],
    )


def torch_mha_clone__hides_queries(m):
    given, pad = x(2, 5, 12), torch.zeros(2, 5)
    pad[0, 3:] = -100.0
    return make(m.MultiheadAttention, 12, 3)(given, given, given, pad)[0]


def encoder_layer_post_norm(m):
    mask = torch.ones(2, 1, 1, 6)
    mask[0, ..., 4:] = 0
    layer = make(m.AttentionSublayer)
    return layer(x(2, 6, 32)), layer(x(2, 6, 32), mask)


def transformer_xl(m):
    return make(m.RelMultiHeadAttn, 3, 12, 5)(x(6, 2, 12))


def shaw_relative(m):
    return make(m.RelativeAttention, 12, 3)(x(2, 7, 12))


def longformer_dilated(m):
    return make(m.DilatedSelfAttention, 12, 3)(x(2, 11, 12))


def set_transformer_mab(m):
    return make(m.MAB, 6, 10, 12, 3)(x(2, 5, 6), x(2, 7, 10)), make(m.MAB, 6, 10, 12, 3, ln=True)(
        x(2, 5, 6), x(2, 7, 10)
    )


def pvt_spatial_reduction(m):
    return make(m.Attention, 8, 2)(x(2, 24, 8), 4, 6), make(m.Attention, 8, 2, sr_ratio=2)(x(2, 24, 8), 4, 6)


def sd_cross_attention(m):
    layer = make(m.CrossAttention, 12, 20, 3, 4)
    return layer(x(2, 6, 12), x(2, 5, 20)), make(m.CrossAttention, 12, heads=2, dim_head=5)(x(2, 6, 12))


def sd_cross_attention__values_from_x(m):
    return make(m.CrossAttention, 12, 12, 3, 4)(x(2, 6, 12), x(2, 6, 12))


def detr_positions(m):
    layer, pad = make(m.SelfAttentionWithPos, 12, 3), torch.zeros(2, 6, dtype=torch.bool)
    pad[0, 4:] = True
    return layer(x(2, 6, 12)), layer(x(2, 6, 12), pad), layer(x(2, 6, 12), pad, x(2, 6, 12))


def detr_positions__pad_inverted(m):
    layer, pad = make(m.SelfAttentionWithPos, 12, 3), torch.zeros(2, 6, dtype=torch.bool)
    pad[0, 4:], pad[1, 5:] = True, True
    return layer(x(2, 6, 12), pad)


def clip_text(m):
    layer, causal = make(m.CLIPAttention, m.clip_config), torch.full((2, 1, 6, 6), -1e9).triu(1)
    pad = torch.zeros(2, 1, 6, 6)
    pad[1, ..., 4:] = -1e9
    return *layer(x(2, 6, 24)), layer(x(2, 6, 24), pad, causal)[0], layer(x(2, 6, 24), pad)[0]


def bart_cross_cache(m):
    layer, given, other = make(m.BartAttention, 12, 3, is_decoder=True), x(2, 5, 12), x(2, 7, 12)
    first, past = layer(given[:, :3])
    second, _ = layer(given[:, 3:], None, past)
    cross, kept = layer(given[:, :2], other)
    return first, second, cross, layer(given[:, 2:], other, kept)[0], layer(given, attention_mask=x(2, 1, 5, 5))[0]


def bart_cross_cache__not_updated(m):
    layer, given = make(m.BartAttention, 12, 3, is_decoder=True), x(2, 5, 12)
    _, past = layer(given[:, :2])
    _, past = layer(given[:, 2:4], None, past)
    return layer(given[:, 4:], None, past)[0]


def bart_cross_cache__values_from_hidden(m):
    return make(m.BartAttention, 12, 3)(x(2, 5, 12), x(2, 5, 12))[0]


def mask_causal_fn(m):
    return m.create_causal_mask(5)


def mask_look_ahead_numpy(m):
    return m.create_look_ahead_mask(5)


def mask_square_subsequent(m):
    return m.generate_square_subsequent_mask(5).exp()


def mask_padding_tokens(m):
    ids = torch.tensor([[5, 0, 9, 1, 1], [0, 6, 7, 8, 1]])
    return m.make_src_mask(ids), m.make_src_mask(ids, 0)


def mask_target_combined(m):
    return m.make_trg_mask(torch.tensor([[5, 4, 9, 0, 0], [3, 6, 7, 8, 2]]))


def mask_lengths(m):
    return m.lengths_to_padding_mask(torch.tensor([3, 5, 1]))


def mask_sliding_window(m):
    return m.sliding_window_mask(7, 3)


def mask_documents(m):
    return m.packed_causal_mask(torch.tensor([[0, 0, 1, 1, 2], [0, 1, 1, 1, 1]]))


def mask_prefix(m):
    return m.prefix_lm_mask(6, 3)


def fn_alibi_bias(m):
    return m.alibi(4, 5)


def fn_rotary_pairs(m):
    return m.apply_rotary(x(2, 3, 6, 8), torch.arange(6))


def fn_softmax_stable(m):
    return m.softmax(x(4, 5).numpy()), m.softmax(x(4, 5).numpy(), axis=0), m.softmax(800 * x(3, 5).numpy())


def attn_einsum_bnhd_gqa(m):
    q, k, v = x(2, 5, 6, 4), x(2, 7, 3, 4), x(2, 7, 3, 4)
    return m.grouped_attention(q, k, v), m.grouped_attention(q, k, v, causal=True)


def attn_pool_query(m):
    return make(m.AttentionPoolLatent, 12, 3)(x(2, 6, 12))


def gated_attention(m):
    return make(m.GatedAttention, 12, 3)(x(2, 6, 12))


def conv_qkv_cvt(m):
    return make(m.ConvAttention, 12, 3)(2 * x(2, 12, 7))


def einops_free_lucid(m):
    keep = torch.ones(2, 6, dtype=torch.bool)
    keep[0, 4:] = False
    layer = make(m.Attention, 12, causal=True, norm=True)
    return layer(x(2, 6, 12)), make(m.Attention, 12)(x(2, 6, 12), keep)


def not_softmax_retention(m):
    return m.retention(x(2, 5, 4), x(2, 5, 4), x(2, 5, 3))


def not_softmax_sigmoid(m):
    return make(m.SigmoidAttention, 12, 3)(x(2, 5, 12))


def not_softmax_relu_squared(m):
    return m.attention(x(2, 5, 4), x(2, 5, 4), x(2, 5, 3))


def attn_fn_true_hides(m):
    pad = torch.zeros(2, 7, dtype=torch.bool)
    pad[0, 5:], pad[1, 3:] = True, True
    return m.attention(x(2, 5, 4), x(2, 7, 4), x(2, 7, 3), pad)


def attn_fn_keys_first(m):
    return m.attend(x(2, 7, 4), x(2, 7, 3), x(2, 5, 4)), m.attend(
        x(2, 3, 7, 4), x(2, 3, 7, 3), x(2, 3, 5, 4), rand(5, 7) > 0.3
    )


def attn_single_no_batch_numpy(m):
    return m.CausalAttention(6, 4)(x(5, 6).numpy()), m.CausalAttention(6, 4, causal=False)(x(5, 6).numpy())


def attn_shared_qk(m):
    return make(m.SharedQKAttention, 12, 3)(3 * x(2, 6, 12))


def attn_lazy_layers(m):
    torch.manual_seed(1)
    return m.LazyAttention(12, 3)(x(2, 5, 7), x(2, 6, 8), x(2, 6, 9))


def attn_lazy_layers__values_from_keys(m):
    torch.manual_seed(1)
    return m.LazyAttention(12, 3)(x(2, 5, 7), x(2, 6, 8), x(2, 6, 8))


def attn_modules_given(m):
    layer, keep = make(m.build), rand(2, 6, 6) > 0.3
    keep[..., 0] = True
    return layer(x(2, 6, 24)), layer(x(2, 6, 24), mask=keep)


def attn_tensor_weights_ctor(m):
    w = [0.3 * x(12, 12) for _ in range(4)]
    return m.FixedAttention(*w, 3)(x(2, 5, 12))


def attn_online_blocks(m):
    f, q, k, v = m.flash_attention_forward, 2 * x(2, 2, 37, 8), 2 * x(2, 2, 41, 8), x(2, 2, 41, 8)
    return f(q, k, v), f(q, k, v, causal=True), f(q, k, v, 5)


def attn_residual_gate_block(m):
    return make(m.SelfAttentionBlock, 12, 3)(x(2, 6, 12)), make(m.SelfAttentionBlock, 12, 3, causal=True, bias=True)(
        x(2, 6, 12)
    )


def attn_cross_images(m):
    return make(m.SpatialCrossAttention, 8, 6, 2)(2 * x(2, 8, 3, 4), 2 * x(2, 5, 6))


def fn_t5_bucket(m):
    i = torch.arange(40)
    return m.relative_position_bucket(i[None, :] - i[:, None], 8, 20)


def attn_fn_mask_after_renormalised(m):
    mask = (rand(2, 5, 7) > 0.4).float()
    mask[..., 0] = 1
    return m.masked_attention(x(2, 5, 4), x(2, 7, 4), x(2, 7, 3), mask)


def attn_fn_k_only_2d(m):
    return *m.attention_with_weights(x(5, 4), x(7, 4), x(7, 3)), *m.attention_with_weights(
        x(3, 5, 4), x(3, 7, 4), x(3, 7, 3)
    )


def roformer_pairs(m):
    mask = torch.ones(2, 7)
    mask[1, 5:] = 0
    layer = make(m.RoFormerSelfAttention, 24, 3)
    return layer(2 * x(2, 7, 24)), layer(2 * x(2, 7, 24), mask)


def context_with_its_mask(m):
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 5:] = False
    layer = make(m.CrossOrSelf, 24)
    given, context = 2 * x(2, 5, 24), 2 * x(2, 7, 24)
    return layer(given), layer(given, context), layer(given, context, context_mask=mask)


def enum_and_inner(m):
    layer = make(m.Outer, m.FullAttention(), m.Kind.PAST, 24, 3)
    return layer(2 * x(2, 5, 24), 2 * x(2, 7, 24), 2 * x(2, 7, 24))


def last_token_asks(m):
    return make(m.LastTokenAttention, 24, 3)(2 * x(2, 5, 24))


def packed_without_weights(m):
    return make(m.PackedAttention, 24, 3)(2 * x(2, 5, 72))


def padding_outer(m):
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 5:] = False
    layer = make(m.MaskedAttention, 24, 3, 8)
    given = 2 * x(2, 7, 24)
    return layer(given)[0], layer(given, mask=mask)[0]


def self_unless_made_for_context(m):
    given, context = 2 * x(2, 5, 24), 2 * x(2, 7, 20)
    return make(m.Mixer, 24)(given, context), make(m.Mixer, 24, 20)(given, context)


def tables_cache_true_hides(m):
    layer = make(m.GroupedAttention, 32, 4, 2)
    angles = torch.arange(7)[:, None] * 10000 ** (-torch.arange(4) / 4)
    cos, sin = (table.repeat(1, 2) for table in (angles.cos(), angles.sin()))
    given, mask = 2 * x(2, 7, 32), torch.ones(7, 7, dtype=torch.bool).triu(1)
    whole, _ = layer(given, mask, cos, sin)
    first, kept = layer(given[:, :4], mask[:4, :4], cos[:4], sin[:4])
    second, _ = layer(given[:, 4:], mask[4:], cos[4:], sin[4:], kept)
    return whole, torch.cat([first, second], 1)


def tile_of_a_picture(m):
    return make(m.TileAttention, 24, 3, 2)(2 * x(2, 9, 24))


def features_first(m):
    return m.layer(2 * x(2, 48, 5))


def picture_head_size(m):
    return make(m.PictureAttention, 24, 8)(2 * x(2, 24, 3, 5))
