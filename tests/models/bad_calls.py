"""Wrong calls of the untrained models, each with the whole message it gives."""

from tests.bad_call import BadCall

_QUARTERS = (
    "expected a multiple of 8: a quarter each for spelling, endings, neighbours, region, "
    "the last two in pairs of sine and cosine."
)

BAD_CALLS = [
    BadCall("models.tokenize(['a'])", "ArgumentTypeError", "tokenize: text is a list, expected a string."),
    BadCall("models.tokenize(None)", "ArgumentTypeError", "tokenize: text is None, expected a string."),
    BadCall(
        "models.embed_tokens('The cat')",
        "ArgumentTypeError",
        "embed_tokens: tokens is 'The cat', expected a list of strings; cut a text with tokenize(text).",
    ),
    BadCall(
        "models.embed_tokens([1, 2])",
        "ArgumentTypeError",
        "embed_tokens: tokens is [1, 2], expected a list of strings; cut a text with tokenize(text).",
    ),
    BadCall("models.embed_tokens(['a'], size=12)", "OptionError", f"embed_tokens: size is 12, {_QUARTERS}"),
    BadCall(
        "models.embed_tokens(['a'], size=0)",
        "OptionError",
        "embed_tokens: size is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "models.embed_tokens(['a'], seed=0.5)",
        "ArgumentTypeError",
        "embed_tokens: seed is 0.5, expected a whole number.",
    ),
    BadCall(
        "models.spelling_attention([])",
        "OptionError",
        "spelling_attention: tokens is empty, expected at least one token.",
    ),
    BadCall(
        "models.spelling_attention(['a'], num_heads=0)",
        "OptionError",
        "spelling_attention: num_heads is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "models.spelling_attention(['a'], num_heads=3, size=64)",
        "ShapeError",
        "spelling_attention: size 64 cannot be cut into 3 equal heads; leave size out, or take 72.",
    ),
    BadCall(
        "models.trace_text('a b', scale=0.5)",
        "ArgumentTypeError",
        "trace_text: scale is 0.5, expected True or False.",
    ),
    BadCall(
        "models.trace_text('a b', mask=masks.causal_mask(3))",
        "ShapeError",
        "record: mask has shape (3, 3) but the scores have shape (4, 2, 2) (*batch, n_q, n_k); "
        "the mask must broadcast to them.",
    ),
]
