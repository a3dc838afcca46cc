"""Wrong calls of the mechanism, each with the whole message it gives."""

from tests.bad_call import BadCall

BAD_CALLS = [
    BadCall(
        "ops.softmax([1.0, 2.0])",
        "ArgumentTypeError",
        "softmax: scores is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "ops.softmax(torch.tensor([1, 2]))",
        "DTypeError",
        "softmax: scores has dtype torch.int64, expected a floating dtype; scores.float() makes one.",
    ),
    BadCall(
        "ops.softmax(torch.ones(2, 3), dim=2)",
        "OptionError",
        "softmax: dim=2 is not an axis of scores with shape (2, 3); it has 2 axes, the last is dim=-1.",
    ),
    BadCall(
        "ops.softmax(torch.ones(2, 3), dim=None)",
        "ArgumentTypeError",
        "softmax: dim is None, expected the number of one axis, such as -1.",
    ),
    BadCall(
        "ops.logsumexp(np.ones(3))",
        "ArgumentTypeError",
        "logsumexp: scores is a ndarray, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "ops.logsumexp(torch.tensor(1.0))",
        "OptionError",
        "logsumexp: dim=-1 is not an axis of scores with shape (); it has 0 axes, the last is dim=-1.",
    ),
    BadCall(
        "ops.attention(np.ones((5, 4)), torch.ones(7, 4), torch.ones(7, 3))",
        "ArgumentTypeError",
        "attention: Q is a ndarray, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), None)",
        "ArgumentTypeError",
        "attention: V is None, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4, dtype=torch.int64), torch.ones(7, 4), torch.ones(7, 3))",
        "DTypeError",
        "attention: Q has dtype torch.int64, expected a floating dtype; Q.float() makes one.",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4, dtype=torch.complex64), torch.ones(7, 3))",
        "DTypeError",
        "attention: K has dtype torch.complex64, expected a floating dtype; K.float() makes one.",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4).double(), torch.ones(7, 3))",
        "DTypeError",
        "attention: Q is torch.float32 and K is torch.float64; they must agree, use K.to(Q.dtype).",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3).half())",
        "DTypeError",
        "attention: Q is torch.float32 and V is torch.float16; they must agree, use V.to(Q.dtype).",
    ),
    BadCall(
        'ops.attention(torch.ones(5, 4), torch.ones(7, 4, device="meta"), torch.ones(7, 3))',
        "DeviceError",
        "attention: Q is on cpu and K on meta; move it with K.to(Q.device).",
    ),
    BadCall(
        "ops.attention(torch.ones(4), torch.ones(7, 4), torch.ones(7, 3))",
        "ShapeError",
        "attention: Q has shape (4,), expected (*batch, n_q, d_k); one vector needs a position axis: Q[None, :].",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 3), torch.ones(7, 3))",
        "ShapeError",
        "attention: Q has shape (5, 4) and K (7, 3): the last axis, d_k, must be the same, not 4 and 3.",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(4, 7), torch.ones(7, 3))",
        "ShapeError",
        "attention: Q has shape (5, 4) and K (4, 7): the last axis, d_k, must be the same, not 4 and 7. K looks transposed: pass K.transpose(-2, -1).",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(6, 3))",
        "ShapeError",
        "attention: K has shape (7, 4) and V (6, 3): each key needs one value, so the next-to-last axis, n_k, must be the same, not 7 and 6.",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 0), torch.ones(7, 0), torch.ones(7, 3))",
        "ShapeError",
        "attention: Q has shape (5, 0): d_k is 0, so there is nothing to compare.",
    ),
    BadCall(
        "ops.attention(torch.ones(2, 5, 4), torch.ones(3, 7, 4), torch.ones(3, 7, 3))",
        "ShapeError",
        "attention: Q has shape (2, 5, 4), K (3, 7, 4) and V (3, 7, 3): the axes before the last two (batch, heads) must be the same or broadcast; shared heads are repeated with share_heads(...).",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), scale=0.5)",
        "ArgumentTypeError",
        "attention: scale is 0.5, expected True or False. Another factor: Mechanism(scale=multiply_by(factor)).",
    ),
    BadCall(
        'ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask="causal")',
        "ArgumentTypeError",
        "attention: mask is a str, expected a torch.Tensor, a mask of attention_surgeon.masks or None; wrap arrays in torch.as_tensor(...).",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=np.ones((5, 7)))",
        "ArgumentTypeError",
        "attention: mask is a ndarray, expected a torch.Tensor, a mask of attention_surgeon.masks or None; wrap arrays in torch.as_tensor(...).",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=torch.ones(7, 5).bool())",
        "ShapeError",
        "attention: mask has shape (7, 5) but the scores have shape (5, 7) (*batch, n_q, n_k); the mask must broadcast to them.",
    ),
    BadCall(
        "ops.attention(torch.ones(2, 5, 4), torch.ones(2, 7, 4), torch.ones(2, 7, 3), mask=torch.ones(2, 7).bool())",
        "ShapeError",
        "attention: mask has shape (2, 7) but the scores have shape (2, 5, 7) (*batch, n_q, n_k); the mask must broadcast to them. A padding mask (batch, n_k) needs a query axis: mask[:, None, :].",
    ),
    BadCall(
        "ops.attention(torch.ones(2, 3, 5, 4), torch.ones(2, 3, 7, 4), torch.ones(2, 3, 7, 3), mask=torch.ones(2, 7).bool())",
        "ShapeError",
        "attention: mask has shape (2, 7) but the scores have shape (2, 3, 5, 7) (*batch, n_q, n_k); the mask must broadcast to them. A padding mask (batch, n_k) needs a query axis: mask[:, None, None, :].",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=torch.ones(2, 5, 7).bool())",
        "ShapeError",
        "attention: mask has shape (2, 5, 7) but the scores have shape (5, 7) (*batch, n_q, n_k); the mask must broadcast to them.",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=torch.ones(5, 7))",
        "MaskError",
        "attention: the floating mask holds only 0s and 1s, so its meaning is in doubt (a floating mask is added to the scores). If 1 means may attend, pass mask.bool(); if 1 means hidden, pass mask == 0; if it really is to be added, use Mechanism(mask=add_to_scores(mask)).",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=torch.ones(5, 7).tril())",
        "MaskError",
        "attention: the floating mask holds only 0s and 1s, so its meaning is in doubt (a floating mask is added to the scores). If 1 means may attend, pass mask.bool(); if 1 means hidden, pass mask == 0; if it really is to be added, use Mechanism(mask=add_to_scores(mask)).",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=torch.full((5, 7), math.nan))",
        "MaskError",
        "attention: the floating mask holds NaN; hide a key with -inf, keep it with 0.",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=torch.full((5, 7), math.inf))",
        "MaskError",
        "attention: the floating mask holds +inf, which would make its row NaN; hide a key with -inf, keep it with 0.",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=torch.full((5, 7), -100))",
        "MaskError",
        "attention: an integer mask must hold only 0 (hidden) and 1 (may attend), found -100; for numbers that are added to the scores use a floating mask.",
    ),
    BadCall(
        "ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=torch.ones(5, 7, dtype=torch.complex64))",
        "MaskError",
        "attention: mask has dtype torch.complex64, expected boolean, True = may attend.",
    ),
    BadCall(
        'ops.attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), mask=torch.ones(5, 7, device="meta").bool())',
        "DeviceError",
        "attention: mask is on meta and Q on cpu; move it with mask.to(Q.device).",
    ),
    BadCall(
        "ops.Mechanism()(torch.ones(5, 4), torch.ones(7, 3), torch.ones(7, 3))",
        "ShapeError",
        "Mechanism: Q has shape (5, 4) and K (7, 3): the last axis, d_k, must be the same, not 4 and 3.",
    ),
    BadCall(
        "ops.Mechanism().replace(softmax=ops.leave_unscaled)",
        "OptionError",
        "Mechanism has no step 'softmax'; the steps are score, scale, mask, normalise, combine.",
    ),
    BadCall(
        "ops.Mechanism().replace(scale=0.5)",
        "ArgumentTypeError",
        "Mechanism: the scale step is a float, expected a function (tensor, operands) -> tensor.",
    ),
    BadCall(
        "ops.topk_attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), k=0)",
        "OptionError",
        "top-k: k is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "ops.topk_attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), k=2.5)",
        "ArgumentTypeError",
        "top-k: k is 2.5, expected a whole number of at least 1.",
    ),
    BadCall(
        "ops.topk_attention(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), k=2, scale=None)",
        "ArgumentTypeError",
        "topk_attention: scale is None, expected True or False.",
    ),
    BadCall(
        "ops.attention_gradients(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), torch.ones(5, 4))",
        "ShapeError",
        "attention_gradients: grad_output has shape (5, 4), expected (5, 3), the shape of the output.",
    ),
    BadCall(
        "ops.attention_gradients(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), None)",
        "ArgumentTypeError",
        "attention_gradients: grad_output is None, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "ops.attention_gradients(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), torch.ones(5, 3), scale=2)",
        "ArgumentTypeError",
        "attention_gradients: scale is 2, expected True or False.",
    ),
    BadCall(
        "ops.attention_gradients(torch.ones(5, 4), torch.ones(7, 4), torch.ones(7, 3), torch.ones(5, 3), grad_weights=torch.ones(7, 5))",
        "ShapeError",
        "attention_gradients: grad_weights has shape (7, 5), expected (5, 7), the shape of the weights.",
    ),
    BadCall(
        "ops.softmax_gradient(torch.ones(5, 7), torch.ones(7, 5))",
        "ShapeError",
        "softmax_gradient: weights has shape (5, 7) and grad_weights (7, 5); a gradient has the shape of what it belongs to.",
    ),
    BadCall(
        "ops.softmax_jacobian([0.5, 0.5])",
        "ArgumentTypeError",
        "softmax_jacobian: weights is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "ops.split_heads([1.0], 1)",
        "ArgumentTypeError",
        "split_heads: x is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "ops.split_heads(torch.ones(5, 7), 2)",
        "ShapeError",
        "split_heads: x has shape (5, 7); its width 7 cannot be cut into 2 equal heads. Use a number of heads that divides 7.",
    ),
    BadCall(
        "ops.split_heads(torch.ones(6), 2)",
        "ShapeError",
        "split_heads: x has shape (6,), expected (*batch, n, width).",
    ),
    BadCall(
        "ops.split_heads(torch.ones(5, 6), 0)",
        "OptionError",
        "split_heads: num_heads is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "ops.split_heads(torch.ones(5, 6), 2.0)",
        "ArgumentTypeError",
        "split_heads: num_heads is 2.0, expected a whole number of at least 1.",
    ),
    BadCall(
        "ops.merge_heads(torch.ones(5, 6))",
        "ShapeError",
        "merge_heads: x has shape (5, 6), expected (*batch, heads, n, size).",
    ),
    BadCall(
        "ops.share_heads(torch.ones(2, 5, 3), 7)",
        "ShapeError",
        "share_heads: x has shape (2, 5, 3), 2 heads to share, which do not divide among 7 query heads. Use a multiple of 2.",
    ),
    BadCall(
        "ops.attention_dropout(torch.ones(3), 1.5)",
        "OptionError",
        "attention_dropout: p is 1.5, expected a probability from 0 to 1.",
    ),
    BadCall(
        'ops.attention_dropout(torch.ones(3), "0.1")',
        "ArgumentTypeError",
        "attention_dropout: p is '0.1', expected a number from 0 to 1.",
    ),
    BadCall(
        "ops.attention_dropout(torch.ones(3).long(), 0.1)",
        "DTypeError",
        "attention_dropout: weights has dtype torch.int64, expected a floating dtype; weights.float() makes one.",
    ),
    BadCall(
        "ops.attention_dropout([1.0], 0.1)",
        "ArgumentTypeError",
        "attention_dropout: weights is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "ops.softmax_with_dropout(-0.1)",
        "OptionError",
        "attention_dropout: p is -0.1, expected a probability from 0 to 1.",
    ),
    BadCall(
        "ops.softmax(torch.ones(3).to(torch.float8_e4m3fn))",
        "DTypeError",
        "no sums in torch.float8_e4m3fn: the dtypes to compute in are float16, bfloat16, float32, float64; convert with .to(torch.float32).",
    ),
    BadCall(
        "ops.measure_weights(np.eye(3))",
        "ArgumentTypeError",
        "measure_weights: weights is a ndarray, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "ops.measure_weights(torch.ones(0, 7))",
        "ShapeError",
        "measure_weights: weights has shape (0, 7), expected (*batch, n_q, n_k), none of them 0.",
    ),
    BadCall(
        "ops.measure_weights(torch.ones(3))",
        "ShapeError",
        "measure_weights: weights has shape (3,), expected (*batch, n_q, n_k), none of them 0.",
    ),
    BadCall(
        "ops.measure_weights(torch.eye(3), window=-1)",
        "OptionError",
        "measure_weights: window is -1, expected a whole number of at least 0.",
    ),
    BadCall(
        "ops.measure_weights(torch.eye(3), window=1.5)",
        "ArgumentTypeError",
        "measure_weights: window is 1.5, expected a whole number of at least 0.",
    ),
    BadCall(
        "ops.Rotary(layout='half')",
        "OptionError",
        "Rotary: layout is 'half', expected 'halves' or 'pairs'.",
    ),
    BadCall(
        "ops.Rotary()(torch.ones(2, 5), torch.ones(2, 5), torch.ones(2, 5))",
        "ShapeError",
        "Rotary: 5 of 5 features cannot turn in pairs; use a head size that is even, or Rotary(size=4).",
    ),
    BadCall("ops.SoftCap(0)", "OptionError", "SoftCap: cap is 0, expected a number above 0."),
    BadCall(
        "ops.Window(0)",
        "OptionError",
        "Window: size is 0, expected a whole number of at least 1 (a window counts the query itself).",
    ),
    BadCall(
        "ops.Circuit(bias=ops.RelativeBias(torch.ones(4, 1))).attend(torch.ones(2, 5), torch.ones(2, 5), torch.ones(2, 5))",
        "ShapeError",
        "RelativeBias: the table has shape (4, 1), expected (2 * reach + 1, 1): a row for each distance from -reach to "
        "reach, a column for each head.",
    ),
]
