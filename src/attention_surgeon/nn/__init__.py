"""Modules with parameters, each a few projections around the mechanism of `ops`, and PyTorch's own door to it."""

from attention_surgeon.nn.cross import CrossAttention
from attention_surgeon.nn.drop_in import MultiheadAttention
from attention_surgeon.nn.functional import scaled_dot_product_attention
from attention_surgeon.nn.layer import Attended, AttentionLayer
from attention_surgeon.nn.multi_head import multi_head_attention_forward
from attention_surgeon.nn.onnx_attention import OnnxAttention, onnx_attention
from attention_surgeon.nn.self_attention import MultiHeadAttention, SelfAttention, SimpleAttention
from attention_surgeon.nn.shared import GroupedQueryAttention, MultiQueryAttention

__all__ = [
    "Attended",
    "AttentionLayer",
    "CrossAttention",
    "GroupedQueryAttention",
    "MultiHeadAttention",
    "MultiQueryAttention",
    "MultiheadAttention",
    "OnnxAttention",
    "SelfAttention",
    "SimpleAttention",
    "multi_head_attention_forward",
    "onnx_attention",
    "scaled_dot_product_attention",
]
