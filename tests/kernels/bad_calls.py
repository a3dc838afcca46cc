"""Wrong calls of the kernels, each with the whole message it gives."""

from tests.bad_call import BadCall

_Q = "torch.ones(2, 3, 5, 7)"
_K = "torch.ones(2, 3, 11, 7)"

BAD_CALLS = [
    BadCall(
        f"kernels.tiled_attention([1.0], {_K}, {_K})",
        "ArgumentTypeError",
        "tiled_attention: Q is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, torch.ones(2, 3, 11, 5), {_K})",
        "ShapeError",
        "tiled_attention: Q has shape (2, 3, 5, 7) and K (2, 3, 11, 5): the last axis, d_k, must be the same, not 7 and 5.",
    ),
    BadCall(
        f"kernels.tiled_attention(torch.ones(2, 6, 5, 7), {_K}, {_K})",
        "ShapeError",
        "tiled_attention: Q has shape (2, 6, 5, 7), K (2, 3, 11, 7) and V (2, 3, 11, 7): the axes before the last two (batch, heads) must be the same or broadcast; fewer heads of K and V than of Q are shared with use_shared_heads=True.",
    ),
    BadCall(
        f"kernels.tiled_attention(torch.ones(2, 7, 5, 7), {_K}, {_K}, use_shared_heads=True)",
        "ShapeError",
        "tiled_attention: 3 heads of K and 3 of V cannot be shared evenly among 7 heads of Q (axis -3): K and V need the same number, a divisor of 7.",
    ),
    BadCall(
        "kernels.tiled_attention(torch.ones(5, 7), torch.ones(5, 7), torch.ones(5, 7), use_shared_heads=True)",
        "ShapeError",
        "tiled_attention: Q has shape (5, 7); use_shared_heads=True needs a head axis, (*batch, heads, n, size).",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, torch.ones(5, 7, dtype=torch.bool))",
        "ShapeError",
        "tiled_attention: mask has shape (5, 7) but the scores have shape (2, 3, 5, 11) (*batch, n_q, n_k); the mask must broadcast to them.",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, masks.causal_mask(5))",
        "ShapeError",
        "tiled_attention: mask has shape (5, 5) but the scores have shape (2, 3, 5, 11) (*batch, n_q, n_k); the mask must broadcast to them.",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, 'causal')",
        "ArgumentTypeError",
        "tiled_attention: mask is a str, expected a torch.Tensor, a mask of attention_surgeon.masks or None; wrap arrays in torch.as_tensor(...).",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, torch.full((5, 11), 2))",
        "MaskError",
        "tiled_attention: an integer mask must hold only 0 (hidden) and 1 (may attend), found 2; for numbers that are added to the scores use a floating mask.",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, torch.eye(5, 11))",
        "MaskError",
        "tiled_attention: the floating mask holds only 0s and 1s, so its meaning is in doubt (a floating mask is added to the scores). If 1 means may attend, pass mask.bool(); if 1 means hidden, pass mask == 0; if it really is to be added, use Mechanism(mask=add_to_scores(mask)).",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, torch.full((5, 11), torch.nan))",
        "MaskError",
        "tiled_attention: the floating mask holds NaN; hide a key with -inf, keep it with 0.",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, torch.full((5, 11), torch.inf))",
        "MaskError",
        "tiled_attention: the floating mask holds +inf, which would make its row NaN; hide a key with -inf, keep it with 0.",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, torch.ones(5, 11, dtype=torch.bool, device='meta'))",
        "DeviceError",
        "tiled_attention: mask is on meta and Q on cpu; move it with mask.to(Q.device).",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, scale='yes')",
        "ArgumentTypeError",
        "tiled_attention: scale is 'yes', expected True, False or a number.",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, scale=math.inf)",
        "OptionError",
        "tiled_attention: scale is inf, expected a finite number.",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, dropout=1.5)",
        "OptionError",
        "tiled_attention: dropout is 1.5, expected a probability from 0 to 1.",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, use_shared_heads=1)",
        "ArgumentTypeError",
        "tiled_attention: use_shared_heads is 1, expected True or False.",
    ),
    BadCall(
        f"kernels.tiled_attention({_Q}, {_K}, {_K}, return_logsumexp=None)",
        "ArgumentTypeError",
        "tiled_attention: return_logsumexp is None, expected True or False.",
    ),
    BadCall(
        f"ops.attention({_Q}, {_K}, {_K}, implementation='flash')",
        "OptionError",
        "attention: implementation is 'flash', expected one of readable, tiled, triton.",
    ),
    BadCall(
        "nn.SelfAttention(4)(torch.ones(3, 4), implementation='flash')",
        "OptionError",
        "SelfAttention: implementation is 'flash', expected one of readable, tiled, triton.",
    ),
    BadCall(
        "nn.SelfAttention(4)(torch.ones(3, 4), return_weights=True, implementation='tiled')",
        "OptionError",
        "SelfAttention: implementation='tiled' never forms the weights; leave return_weights out, or use implementation='readable'.",
    ),
]
