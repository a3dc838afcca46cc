"""What learners write from memory."""

import math

import torch
import torch.nn.functional as F

from tests.implementations.implementation import wrong


@wrong("scale_hard_coded")
def attention1(Q, K, V, mask=None):
    attn = Q @ K.transpose(-2, -1)
    attn = attn / 8  # sqrt(64)
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    attn = F.softmax(attn, dim=-1)
    return attn @ V


@wrong("scale_after_softmax")
def attention2(Q, K, V, mask=None):
    attn = Q @ K.transpose(-2, -1)
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    attn = F.softmax(attn, dim=-1) / math.sqrt(Q.shape[-1])
    return attn @ V


@wrong("softmax_missing")
def attention3(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, 0.0)
    return attn @ V, attn


@wrong("softmax_over_queries")
def attention4(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    attn = F.softmax(attn, dim=-2)  # each row now sums to 1
    return attn @ V, attn


@wrong("mask_inverted")
def attention5(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask.bool(), -1e9)
    attn = F.softmax(attn, dim=-1)
    return attn @ V, attn


@wrong("nan_rows")
def attention6(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, float("-inf"))
    attn = F.softmax(attn, dim=-1)
    return attn @ V, attn


@wrong("mask_ignored")
def attention7(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn.masked_fill(mask == 0, -1e9)
    attn = F.softmax(attn, dim=-1)
    return attn @ V, attn


@wrong("mask_times_infinity")
def attention8(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn + (1 - mask.to(attn.dtype)) * float("-inf")
    attn = F.softmax(attn, dim=-1)
    return attn @ V, attn


@wrong("mask_fill_positive")
def attention9(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, 1e9)
    attn = F.softmax(attn, dim=-1)
    return attn @ V, attn


@wrong("mask_fill_too_small")
def attention10(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1)
    attn = F.softmax(attn, dim=-1)
    return attn @ V, attn


@wrong("log_softmax_used")
def attention11(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    attn = F.log_softmax(attn, dim=-1)
    return attn @ V, attn


@wrong("scores_returned")
def attention12(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    return F.softmax(attn, dim=-1) @ V, attn


@wrong("none_mask_is_causal")
def attention13(Q, K, V, mask=None):
    if mask is None:
        mask = torch.tril(torch.ones(Q.shape[-2], K.shape[-2]))
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    attn = F.softmax(attn.masked_fill(mask == 0, -1e9), dim=-1)
    return attn @ V, attn


@wrong("scale_flag_inverted")
def attention14(Q, K, V, mask=None, scale=True):
    attn = Q @ K.transpose(-2, -1)
    if not scale:
        attn = attn / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    attn = F.softmax(attn, dim=-1)
    return attn @ V, attn


@wrong("scale_flag_ignored")
def attention15(Q, K, V, mask=None, scale=True):
    attn = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    attn = F.softmax(attn, dim=-1)
    return attn @ V, attn


@wrong("key_value_swapped")
def attention16(query, value, key, mask=None):
    attn = (query @ key.transpose(-2, -1)) / math.sqrt(query.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    return F.softmax(attn, dim=-1) @ value


@wrong("scale_not_asked", scaled=False)
def attention17(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    return F.softmax(attn, dim=-1) @ V


@wrong("mask_inverted", mask="hide")
def attention18(Q, K, V, mask=None):
    attn = (Q @ K.transpose(-2, -1)) / math.sqrt(Q.shape[-1])
    if mask is not None:
        attn = attn.masked_fill(mask == 0, -1e9)
    return F.softmax(attn, dim=-1) @ V
