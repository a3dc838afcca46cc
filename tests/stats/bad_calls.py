"""Wrong calls to the statistics and the whole message each gives."""

from tests.bad_call import BadCall
from tests.stats.scan.bad_calls import SCAN_BAD_CALLS

BAD_CALLS = [
    BadCall(
        "stats.head_statistics([[1.0]])",
        "ArgumentTypeError",
        "head_statistics: weights is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3, dtype=torch.int64))",
        "DTypeError",
        "head_statistics: weights has dtype torch.int64, expected a floating dtype; weights.float() makes one.",
    ),
    BadCall(
        "stats.head_statistics(torch.ones(3))",
        "ShapeError",
        "head_statistics: weights has shape (3,), expected (*batch, n_q, n_k), none of them 0.",
    ),
    BadCall(
        "stats.head_statistics(torch.ones(2, 0, 3))",
        "ShapeError",
        "head_statistics: weights has shape (2, 0, 3), expected (*batch, n_q, n_k), none of them 0.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3) / 0)",
        "NonFiniteError",
        "head_statistics: weights is inf at [0, 0], expected finite weights; a query without keys gets weights 0 from attention_surgeon.attention, NaN from some others.",
    ),
    BadCall(
        "stats.head_statistics(torch.tensor([[0.5, 0.5], [1.5, -0.5]]))",
        "OptionError",
        "head_statistics: weights is -0.5 at [1, 1], expected weights from 0 to 1; scores become weights with softmax(scores).",
    ),
    BadCall(
        "stats.head_statistics(torch.tensor([[0.5, 0.5], [2.0, 0.0]]))",
        "OptionError",
        "head_statistics: row [1] of weights sums to 2, expected 1 (or 0: no keys); weights after dropout do not: call the model in eval mode.",
    ),
    BadCall(
        "stats.head_statistics(torch.tensor([[0.2, 0.9], [0.8, 0.1]]))",
        "OptionError",
        "head_statistics: row [0] of weights sums to 1.1, expected 1 (or 0: no keys); its columns do: pass weights.mT.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), [[True]])",
        "ArgumentTypeError",
        "head_statistics: allowed: mask is a list, expected a torch.Tensor, a mask of attention_surgeon.masks or None; wrap arrays in torch.as_tensor(...).",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), torch.zeros(3, 3))",
        "DTypeError",
        "head_statistics: allowed has dtype torch.float32, expected True = may attend; additive_to_mask(allowed) makes that of a mask that is added.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), torch.ones(3, 5, dtype=torch.bool))",
        "ShapeError",
        "head_statistics: allowed: mask has shape (3, 5) but the scores have shape (3, 3) (*batch, n_q, n_k); the mask must broadcast to them.",
    ),
    BadCall(
        "stats.head_statistics(torch.full((3, 3), 1 / 3), surgeon.causal_mask(3))",
        "OptionError",
        "head_statistics: 3 cells that allowed hides have weight, the first at [0, 1]; is it the mask of these weights, with True = may attend?",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), window=-1)",
        "OptionError",
        "head_statistics: window is -1, expected a whole number of at least 0.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), threshold='0.1')",
        "ArgumentTypeError",
        "head_statistics: threshold is a str, expected a number from 0 to 1.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), threshold=1.5)",
        "OptionError",
        "head_statistics: threshold is 1.5, expected a number from 0 to 1.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), tokens=['a', 'b'])",
        "ShapeError",
        "head_statistics: 2 tokens for 3 keys; each key needs one.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), tokens='abc')",
        "ArgumentTypeError",
        "head_statistics: tokens is a str, expected a list of strings or integers, one for each key, or an integer tensor.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), tokens=torch.ones(3))",
        "DTypeError",
        "head_statistics: tokens has dtype torch.float32, expected integers, one for each key.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), tokens=torch.ones(2, 3, dtype=torch.int64))",
        "ShapeError",
        "head_statistics: tokens has shape (2, 3) but weights (3, 3) (*batch, heads, n_q, n_k); expected (n_k,) or (*batch, n_k).",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), tokens=[1, 2, 1], repeat_offset=2)",
        "OptionError",
        "head_statistics: tokens and repeat_offset are both given; each says where tokens repeat, pass one.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), repeat_offset=1)",
        "OptionError",
        "head_statistics: repeat_offset is 1, expected a whole number of at least 2 (a token at the next position is itself).",
    ),
    BadCall(
        "stats.analyze_attention_patterns([[1.0]])",
        "ArgumentTypeError",
        "analyze_attention_patterns: attention_weights is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "stats.analyze_attention_patterns(torch.zeros(3, 3))",
        "OptionError",
        "analyze_attention_patterns: every row of attention_weights is empty: nothing to measure.",
    ),
    BadCall(
        "stats.analyze_attention_patterns(torch.full((2, 2), math.nan))",
        "NonFiniteError",
        "analyze_attention_patterns: attention_weights is nan at [0, 0], expected finite weights; a query without keys gets weights 0 from attention_surgeon.attention, NaN from some others.",
    ),
    BadCall(
        "stats.name_patterns(torch.zeros(3, 3) - 1)",
        "OptionError",
        "name_patterns: weights is -1 at [0, 0], expected weights from 0 to 1; scores become weights with softmax(scores).",
    ),
    BadCall(
        "stats.top_keys(torch.eye(3), count=0)",
        "OptionError",
        "top_keys: count is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "stats.top_keys(torch.eye(3), count=5)",
        "OptionError",
        "top_keys: count is 5, but there are only 3 keys.",
    ),
    BadCall(
        "stats.compare_patterns(torch.eye(3), torch.eye(5))",
        "ShapeError",
        "compare_patterns: first has shape (3, 3) and second (5, 5); they must be the same, cell by cell.",
    ),
    BadCall(
        "stats.compare_patterns(torch.eye(3), torch.ones(3, 3))",
        "OptionError",
        "compare_patterns: row [0] of second sums to 3, expected 1 (or 0: no keys); weights after dropout do not: call the model in eval mode.",
    ),
    BadCall(
        "stats.head_statistics(torch.eye(3), tokens=[[1], [2], [1]])",
        "ArgumentTypeError",
        "head_statistics: tokens is a list, expected a list of strings or integers, one for each key, or an integer tensor.",
    ),
    *SCAN_BAD_CALLS,
]
