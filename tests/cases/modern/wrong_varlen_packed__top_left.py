# WRONG causal alignment: the causal mask is aligned to the top left corner. Object: flash_attn_varlen_func
import torch


def flash_attn_varlen_func(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, softmax_scale=None, causal=False):
    """Plain stand-in for the CUDA function.

    q: (total_q, nheads, headdim); k, v: (total_k, nheads_k, headdim).
    cu_seqlens: (batch_size + 1,), int32, the cumulative sequence lengths.
    """
    softmax_scale = softmax_scale or q.shape[-1] ** -0.5
    if k.shape[1] != q.shape[1]:
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
        v = v.repeat_interleave(q.shape[1] // v.shape[1], dim=1)
    out = torch.empty(*q.shape[:2], v.shape[-1], dtype=q.dtype)
    for i in range(len(cu_seqlens_q) - 1):
        s, e = int(cu_seqlens_q[i]), int(cu_seqlens_q[i + 1])
        sk, ek = int(cu_seqlens_k[i]), int(cu_seqlens_k[i + 1])
        scores = torch.einsum("qhd,khd->hqk", q[s:e], k[sk:ek]) * softmax_scale
        if causal:  # aligned to the bottom right corner
            allowed = torch.ones(e - s, ek - sk, dtype=torch.bool).tril()
            scores = scores.masked_fill(~allowed, float("-inf"))
        out[s:e] = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v[sk:ek])
    return out
