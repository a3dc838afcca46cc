"""Functions of query, key and value at many sizes: what they refuse is a limit, what they answer wrongly is named."""

import math

import pytest
import torch
from torch import Tensor

from attention_surgeon.diagnose import diagnose
from attention_surgeon.diagnose.kernels import diagnose_layout
from attention_surgeon.errors import ContractError, UnjudgedError
from attention_surgeon.testing import check_attention, make_contract
from attention_surgeon.testing.kernel.call import KernelCall
from attention_surgeon.testing.kernel.right import allowed_error, in_tiles, operands_of, right_answer
from attention_surgeon.testing.kernel.signature import read_kernel

pytestmark = pytest.mark.usefixtures("own_messages")  # with the shape checks of the hook it takes ten times as long


def plain(q, k, v, causal=False, scale=None):
    """q (b, h, n, d); k, v (b, g, m, d): neighbouring heads share one of the g."""
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    scores = q.float() @ k.float().mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1 + k.shape[2] - q.shape[2])
        scores = scores.masked_fill(hidden, -math.inf)
    return (scores.softmax(-1) @ v.float()).to(q.dtype)


class InTiles(torch.autograd.Function):
    """With a wrong gradient of q where `FACTOR` is not 1."""

    FACTOR = 1.0

    @staticmethod
    def forward(ctx, q, k, v, causal, sm_scale):
        ctx.save_for_backward(q, k, v)
        ctx.options = causal, sm_scale
        return plain(q, k, v, causal, sm_scale)

    @staticmethod
    def backward(ctx, gradient):
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_() for x in ctx.saved_tensors]
            q, k, v = torch.autograd.grad(plain(*leaves, *ctx.options), leaves, gradient)
        return InTiles.FACTOR * q, k, v, None, None


def tokens_first(query, key, value, is_causal=False):
    """query, key, value: (batch, seqlen, nheads, headdim)."""
    return plain(*(x.transpose(1, 2) for x in (query, key, value)), is_causal).transpose(1, 2)


def narrow(q, k, v, causal=True):
    """Half precision, whole tiles of 64, heads of 64 or 128, forward only."""
    assert q.dtype in (torch.float16, torch.bfloat16)
    assert q.shape[2] == k.shape[2]
    assert q.shape[2] % 64 == 0
    assert q.shape[1] == k.shape[1]
    assert q.is_contiguous()
    assert causal
    if q.shape[3] not in (64, 128):
        raise ValueError("head_dim")
    return plain(q, k, v, causal).detach()


def of_one_head(Q, K, V):
    return torch.stack([((K @ q) / len(q) ** 0.5).softmax(0) @ V for q in Q])


@pytest.mark.parametrize("right", [plain, InTiles, tokens_first, narrow, of_one_head])
def test_a_right_one_is_right_whatever_it_refuses(right):
    found = diagnose(right, "kernel")
    assert (found.verdict, found.names, found.unnamed) == ("right", (), ())
    check_attention(right, "kernel")


def test_a_gradient_is_held_to_be_the_derivative(monkeypatch):
    monkeypatch.setattr(InTiles, "FACTOR", 2.0)
    found = diagnose(InTiles, "kernel")
    assert (found.verdict, found.names) == ("wrong", ("cuts_gradient",))
    assert found.mistakes[0].seen == ("the gradient is not the derivative for q",)


def test_calls_leave_nothing_behind():
    buffers = {}

    def into_a_buffer(q, k, v):
        output = plain(q, k, v)
        return buffers.setdefault((q.shape, q.dtype), torch.empty_like(output)).copy_(output)

    def scales_in_place(q, k, v):
        return plain(q.mul_(q.shape[-1] ** -0.5), k, v, scale=1.0)

    assert diagnose(into_a_buffer, "kernel").names == ("shares_state",)
    assert diagnose(scales_in_place, "kernel").names == ("mutates_inputs",)


def test_what_it_refuses_is_said():
    remarks = " ".join(diagnose(narrow, "kernel").remarks)
    for words in (
        "multiples of 64",
        "as many keys as queries",
        "bfloat16 and float16 only",
        "contiguous",
        "causal only",
    ):
        assert words in remarks


