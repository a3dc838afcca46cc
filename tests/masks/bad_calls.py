"""Wrong calls to the masks and the whole message each gives."""

from tests.bad_call import BadCall

BAD_CALLS = [
    BadCall(
        "masks.causal_mask(2.5)",
        "ArgumentTypeError",
        "causal_mask: n_q is 2.5, expected a whole number of at least 0.",
    ),
    BadCall(
        "masks.causal_mask(True)",
        "ArgumentTypeError",
        "causal_mask: n_q is True, expected a whole number of at least 0.",
    ),
    BadCall(
        "masks.causal_mask(-1)",
        "OptionError",
        "causal_mask: n_q is -1, expected a whole number of at least 0.",
    ),
    BadCall(
        'masks.causal_mask(5, "start")',
        "ArgumentTypeError",
        "causal_mask: n_k is 'start', expected a whole number of at least 0.",
    ),
    BadCall(
        'masks.causal_mask(5, 7, align="left")',
        "OptionError",
        'causal_mask: align is \'left\', expected "end" (the last query\'s own key is the last one) or "start" '
        "(the first query's is the first).",
    ),
    BadCall(
        "masks.reverse_mask(torch.ones(5, 5))",
        "ArgumentTypeError",
        "reverse_mask: n_q is tensor([[1., ... 1., 1., 1.]]), expected a whole number of at least 0.",
    ),
    BadCall(
        "masks.reverse_mask(5, -7)",
        "OptionError",
        "reverse_mask: n_k is -7, expected a whole number of at least 0.",
    ),
    BadCall(
        "masks.window_mask(5, size=0)",
        "OptionError",
        "window_mask: size is 0, expected a whole number of at least 1 (a window counts the query itself).",
    ),
    BadCall(
        "masks.window_mask(5, size=-1)",
        "OptionError",
        "window_mask: size is -1, expected a whole number of at least 1 (a window counts the query itself).",
    ),
    BadCall(
        "masks.window_mask(5, size=2.0)",
        "ArgumentTypeError",
        "window_mask: size is 2.0, expected a whole number of at least 1 (a window counts the query itself).",
    ),
    BadCall(
        'masks.window_mask(5, size=2, is_causal="no")',
        "ArgumentTypeError",
        "window_mask: is_causal is 'no', expected True or False.",
    ),
    BadCall(
        "masks.prefix_mask(5, 7, prefix_len=11)",
        "OptionError",
        "prefix_mask: prefix_len is 11, but there are only 7 keys.",
    ),
    BadCall(
        "masks.prefix_mask(5, prefix_len=-1)",
        "OptionError",
        "prefix_mask: prefix_len is -1, expected a whole number of at least 0.",
    ),
    BadCall(
        "masks.prefix_mask(5, prefix_len=None)",
        "ArgumentTypeError",
        "prefix_mask: prefix_len is None, expected a whole number of at least 0.",
    ),
    BadCall(
        "masks.create_causal_mask(-3)",
        "OptionError",
        "create_causal_mask: seq_len is -3, expected a whole number of at least 0.",
    ),
    BadCall(
        "masks.create_causal_mask(3.0)",
        "ArgumentTypeError",
        "create_causal_mask: seq_len is 3.0, expected a whole number of at least 0.",
    ),
    BadCall(
        'masks.create_reverse_mask("3")',
        "ArgumentTypeError",
        "create_reverse_mask: seq_len is '3', expected a whole number of at least 0.",
    ),
    BadCall(
        "masks.padding_mask([2, 3.5])",
        "ArgumentTypeError",
        "padding_mask: lengths is [2, 3.5], expected an integer tensor or a list of whole numbers.",
    ),
    BadCall(
        "masks.padding_mask(torch.tensor([2.0, 3.0]))",
        "DTypeError",
        "padding_mask: lengths has dtype torch.float32, expected an integer dtype such as torch.int64.",
    ),
    BadCall(
        "masks.padding_mask(torch.tensor([[True, False]]))",
        "DTypeError",
        "padding_mask: lengths has dtype torch.bool, expected an integer dtype such as torch.int64.",
    ),
    BadCall(
        "masks.padding_mask([2, 9], n_k=7)",
        "OptionError",
        "padding_mask: lengths go from 2 to 9, expected 0 to n_k, which is 7.",
    ),
    BadCall(
        "masks.padding_mask([-1, 3])",
        "OptionError",
        "padding_mask: lengths go from -1 to 3, expected 0 to n_k, which is 3.",
    ),
    BadCall(
        "masks.padding_mask([2, 3], n_k=7.0)",
        "ArgumentTypeError",
        "padding_mask: n_k is 7.0, expected a whole number of at least 0.",
    ),
    BadCall(
        "masks.token_padding_mask([[5, 0]], 0)",
        "ArgumentTypeError",
        "token_padding_mask: tokens is a list, expected an integer torch.Tensor.",
    ),
    BadCall(
        "masks.token_padding_mask(torch.tensor([[5.0, 0.0]]), 0)",
        "DTypeError",
        "token_padding_mask: tokens has dtype torch.float32, expected an integer dtype such as torch.int64.",
    ),
    BadCall(
        "masks.token_padding_mask(torch.tensor(5), 0)",
        "ShapeError",
        "token_padding_mask: tokens is a single number, expected (*batch, positions).",
    ),
    BadCall(
        "masks.token_padding_mask(torch.tensor([[5, 0]]), None)",
        "ArgumentTypeError",
        "token_padding_mask: padding_id is None, expected a token id.",
    ),
    BadCall(
        "masks.document_mask([0, 0, 1])",
        "ArgumentTypeError",
        "document_mask: query_ids is a list, expected an integer torch.Tensor.",
    ),
    BadCall(
        "masks.document_mask(torch.tensor([0.0, 1.0]))",
        "DTypeError",
        "document_mask: query_ids has dtype torch.float32, expected an integer dtype such as torch.int64.",
    ),
    BadCall(
        "masks.document_mask(torch.tensor([0, 1]), torch.tensor([True, False]))",
        "DTypeError",
        "document_mask: key_ids has dtype torch.bool, expected an integer dtype such as torch.int64.",
    ),
    BadCall(
        "masks.document_mask(torch.zeros(2, 5).long(), torch.zeros(3, 7).long())",
        "ShapeError",
        "document_mask: query_ids has shape (2, 5) and key_ids (3, 7); the axes before the last must be the "
        "same or broadcast.",
    ),
    BadCall(
        "masks.tensor_mask(np.ones((5, 7), dtype=bool))",
        "ArgumentTypeError",
        "tensor_mask: tensor is a ndarray, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "masks.tensor_mask(torch.zeros(5, 7))",
        "MaskError",
        "tensor_mask: tensor has dtype torch.float32, and a floating mask is one that is added to the "
        "scores; write additive_to_mask(tensor), or, if its 1s mean may attend, tensor.bool().",
    ),
    BadCall(
        "masks.tensor_mask(torch.tensor([[0, 2]]))",
        "MaskError",
        "tensor_mask: an integer mask must hold only 0 (hidden) and 1 (may attend), found 2; for numbers "
        "that are added to the scores use a floating mask.",
    ),
    BadCall(
        "masks.tensor_mask(torch.ones(5, 7, dtype=torch.complex64))",
        "MaskError",
        "tensor_mask: tensor has dtype torch.complex64, expected boolean, True = may attend.",
    ),
    BadCall(
        "masks.tensor_mask(torch.tensor([True, False]))",
        "ShapeError",
        "tensor_mask: tensor has shape (2,), expected (*batch, n_q, n_k); one row for every query is tensor[None, :].",
    ),
    BadCall(
        "masks.causal_mask(5) & masks.causal_mask(5, 7)",
        "ShapeError",
        "mask & mask: the shapes are (5, 5) and (5, 7) (*batch, n_q, n_k); the last axis, n_k, must be the "
        "same, not 5 and 7.",
    ),
    BadCall(
        "masks.causal_mask(5, 7) | masks.causal_mask(3, 7)",
        "ShapeError",
        "mask | mask: the shapes are (5, 7) and (3, 7) (*batch, n_q, n_k); the next-to-last axis, n_q, must "
        "be the same, not 5 and 3; only a padding mask or a tensor of one row stands for any number of "
        "queries.",
    ),
    BadCall(
        "masks.tensor_mask(torch.ones(2, 5, 7).bool()) & torch.ones(3, 5, 7).bool()",
        "ShapeError",
        "mask & mask: the shapes are (2, 5, 7) and (3, 5, 7) (*batch, n_q, n_k); the axes before the last "
        "two must be the same or broadcast; with_heads() inserts an axis for the heads.",
    ),
    BadCall(
        "masks.causal_mask(3) & torch.zeros(3, 3)",
        "MaskError",
        "mask & tensor: tensor has dtype torch.float32, and a floating mask is one that is added to the "
        "scores; write additive_to_mask(tensor), or, if its 1s mean may attend, tensor.bool().",
    ),
    BadCall(
        "torch.tensor([True, False, True]) | masks.causal_mask(3)",
        "ShapeError",
        "mask | tensor: tensor has shape (3,), expected (*batch, n_q, n_k); one row for every query is "
        "tensor[None, :].",
    ),
    BadCall(
        "masks.causal_mask(3) & [[True]]",
        "ArgumentTypeError",
        "mask & list: a mask is combined with another mask or a boolean torch.Tensor.",
    ),
    BadCall(
        "masks.causal_mask(3) | None",
        "ArgumentTypeError",
        "mask | NoneType: a mask is combined with another mask or a boolean torch.Tensor.",
    ),
    BadCall(
        "masks.causal_mask(3) and masks.padding_mask([3])",
        "MaskError",
        "a mask is neither true nor false: combine masks with & | ~ instead of and, or, not; to ask whether "
        "there is one, write mask is not None.",
    ),
    BadCall(
        "not masks.causal_mask(3)",
        "MaskError",
        "a mask is neither true nor false: combine masks with & | ~ instead of and, or, not; to ask whether "
        "there is one, write mask is not None.",
    ),
    BadCall(
        "masks.causal_mask(5).tile(3, slice(0, 5))",
        "ArgumentTypeError",
        "tile: rows is 3, expected a slice such as slice(0, 64).",
    ),
    BadCall(
        "masks.causal_mask(5).tile(slice(0, 5, 2), slice(0, 5))",
        "OptionError",
        "tile: rows is slice(0, 5, 2), expected a slice without a step.",
    ),
    BadCall(
        "masks.causal_mask(5).tile(slice(0, 5), slice(0.0, 2.5))",
        "ArgumentTypeError",
        "tile: columns is slice(0.0, 2.5, None), expected a slice such as slice(0, 64).",
    ),
    BadCall(
        "masks.causal_mask(5).kind(slice(0, 5), slice(64, 128))",
        "ShapeError",
        "kind: columns is slice(64, 128, None), which starts past the end: n_k is 5.",
    ),
    BadCall(
        "masks.padding_mask([7, 3]).kind(slice(64, 128), slice(0, 7))",
        "ShapeError",
        "kind: rows is slice(64, 128, None), which starts past the end: n_q is 1. One row for every query is broadcast "
        "with mask.broadcast_to(shape).",
    ),
    BadCall(
        'masks.causal_mask(5).draw("all")',
        "ArgumentTypeError",
        "draw: rows is 'all', expected a slice such as slice(0, 64).",
    ),
    BadCall(
        "masks.causal_mask(5).broadcast_to(5)",
        "ArgumentTypeError",
        "broadcast_to: shape is 5, expected a tuple of sizes (*batch, n_q, n_k).",
    ),
    BadCall(
        "masks.causal_mask(5).broadcast_to((2, 5, 7))",
        "ShapeError",
        "broadcast_to: a mask of shape (5, 5) cannot be broadcast to (2, 5, 7); n_q and n_k must agree, the "
        "axes before them are compared from the right, and with_heads() inserts one for the heads.",
    ),
    BadCall(
        "masks.padding_mask([7, 3]).broadcast_to((2, 3, 5, 7))",
        "ShapeError",
        "broadcast_to: a mask of shape (2, 1, 7) cannot be broadcast to (2, 3, 5, 7); n_q and n_k must "
        "agree, the axes before them are compared from the right, and with_heads() inserts one for the "
        "heads.",
    ),
    BadCall(
        "masks.mask_to_sdpa([[True, False]])",
        "ArgumentTypeError",
        "mask_to_sdpa: mask is a list, expected a mask or a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "masks.mask_to_sdpa(torch.zeros(5, 7))",
        "MaskError",
        "mask_to_sdpa: mask has dtype torch.float32, and a floating mask is one that is added to the "
        "scores; write additive_to_mask(mask), or, if its 1s mean may attend, mask.bool().",
    ),
    BadCall(
        "masks.mask_to_mha(torch.tensor([[1, -1]]))",
        "MaskError",
        "mask_to_mha: an integer mask must hold only 0 (hidden) and 1 (may attend), found -1; for numbers "
        "that are added to the scores use a floating mask.",
    ),
    BadCall(
        "masks.mask_to_mha(torch.ones(5, 7).bool(), num_heads=3)",
        "ShapeError",
        "mask_to_mha: mask has shape (5, 7), expected (batch, n_q, n_k) or (batch, 3 or 1, n_q, n_k) for "
        "num_heads=3; a mask (n_q, n_k) needs no num_heads.",
    ),
    BadCall(
        "masks.mask_to_mha(torch.ones(2, 5, 5, 7).bool(), num_heads=3)",
        "ShapeError",
        "mask_to_mha: mask has shape (2, 5, 5, 7), expected (batch, n_q, n_k) or (batch, 3 or 1, n_q, n_k) "
        "for num_heads=3; a mask (n_q, n_k) needs no num_heads.",
    ),
    BadCall(
        "masks.mask_to_mha(torch.ones(2, 5, 7).bool(), num_heads=0)",
        "OptionError",
        "mask_to_mha: num_heads is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "masks.mask_to_additive(torch.ones(5, 7).bool(), torch.int64)",
        "DTypeError",
        "mask_to_additive: dtype is torch.int64, expected a floating one such as torch.float32.",
    ),
    BadCall(
        'masks.mask_to_additive(masks.causal_mask(5), "float32")',
        "DTypeError",
        "mask_to_additive: dtype is 'float32', expected a floating one such as torch.float32.",
    ),
    BadCall(
        "masks.mask_to_additive(None)",
        "ArgumentTypeError",
        "mask_to_additive: mask is None, expected a mask or a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "masks.sdpa_to_mask(torch.tensor([[1, 0]]))",
        "MaskError",
        "sdpa_to_mask: mask has dtype torch.int64, which scaled_dot_product_attention refuses; call .bool() "
        "on it first.",
    ),
    BadCall(
        "masks.sdpa_to_mask(torch.tensor([[1.0, 0.0]]))",
        "MaskError",
        "sdpa_to_mask: the floating mask holds only 0s and 1s, so its meaning is in doubt (a floating mask "
        "is added to the scores). If 1 means may attend, pass mask.bool(); if 1 means hidden, pass mask == 0.",
    ),
    BadCall(
        "masks.sdpa_to_mask(masks.causal_mask(3))",
        "ArgumentTypeError",
        "sdpa_to_mask: mask is a mask of attention_surgeon.masks already; write mask.dense().",
    ),
    BadCall(
        "masks.mha_to_mask(torch.tensor([[1, 0]]))",
        "MaskError",
        "mha_to_mask: mask has dtype torch.int64, which nn.MultiheadAttention refuses; call .bool() on it first.",
    ),
    BadCall(
        "masks.mha_to_mask(torch.tensor([[0.0, 0.25]]))",
        "MaskError",
        "mha_to_mask: the floating mask holds 0.25, neither 0 (may attend) nor -inf (hidden), so it is a "
        "bias that no yes-or-no mask can hold. Pass it to attention as it is; if every number but 0 is "
        "meant to hide, pass mask == 0.",
    ),
    BadCall(
        "masks.mha_to_mask(torch.zeros(5, 5, 7).bool(), num_heads=3)",
        "ShapeError",
        "mha_to_mask: mask has shape (5, 5, 7), expected (batch * 3, n_q, n_k) for num_heads=3; a mask "
        "(n_q, n_k) or (batch, n_k) needs no num_heads.",
    ),
    BadCall(
        "masks.mha_to_mask(torch.zeros(6, 5, 7).bool(), num_heads=2.0)",
        "ArgumentTypeError",
        "mha_to_mask: num_heads is 2.0, expected a whole number of at least 1.",
    ),
    BadCall(
        "masks.additive_to_mask(torch.ones(5, 7).bool())",
        "MaskError",
        "additive_to_mask: mask has dtype torch.bool, expected a floating mask of 0 (may attend) and -inf "
        "(hidden); a boolean one, True = may attend, is on our side already.",
    ),
    BadCall(
        "masks.additive_to_mask(torch.tensor([[0.0, -1e9]]))",
        "MaskError",
        "additive_to_mask: the floating mask holds -1e+09, neither 0 (may attend) nor -inf (hidden), so it "
        "is a bias that no yes-or-no mask can hold. Pass it to attention as it is; if every number but 0 is "
        "meant to hide, pass mask == 0.",
    ),
    BadCall(
        "masks.additive_to_mask(torch.tensor([[0.0, 1.0]]))",
        "MaskError",
        "additive_to_mask: the floating mask holds only 0s and 1s, so its meaning is in doubt (a floating "
        "mask is added to the scores). If 1 means may attend, pass mask.bool(); if 1 means hidden, pass mask "
        "== 0.",
    ),
    BadCall(
        "masks.additive_to_mask(torch.tensor([[0.0, math.nan]]))",
        "MaskError",
        "additive_to_mask: the floating mask holds NaN; hide a key with -inf, keep it with 0.",
    ),
    BadCall(
        "masks.additive_to_mask(torch.tensor([[0.0, math.inf]]))",
        "MaskError",
        "additive_to_mask: the floating mask holds +inf, which would make its row NaN; hide a key with -inf, keep it with 0.",
    ),
    BadCall(
        'masks.draw_mask("x..")',
        "ArgumentTypeError",
        "draw_mask: mask is a str, expected a mask or a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "masks.draw_mask(torch.tensor([0.0, -math.inf]))",
        "ShapeError",
        "draw_mask: mask has shape (2,), expected (*batch, n_q, n_k); one row is mask[None, :].",
    ),
    BadCall(
        "masks.draw_mask(torch.tensor([[0, 7]]))",
        "MaskError",
        "draw_mask: an integer mask must hold only 0 (hidden) and 1 (may attend), found 7; for numbers that "
        "are added to the scores use a floating mask.",
    ),
    BadCall(
        "masks.draw_mask(torch.tensor([[1.0, 0.0]]))",
        "MaskError",
        "draw_mask: the floating mask holds only 0s and 1s, so its meaning is in doubt (a floating mask is "
        "added to the scores). If 1 means may attend, pass mask.bool(); if 1 means hidden, pass mask == 0.",
    ),
]
