"""Wrong options of contracts, each with the whole message it gives."""

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
]
