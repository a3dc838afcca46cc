# WRONG causal ignored: the flag causal is taken and the mask thrown away. Object: multi_head_attention_forward
import torch
import torch.nn.functional as F
from torch import Tensor


def multi_head_attention_forward(x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, num_heads: int, causal: bool = False) -> Tensor:
    """x: (..., n, d_in); w_q, w_k, w_v: (d_in, d_in) as in nn.Linear (out, in); w_o: (d_in, d_in)."""
    *batch, n, _ = x.shape
    q, k, v = (F.linear(x, w) for w in (w_q, w_k, w_v))
    q, k, v = (t.reshape(*batch, n, num_heads, -1).transpose(-2, -3) for t in (q, k, v))
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if causal:
        _ = scores.masked_fill(~torch.ones(n, n, dtype=torch.bool, device=x.device).tril(), float("-inf"))
    out = scores.softmax(dim=-1) @ v
    return F.linear(out.transpose(-2, -3).reshape(*batch, n, -1), w_o)
