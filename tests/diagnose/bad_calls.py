"""Wrong calls of the diagnosis, each with the whole message it gives."""

from tests.bad_call import BadCall

BAD_CALLS = [
    BadCall(
        'diagnose.diagnose(ops.attention, "atention")',
        "OptionError",
        "there is no contract 'atention'; the contracts are attention, causal_attention, causal_mask, causal_multihead, cross, grouped, kernel, multihead, multiquery, padding_mask, reverse_mask, sdpa, self, simple, softmax, statistics, torch_mha, transformers. Did you mean 'attention'?",
    ),
    BadCall(
        "diagnose.diagnose(ops.attention, 3)",
        "ArgumentTypeError",
        "contract is a int, expected a Contract, the name of one, or None.",
    ),
    BadCall(
        'diagnose.diagnose(ops.attention, "attention", align="middle")',
        "OptionError",
        "attention contract: align='middle', expected one of end, start.",
    ),
    BadCall(
        'diagnose.diagnose(ops.attention, colour="red")',
        "OptionError",
        "contract 'attention' does not take the options colour.",
    ),
    BadCall(
        "diagnose.Limits(seconds=0)",
        "OptionError",
        "Limits: seconds is 0, expected a number of seconds above 0.",
    ),
    BadCall(
        'diagnose.Limits(memory_bytes="2 GB")',
        "ArgumentTypeError",
        "Limits: memory_bytes is '2 GB', expected a whole number of bytes above 0.",
    ),
    BadCall(
        "diagnose.Limits(output_bytes=1.5)",
        "ArgumentTypeError",
        "Limits: output_bytes is 1.5, expected a whole number of bytes above 0.",
    ),
]
