"""Wrong options of contracts, and attentions that fail their check, each with the whole message it gives."""

from tests.bad_call import BadCall

BAD_CALLS = [
    BadCall(
        'testing.make_contract("causal_mask", mask="inverted")',
        "OptionError",
        "mask contract: mask='inverted', expected one of auto, keep, hide, additive.",
    ),
    BadCall(
        'testing.make_contract("reverse_mask", align="middle")',
        "OptionError",
        "mask contract: align='middle', expected one of end, start.",
    ),
    BadCall(
        'testing.make_contract("padding_mask", mask=None)',
        "OptionError",
        "padding_mask contract: mask=None, expected one of auto, keep, hide, additive.",
    ),
    BadCall(
        'testing.make_contract("padding_mask", source="words")',
        "OptionError",
        "padding_mask contract: source='words', expected one of lengths, tokens.",
    ),
    BadCall(
        'testing.make_contract("softmax", mask="keep")',
        "OptionError",
        "contract 'softmax' does not take the options mask.",
    ),
    BadCall(
        'testing.make_contract("atention")',
        "OptionError",
        "there is no contract 'atention'; the contracts are attention, causal_attention, causal_mask, causal_multihead, cross, grouped, kernel, multihead, multiquery, padding_mask, reverse_mask, sdpa, self, simple, softmax, statistics, torch_mha, transformers. Did you mean 'attention'?",
    ),
    BadCall(
        'testing.make_contract("attention", colour="red")',
        "OptionError",
        "contract 'attention' does not take the options colour.",
    ),
    BadCall(
        'testing.make_contract("attention", mask="inverted")',
        "OptionError",
        "attention contract: mask='inverted', expected one of keep, hide, additive.",
    ),
    BadCall(
        'testing.make_contract("attention", scaled="no")',
        "OptionError",
        "attention contract: scaled='no', expected one of True, False.",
    ),
    BadCall(
        'testing.make_contract("attention", returns="weights")',
        "OptionError",
        "attention contract: returns='weights', expected one of output_first, weights_first.",
    ),
    BadCall(
        'testing.make_contract("multihead", mask="auto")',
        "OptionError",
        "layer contract: mask='auto', expected one of keep, hide, additive.",
    ),
    BadCall(
        'testing.make_contract("causal_attention", align="middle")',
        "OptionError",
        "attention contract: align='middle', expected one of end, start.",
    ),
    BadCall(
        "testing.check_attention(3)",
        "UnjudgedError",
        "it is a int, expected a function or a class whose objects are callable.",
    ),
    BadCall(
        "testing.check_attention(lambda Q, K, V: V, 3)",
        "ArgumentTypeError",
        "contract is a int, expected a Contract, the name of one, or None.",
    ),
    BadCall(
        'testing.check_attention(lambda Q, K, V: V, mask="inverted")',
        "OptionError",
        "attention contract: mask='inverted', expected one of keep, hide, additive.",
    ),
    BadCall(
        'testing.check_attention(lambda Q, K, V: V, testing.make_contract("softmax"), mask="keep")',
        "OptionError",
        "contract 'softmax' does not take the options mask.",
    ),
    BadCall(
        'testing.check_attention(lambda x: x, "attention")',
        "UnjudgedError",
        "it takes 1 positional arguments, expected at least 3: query, key, value.",
    ),
    BadCall(
        'testing.check_attention(lambda Q, K, V, colour: V, "attention")',
        "ContractError",
        "<lambda> is not what the contract 'attention' asks: in the call plain: Q (2, 5, 11), K (2, 7, 11), V (2, 7, 13), the output has shape (2, 7, 13), expected (2, 5, 13).",
    ),
    BadCall(
        "testing.check_attention(lambda Q, K, V: (Q @ K.mT).softmax(-1) @ V)",
        "ContractError",
        "<lambda> is not what the contract 'attention' asks: in the call plain: Q (2, 5, 11), K (2, 7, 11), V (2, 7, 13), 129 of 130 numbers of the output are wrong; the furthest, at (1, 4, 0), is -1.293, expected -0.03914.",
    ),
    BadCall(
        'testing.check_attention(lambda Q, K, V: V, "attention")',
        "ContractError",
        "<lambda> is not what the contract 'attention' asks: in the call plain: Q (2, 5, 11), K (2, 7, 11), V (2, 7, 13), the output has shape (2, 7, 13), expected (2, 5, 13).",
    ),
    BadCall(
        'testing.check_attention(lambda Q, K, V: Q.missing, "attention")',
        "UnjudgedError",
        "it answers no call; with Q, K, V of three axes it raises AttributeError: 'Tensor' object has no attribute 'missing'",
    ),
    BadCall(
        'testing.check_attention(lambda x: x.exp() / x.exp().sum(-1, keepdim=True), "softmax")',
        "ContractError",
        "<lambda> is not what the contract 'softmax' asks: scores of ±10⁴ (all rows) give NaN or infinity.",
    ),
    BadCall(
        'testing.check_attention(lambda Q, K, V: ops.attention(Q, K, V)[0].detach(), "attention")',
        "ContractError",
        "<lambda> is not what the contract 'attention' asks: no gradient reaches Q, K, V.",
    ),
    BadCall(
        'testing.check_attention(lambda Q, K, V: ops.attention(Q, K, V)[0].float(), "attention")',
        "ContractError",
        "<lambda> is not what the contract 'attention' asks: float64 goes in and float32 comes out.",
    ),
    BadCall(
        'testing.check_attention(lambda Q, K, V: ops.attention(Q, K, V)[0][:, :2], "attention")',
        "ContractError",
        "<lambda> is not what the contract 'attention' asks: in the call plain: Q (2, 5, 11), K (2, 7, 11), V (2, 7, 13), the output has shape (2, 2, 13), expected (2, 5, 13).",
    ),
    BadCall(
        'testing.check_attention(nn.SimpleAttention, "self")',
        "ContractError",
        "SimpleAttention is not what the contract 'self' asks: in the call plain: x (2, 7, 11), 153 of 154 numbers of the output are wrong; the furthest, at (0, 3, 5), is -2.656, expected -0.718.",
    ),
    BadCall(
        'testing.check_attention(torch.nn.Linear, "multihead")',
        "ContractError",
        "Linear is not what the contract 'multihead' asks: in the call plain: x (2, 7, 15), 206 of 210 numbers of the output are wrong; the furthest, at (0, 5, 2), is 1.232, expected 6.293.",
    ),
    BadCall(
        'testing.check_attention(torch.nn.MultiheadAttention(15, 3), "torch_mha")',
        "UnjudgedError",
        "it takes (n, batch, width); build it with batch_first=True to have it judged.",
    ),
    BadCall(
        'testing.check_attention(lambda n: masks.causal_mask(n).dense().T, "causal_mask")',
        "ContractError",
        "<lambda> is not what the contract 'causal_mask' asks: in the call n = 5, 20 of 25 numbers of the mask are wrong; the furthest, at (0, 1), is 0, expected -inf.",
    ),
    BadCall(
        "testing.fill_parameters(3)",
        "UnjudgedError",
        "it has no weight matrices; a layer keeps its projections as parameters or arrays.",
    ),
]
