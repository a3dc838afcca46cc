"""Wrong calls of the layers and of the drop-ins, each with the whole message it gives."""

from tests.bad_call import BadCall

BAD_CALLS = [
    BadCall(
        'nn.SimpleAttention("wide")',
        "ArgumentTypeError",
        "SimpleAttention: n_embd is 'wide', expected a whole number of at least 1.",
    ),
    BadCall(
        "nn.SimpleAttention(0)",
        "OptionError",
        "SimpleAttention: n_embd is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "nn.SelfAttention(8, dropout=1.5)",
        "OptionError",
        "SelfAttention: dropout is 1.5, expected a probability from 0 to 1.",
    ),
    BadCall(
        'nn.SelfAttention(8, dropout="some")',
        "ArgumentTypeError",
        "SelfAttention: dropout is 'some', expected a number from 0 to 1.",
    ),
    BadCall(
        "nn.MultiHeadAttention(12, 5)",
        "ShapeError",
        "MultiHeadAttention: embed_dim 12 cannot be cut into 5 equal heads; use a num_heads that divides 12.",
    ),
    BadCall(
        "nn.MultiHeadAttention(12, 3.0)",
        "ArgumentTypeError",
        "MultiHeadAttention: num_heads is 3.0, expected a whole number of at least 1.",
    ),
    BadCall(
        'nn.MultiHeadAttention(12, 3, bias="yes")',
        "ArgumentTypeError",
        "MultiHeadAttention: bias is 'yes', expected True or False.",
    ),
    BadCall(
        "nn.CrossAttention(12, 3, context_dim=-1)",
        "OptionError",
        "CrossAttention: context_dim is -1, expected a whole number of at least 1.",
    ),
    BadCall(
        "nn.GroupedQueryAttention(12, 6, 4)",
        "ShapeError",
        "GroupedQueryAttention: 4 key/value heads cannot be shared evenly among 6 query heads; use a num_kv_heads that divides 6.",
    ),
    BadCall(
        "nn.GroupedQueryAttention(12, 6, None)",
        "ArgumentTypeError",
        "GroupedQueryAttention: num_kv_heads is None, expected a whole number of at least 1.",
    ),
    BadCall(
        "nn.MultiQueryAttention(12, True)",
        "ArgumentTypeError",
        "MultiQueryAttention: num_heads is True, expected a whole number of at least 1.",
    ),
    BadCall(
        "nn.SimpleAttention(8)([[1.0] * 8])",
        "ArgumentTypeError",
        "SimpleAttention: x is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "nn.SimpleAttention(8)(torch.ones(8))",
        "ShapeError",
        "SimpleAttention: x has shape (8,), expected (*batch, n, 8): this layer projects vectors of width 8.",
    ),
    BadCall(
        "nn.SimpleAttention(8)(torch.ones(2, 8, dtype=torch.int64))",
        "DTypeError",
        "SimpleAttention: x has dtype torch.int64, expected a floating dtype; x.float() makes one.",
    ),
    BadCall(
        "nn.SelfAttention(8)(torch.ones(2, 5, 7))",
        "ShapeError",
        "SelfAttention: x has shape (2, 5, 7), expected (*batch, n, 8): this layer projects vectors of width 8.",
    ),
    BadCall(
        "nn.SelfAttention(8)(torch.ones(2, 5, 8), return_weights=1)",
        "ArgumentTypeError",
        "SelfAttention: return_weights is 1, expected True or False.",
    ),
    BadCall(
        "nn.SelfAttention(8)(torch.ones(2, 5, 8).double())",
        "DTypeError",
        "SelfAttention: x is torch.float64 and the parameters are torch.float32; convert the layer with layer.to(x.dtype).",
    ),
    BadCall(
        'nn.SelfAttention(8)(torch.ones(2, 5, 8, device="meta"))',
        "DeviceError",
        "SelfAttention: x is on meta and the parameters on cpu; move the layer with layer.to(x.device).",
    ),
    BadCall(
        "nn.MultiHeadAttention(12, 3)(torch.ones(2, 5, 12), torch.ones(2, 5, dtype=torch.bool))",
        "ShapeError",
        "MultiHeadAttention: mask has shape (2, 5) but the scores have shape (2, 3, 5, 5) (*batch, n_q, n_k); the mask must broadcast to them. A padding mask (batch, n_k) needs a query axis: mask[:, None, None, :].",
    ),
    BadCall(
        "nn.MultiHeadAttention(12, 3)(torch.ones(2, 5, 12), torch.ones(2, 3, 7, 5, dtype=torch.bool))",
        "ShapeError",
        "MultiHeadAttention: mask has shape (2, 3, 7, 5) but the scores have shape (2, 3, 5, 5) (*batch, n_q, n_k); the mask must broadcast to them.",
    ),
    BadCall(
        "nn.MultiHeadAttention(12, 3)(torch.ones(2, 5, 12), torch.eye(5))",
        "MaskError",
        "MultiHeadAttention: the floating mask holds only 0s and 1s, so its meaning is in doubt (a floating mask is added to the scores). If 1 means may attend, pass mask.bool(); if 1 means hidden, pass mask == 0; if it really is to be added, use Mechanism(mask=add_to_scores(mask)).",
    ),
    BadCall(
        "nn.MultiHeadAttention(12, 3)(torch.ones(2, 5, 12), [[True]])",
        "ArgumentTypeError",
        "MultiHeadAttention: mask is a list, expected a torch.Tensor, a mask of attention_surgeon.masks or None; wrap arrays in torch.as_tensor(...).",
    ),
    BadCall(
        "nn.MultiHeadAttention(12, 3)(torch.ones(2, 5, 12), torch.full((5, 5), math.nan))",
        "MaskError",
        "MultiHeadAttention: the floating mask holds NaN; hide a key with -inf, keep it with 0.",
    ),
    BadCall(
        "nn.CrossAttention(12, 3, context_dim=7)(torch.ones(2, 5, 12), torch.ones(2, 11, 12))",
        "ShapeError",
        "CrossAttention: context has shape (2, 11, 12), expected (*batch, n, 7): this layer projects vectors of width 7.",
    ),
    BadCall(
        "nn.CrossAttention(12, 3)(torch.ones(2, 5, 12), torch.ones(3, 11, 12))",
        "ShapeError",
        "CrossAttention: Q has shape (2, 3, 5, 4), K (3, 3, 11, 4) and V (3, 3, 11, 4): the axes before the last two (batch, heads) must be the same or broadcast; shared heads are repeated with share_heads(...).",
    ),
    BadCall(
        "nn.CrossAttention(12, 3, context_dim=7).project(torch.ones(2, 5, 12))",
        "ShapeError",
        "CrossAttention: x, as its own context, has shape (2, 5, 12), expected (*batch, n, 7): this layer projects vectors of width 7.",
    ),
    BadCall(
        "nn.SimpleAttention.from_torch(torch.nn.Linear(8, 8))",
        "ArgumentTypeError",
        "SimpleAttention.from_torch: module is a Linear, expected a torch.nn.MultiheadAttention.",
    ),
    BadCall(
        "nn.SimpleAttention.from_torch(torch.nn.MultiheadAttention(12, 3))",
        "ConversionError",
        "SimpleAttention.from_torch: the module has 3 heads and this layer has one; use MultiHeadAttention.from_torch.",
    ),
    BadCall(
        "nn.SelfAttention.from_torch(torch.nn.MultiheadAttention(8, 1, add_zero_attn=True))",
        "ConversionError",
        "SelfAttention.from_torch: the module adds a key of its own (add_bias_kv or add_zero_attn), which this layer cannot; use MultiheadAttention.from_torch.",
    ),
    BadCall(
        "nn.SimpleAttention.from_torch(torch.nn.MultiheadAttention(8, 1, dropout=0.1))",
        "ConversionError",
        "SimpleAttention.from_torch: the module has dropout 0.1 and an output projection, which this layer lacks; in training they would differ. Set module.dropout = 0.0 first, or use MultiHeadAttention.from_torch.",
    ),
    BadCall(
        "nn.MultiHeadAttention.from_torch(torch.nn.MultiheadAttention(12, 3, kdim=7, vdim=7))",
        "ConversionError",
        "MultiHeadAttention.from_torch: kdim is 7 and embed_dim 12, but this layer makes keys from its own input; use CrossAttention.from_torch.",
    ),
    BadCall(
        "nn.CrossAttention.from_torch(torch.nn.MultiheadAttention(12, 3, kdim=7, vdim=5))",
        "ConversionError",
        "CrossAttention.from_torch: kdim is 7 and vdim 5, but this layer makes keys and values from the same context; use MultiheadAttention.from_torch.",
    ),
    BadCall(
        "nn.MultiQueryAttention.from_torch(torch.nn.MultiheadAttention(12, 3))",
        "ConversionError",
        "MultiQueryAttention.from_torch: in groups of 3, the module's key heads are not equal, so none can serve for all; use MultiHeadAttention.from_torch.",
    ),
    BadCall(
        "nn.MultiheadAttention.from_torch(nn.MultiHeadAttention(12, 3))",
        "ArgumentTypeError",
        "MultiheadAttention.from_torch: module is a MultiHeadAttention, expected a torch.nn.MultiheadAttention.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 5)",
        "ShapeError",
        "MultiheadAttention: embed_dim 12 cannot be cut into 5 equal heads; use a num_heads that divides 12.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 0)",
        "OptionError",
        "MultiheadAttention: num_heads is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3, dropout=-0.1)",
        "OptionError",
        "MultiheadAttention: dropout is -0.1, expected a probability from 0 to 1.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)([1.0], torch.ones(7, 2, 12), torch.ones(7, 2, 12))",
        "ArgumentTypeError",
        "MultiheadAttention: query is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(torch.ones(5, 2, 12), torch.ones(7, 12), torch.ones(7, 12))",
        "ShapeError",
        "multi-head attention: query has shape (5, 2, 12), key (7, 12) and value (7, 12); expected `key` and `value` to be 3-D but found 2-D and 2-D tensors respectively: (n, batch, width) for all, or (n, width) for all, a single sequence.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(torch.ones(5, 2, 12), torch.ones(7, 2, 12), torch.ones(6, 2, 12))",
        "ShapeError",
        "multi-head attention: query has shape (5, 2, 12), key (7, 2, 12) and value (6, 2, 12); each key needs one value, so all but the last axis of these two must be the same.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3, batch_first=True)(torch.ones(5, 2, 12), torch.ones(7, 2, 12), torch.ones(7, 2, 12))",
        "ShapeError",
        "multi-head attention: query has shape (5, 2, 12), key (7, 2, 12) and value (7, 2, 12); axis 0, the batch of (batch, n, width), must be the same; batch_first says which axis it is.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(torch.ones(5, 2, 8), torch.ones(7, 2, 8), torch.ones(7, 2, 8))",
        "ShapeError",
        "multi-head attention: query has shape (5, 2, 8), expected width 12, the embed_dim.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(torch.ones(5, 2, 12), torch.ones(7, 2, 8), torch.ones(7, 2, 8))",
        "ShapeError",
        "multi-head attention: key has shape (7, 2, 8), expected width 12, the embed_dim; other widths are said with kdim and vdim when the module is made.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(*[torch.ones(5, 2, 12).double()] * 3)",
        "DTypeError",
        "multi-head attention: query is torch.float64 and out_proj_weight is torch.float32; convert the inputs with .to(dtype) or the module with module.to(dtype).",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(*[torch.ones(5, 2, 12)] * 3, torch.zeros(5, 2, dtype=torch.bool))",
        "ShapeError",
        "multi-head attention: key_padding_mask has shape (5, 2), expected (2, 5), (batch, n_k): one entry for each key of each sequence.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(*[torch.ones(5, 2, 12)] * 3, torch.zeros(2, 5, dtype=torch.int64))",
        "MaskError",
        "multi-head attention: key_padding_mask has dtype torch.int64, expected torch.bool (True = hidden) or a floating dtype (added to the scores); if 1 means hidden, pass key_padding_mask.bool(), if 1 means may attend, key_padding_mask == 0.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(*[torch.ones(5, 2, 12)] * 3, attn_mask=torch.zeros(2, 5, 5, dtype=torch.bool))",
        "ShapeError",
        "multi-head attention: Expected `attn_mask` shape to be (6, 5, 5) or (5, 5): attn_mask has shape (2, 5, 5), expected (5, 5), (n_q, n_k), or (6, 5, 5), (batch * num_heads, n_q, n_k).",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(*[torch.ones(5, 2, 12)] * 3, attn_mask=torch.zeros(5, 5).double())",
        "DTypeError",
        "multi-head attention: attn_mask is torch.float64 and query torch.float32; a floating mask has the dtype of query: attn_mask.to(query.dtype).",
    ),
    BadCall(
        'nn.MultiheadAttention(12, 3)(*[torch.ones(5, 2, 12)] * 3, attn_mask=torch.zeros(5, 5, device="meta"))',
        "DeviceError",
        "multi-head attention: attn_mask is on meta and query on cpu; move it with attn_mask.to(query.device).",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(*[torch.ones(5, 2, 12)] * 3, is_causal=True)",
        "OptionError",
        "multi-head attention: is_causal is a hint about attn_mask, which is None; pass that mask as well, torch.nn.Transformer.generate_square_subsequent_mask(n) makes it.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(*[torch.nested.as_nested_tensor([torch.ones(5, 12)], layout=torch.jagged)] * 3, torch.zeros(1, 5))",
        "OptionError",
        "MultiheadAttention: MultiheadAttention does not support NestedTensor outside of its fast path. The fast path was not hit because supplying both src_key_padding_mask and src_mask at the same time, or either, is not supported with NestedTensor input: a nested query takes no attn_mask and no key_padding_mask, its lengths say what is padding; pad it with to_padded_tensor(0.0) to use a mask.",
    ),
    BadCall(
        "nn.MultiheadAttention(12, 3)(torch.nested.as_nested_tensor([torch.ones(5, 12)], layout=torch.jagged), *[torch.ones(1, 5, 12)] * 2)",
        "OptionError",
        "MultiheadAttention: MultiheadAttention does not support NestedTensor outside of its fast path. The fast path was not hit because non-self attention was used: a nested query attends to itself only. Pass the same tensor as query, key and value, or pad them with to_padded_tensor(0.0).",
    ),
    BadCall(
        "nn.multi_head_attention_forward(*[torch.ones(5, 2, 12)] * 3, 12, 3, None, None, None, None, False, 0.0, torch.eye(12), None)",
        "ArgumentTypeError",
        "multi-head attention: in_proj_weight is None, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "nn.multi_head_attention_forward(*[torch.ones(5, 2, 12)] * 3, 12, 3, torch.ones(36, 8), None, None, None, False, 0.0, torch.eye(12), None)",
        "ShapeError",
        "multi-head attention: in_proj_weight has shape (36, 8), expected (36, 12).",
    ),
    BadCall(
        "nn.multi_head_attention_forward(*[torch.ones(5, 2, 12)] * 3, 12, 3, torch.ones(36, 12), None, torch.ones(1, 1, 12), None, False, 0.0, torch.eye(12), None)",
        "OptionError",
        "multi-head attention: bias_k is given but bias_v is None; an added key needs an added value.",
    ),
    BadCall(
        "nn.multi_head_attention_forward(*[torch.ones(5, 2, 12)] * 3, 12, 3, torch.ones(36, 12), None, None, None, False, 0.0, torch.eye(12), None, static_k=torch.ones(2, 5, 12))",
        "ShapeError",
        "multi-head attention: static_k has shape (2, 5, 12), expected (6, n_k, 4), (batch * num_heads, n_k, head_dim).",
    ),
    BadCall(
        "nn.multi_head_attention_forward(*[torch.ones(5, 2, 12)] * 3, 12, 3, torch.ones(36, 12), None, *[torch.ones(1, 1, 12)] * 2, False, 0.0, torch.eye(12), None, static_k=torch.ones(6, 5, 4))",
        "OptionError",
        "multi-head attention: bias cannot be added to static key. Leave out static_k, or bias_k and bias_v.",
    ),
    BadCall(
        "nn.multi_head_attention_forward(*[torch.ones(5, 2, 12)] * 3, 12, 3, torch.ones(36, 12), None, None, None, False, 0.0, torch.eye(12), None, mechanism=ops.leave_unscaled)",
        "ArgumentTypeError",
        "multi-head attention: mechanism is a function, expected an ops.Mechanism; one step is replaced with Mechanism(scale=leave_unscaled).",
    ),
    BadCall(
        "nn.scaled_dot_product_attention([1.0], torch.ones(7, 3), torch.ones(7, 3))",
        "ArgumentTypeError",
        "scaled_dot_product_attention: Q is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "nn.scaled_dot_product_attention(torch.ones(5, 3), torch.ones(7, 4), torch.ones(7, 3))",
        "ShapeError",
        "scaled_dot_product_attention: Q has shape (5, 3) and K (7, 4): the last axis, d_k, must be the same, not 3 and 4.",
    ),
    BadCall(
        "nn.scaled_dot_product_attention(torch.ones(5, 3), torch.ones(7, 3), torch.ones(6, 3))",
        "ShapeError",
        "scaled_dot_product_attention: K has shape (7, 3) and V (6, 3): each key needs one value, so the next-to-last axis, n_k, must be the same, not 7 and 6.",
    ),
    BadCall(
        "nn.scaled_dot_product_attention(torch.ones(5, 3), torch.ones(7, 3), torch.ones(7, 3), torch.ones(5, 7, dtype=torch.int64))",
        "DTypeError",
        "scaled_dot_product_attention: attn_mask is torch.int64, expected torch.bool (True = may attend) or torch.float32 like query (added to the scores); integers that mean may attend become boolean with attn_mask.bool().",
    ),
    BadCall(
        "nn.scaled_dot_product_attention(torch.ones(5, 3), torch.ones(7, 3), torch.ones(7, 3), torch.zeros(7, 5))",
        "ShapeError",
        "scaled_dot_product_attention: mask has shape (7, 5) but the scores have shape (5, 7) (*batch, n_q, n_k); the mask must broadcast to them.",
    ),
    BadCall(
        "nn.scaled_dot_product_attention(torch.ones(5, 3), torch.ones(7, 3), torch.ones(7, 3), dropout_p=2.0)",
        "OptionError",
        "scaled_dot_product_attention: dropout_p is 2.0, expected a probability from 0 to 1.",
    ),
    BadCall(
        "nn.scaled_dot_product_attention(torch.ones(5, 3), torch.ones(7, 3), torch.ones(7, 3), is_causal=1)",
        "ArgumentTypeError",
        "scaled_dot_product_attention: is_causal is 1, expected True or False.",
    ),
    BadCall(
        'nn.scaled_dot_product_attention(torch.ones(5, 3), torch.ones(7, 3), torch.ones(7, 3), scale="half")',
        "ArgumentTypeError",
        "scaled_dot_product_attention: scale is 'half', expected a number, or None for 1/√d_k.",
    ),
    BadCall(
        "nn.scaled_dot_product_attention(torch.ones(5, 3), torch.ones(7, 3), torch.ones(7, 3), enable_gqa=True)",
        "ShapeError",
        "scaled_dot_product_attention: query has shape (5, 3); with enable_gqa it needs a head axis, (*batch, heads, n, size).",
    ),
    BadCall(
        "nn.scaled_dot_product_attention(torch.ones(6, 5, 3), torch.ones(4, 7, 3), torch.ones(4, 7, 3), enable_gqa=True)",
        "ShapeError",
        "scaled_dot_product_attention: 4 heads of key cannot be shared evenly among 6 heads of query (axis -3); the one number must divide the other.",
    ),
]
