"""Wrong calls of the catalogue, each with the whole message it gives."""

from tests.bad_call import BadCall

BAD_CALLS = [
    BadCall(
        "faults.find_fault('softmax_over_query')",
        "OptionError",
        "no fault is called 'softmax_over_query'; did you mean softmax_over_queries, softmax_over_everything or softmax_over_heads?",
    ),
    BadCall(
        "faults.find_fault('')",
        "OptionError",
        "no fault is called ''; attention_surgeon.faults.catalogue() lists all 171.",
    ),
    BadCall(
        "faults.find_fault(3)",
        "ArgumentTypeError",
        "find_fault: name is a int, expected the name of a fault as text.",
    ),
    BadCall(
        "faults.faults_of('masks')",
        "OptionError",
        "faults_of: family is 'masks', expected one of softmax, attention, causal, mask, padding, layer, cross, grouped, statistics, modern.",
    ),
]
