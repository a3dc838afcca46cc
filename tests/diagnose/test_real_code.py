"""Code that people use is right: PyTorch's, that of three models of transformers, and our own."""

from importlib import import_module

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import attention_surgeon as surgeon
from attention_surgeon.diagnose import diagnose
from attention_surgeon.testing import check_attention

pytestmark = pytest.mark.usefixtures("own_messages")

OURS = {
    "attention": "attention",
    "scaled_dot_product_attention": "sdpa",
    "SimpleAttention": "simple",
    "SelfAttention": "self",
    "MultiHeadAttention": "multihead",
    "CrossAttention": "cross",
    "GroupedQueryAttention": "grouped",
    "MultiQueryAttention": "multiquery",
    "MultiheadAttention": "torch_mha",
}


def agree_that_it_is_right(target, contract, **options):
    diagnosis = diagnose(target, contract, **options)
    assert (diagnosis.verdict, diagnosis.names, diagnosis.behaviour, diagnosis.reason) == ("right", (), (), "")
    check_attention(target, contract, **options)


@pytest.mark.parametrize("name", OURS)
def test_ours(name):
    agree_that_it_is_right(getattr(surgeon, name), OURS[name])


def test_scaled_dot_product_attention_of_torch():
    agree_that_it_is_right(F.scaled_dot_product_attention, "sdpa")


def causal(query, key, value):
    return F.scaled_dot_product_attention(query, key, value, is_causal=True)


def test_its_causal_mask_is_aligned_at_the_start():
    agree_that_it_is_right(causal, "causal_attention", align="start")
    assert diagnose(causal, "causal_attention").names == ("causal_aligned_at_start",)


@pytest.mark.parametrize("target", [nn.MultiheadAttention, nn.MultiheadAttention(24, 4, batch_first=True)])
def test_the_multi_head_attention_of_torch(target):
    agree_that_it_is_right(target, "torch_mha")


def test_one_that_wants_the_batch_second_is_not_judged():
    diagnosis = diagnose(nn.MultiheadAttention(24, 4), "torch_mha")
    assert diagnosis.verdict == "unjudged"
    assert diagnosis.reason == "it takes (n, batch, width); build it with batch_first=True to have it judged."


@pytest.mark.parametrize("model", ["bert", "gpt2", "llama"])
def test_the_eager_attention_of_transformers(model):
    module = import_module(f"transformers.models.{model}.modeling_{model}")
    agree_that_it_is_right(module.eager_attention_forward, "transformers")


def test_a_wrong_one_of_transformers_is_named():
    from transformers.models.bert.modeling_bert import eager_attention_forward

    def unscaled(module, query, key, value, attention_mask, scaling=None, **kwargs):
        return eager_attention_forward(module, query, key, value, attention_mask, scaling=1.0, **kwargs)

    def forgetful(module, query, key, value, attention_mask, **kwargs):
        return eager_attention_forward(module, query, key, value, None, **kwargs)

    assert diagnose(unscaled, "transformers").names == ("scale_missing",)
    assert diagnose(forgetful, "transformers").names == ("mask_ignored",)


def test_torch_is_left_as_it_was():
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    diagnose(F.scaled_dot_product_attention, "sdpa")
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (threads, precision)
    assert torch.is_grad_enabled()