def changed(name: str):
    """Return a kernel that is wrong from some size, stride, dtype or group on."""

    def kernel(q, k, v, causal=False):
        """q (b, h, n, d); k, v (b, g, m, d), with h a multiple of g."""
        if name == "long" and k.shape[2] > 32:
            v = 1.1 * v
        if name == "tail":
            k, v = (x[:, :, : max(x.shape[2] // 48, 1) * 48] for x in (k, v))
        if name == "strides":
            k = torch.as_strided(k, k.shape, (k[0].numel(), k[0, 0].numel(), k.shape[3], 1))
        if name == "groups":
            k, v = (x.repeat(1, q.shape[1] // x.shape[1], 1, 1) for x in (k, v))
        if name == "batch" and q.shape[0] > 4:
            k = k[torch.arange(len(k)) % 4]
        if name == "unstable" and not causal:
            e = (q @ k.repeat_interleave(q.shape[1] // k.shape[1], 1).mT / q.shape[-1] ** 0.5).exp()
            return e / e.sum(-1, keepdim=True) @ v.repeat_interleave(q.shape[1] // v.shape[1], 1)
        if name == "low precision" and q.dtype == torch.bfloat16 and k.shape[2] > 200:
            return plain(q, k, v, causal) * 1.1
        if name == "start" and causal and k.shape[2] != q.shape[2]:
            n, m = q.shape[2], k.shape[2]
            k, v = (torch.cat([x[:, :, :n], x[:, :, :0]], 2) if m > n else x for x in (k, v))
        return plain(q, k, v, causal)

    return kernel


@pytest.mark.parametrize(
    ("name", "words", "fault"),
    [
        ("long", "33 keys", None),
        ("tail", "with 49 keys: the output is off", "tail_dropped"),
        ("strides", "transposed views", None),
        ("groups", "4 heads that share 2 heads of keys", "heads_tiled"),
        ("batch", "with 5 sequences: the output is off", None),
        ("unstable", "far above 0", "softmax_no_max_subtraction"),
        ("low precision", "bfloat16, 201 keys", None),
        ("start", "the first query sees the first key only", "causal_aligned_at_start"),
    ],
)
def test_where_it_starts_to_be_wrong_is_named(name, words, fault):
    found = diagnose(changed(name), "kernel")
    assert found.verdict == "wrong"
    assert words in " ".join(seen.evidence for seen in found.behaviour)
    assert found.names[:1] == (() if fault is None else (fault,))


def test_it_is_judged_so_without_being_asked():
    found = diagnose(changed("batch"))
    assert (found.verdict, found.contract_name) == ("wrong", "kernel")
    with pytest.raises(ContractError, match="it is wrong with 5 sequences"):
        check_attention(changed("batch"), "kernel")


def test_the_call_that_is_shown_can_be_pasted():
    kernel = changed("tail")
    example = diagnose(kernel, "kernel").counterexample
    assert example is not None
    scope = {"torch": torch, "kernel": kernel}
    exec(example.inputs, scope)
    yours = eval(example.what, scope)
    torch.testing.assert_close(yours, torch.as_tensor(example.yours).float())
    assert (yours - torch.as_tensor(example.expected)).abs().max() > 1e-3


def test_the_layout_that_a_text_names_is_held_to():
    def kernel(q, k, v):
        """q, k, v: (batch, seq_len, heads, head_dim)"""
        return plain(*(x.transpose(1, 2) for x in (q, k, v))).reshape(q.shape)

    found = diagnose_layout(kernel, ("3 heads",))
    assert found is not None
    assert found.verdict == "wrong"
    assert diagnose_layout(kernel, ("capped scores",)) is None


def test_a_copy_of_pytorchs_function_is_held_to_what_that_does():
    def scaled_dot_product_attention(query, key, value, attn_mask=None, is_causal=False, scale=None):
        bias = torch.zeros(query.shape[-2], key.shape[-2])
        if is_causal:
            bias = bias.masked_fill(torch.ones_like(bias).triu(1).bool(), -math.inf)
        if attn_mask is not None:
            allowed = attn_mask if attn_mask.dtype == torch.bool else attn_mask == 0
            bias = bias.masked_fill(~allowed, -math.inf)
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        return (query @ key.mT * factor + bias.to(query.dtype)).softmax(-1) @ value

    found = diagnose(scaled_dot_product_attention, "kernel")
    assert found.verdict == "wrong"
    assert "attn_mask= (numbers to add)" in " ".join(seen.evidence for seen in found.behaviour)


@pytest.mark.parametrize(("usual", "verdict"), [(lambda q: q.shape[-1] ** 0.5, "right"), (lambda q: 1.0, "wrong")])
def test_a_scale_may_divide_where_the_code_does(usual, verdict: str):
    def attention(q, k, v, scale=None):
        if scale is None:
            scale = usual(q)
        return (q @ k.mT / scale).softmax(-1) @ v

    found = diagnose(attention, "kernel")
    assert found.verdict == verdict
    assert verdict == "wrong" or "scale=" in found.calls


def test_what_is_no_kernel_is_unjudged():
    with pytest.raises(UnjudgedError, match="expected query, key and value"):
        make_contract("kernel").bind(lambda x: x)
    with pytest.raises(UnjudgedError, match="'table', whose meaning"):
        make_contract("kernel").bind(lambda q, k, v, table: q)
    with pytest.raises(UnjudgedError, match="it answers no call"):
        make_contract("kernel").bind(lambda q, k, v: (q @ k.reshape(-1, 3, 1000)) @ v)


@pytest.mark.parametrize(
    ("says", "layouts"),
    [("(B, H, N, D)", ("bhnd",)), ("[batch, seqlen, nheads, headdim]", ("bnhd",)), ("(a, b, c, d)", ()), ("", ())],
)
def test_the_layout_is_read_from_the_text(says: str, layouts: tuple[str, ...]):
    def kernel(q, k, v): ...

    kernel.__doc__ = says
    own = eval(f"lambda q, k, v: '{says}'")  # without a source, only the docstring can be read
    own.__doc__ = says
    assert read_kernel(own).said == layouts


def test_numbers_of_a_call_by_hand():
    call = KernelCall(n_q=2, n_k=3, heads=2, kv_heads=1, width=4, value_width=4, is_causal=True)
    given = operands_of(call)
    assert given.allowed is not None
    assert given.allowed.tolist() == [[True, True, False], [True, True, True]]
    assert torch.equal(given.key[:, 0], given.key[:, 1])
    torch.testing.assert_close(right_answer(call), in_tiles(given, 2))
    wrong: Tensor = in_tiles(given, 2, "sum")
    assert (wrong - right_answer(call)).abs().max() > 1e-3


def test_low_precision_may_err_by_twice_what_plain_attention_does():
    call = KernelCall(n_q=4, n_k=256, heads=1, kv_heads=1, dtype="bfloat16")
    q, k, v = (call.operands()[name] for name in "qkv")
    naive = (q @ k.mT * 0.25).softmax(-1) @ v
    assert allowed_error(call) >= 2 * float((naive.double() - right_answer(call)).abs().max())
    assert allowed_error(call) < 0.1
