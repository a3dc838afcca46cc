"""Wrong calls of the record, each with the whole message it gives."""

from tests.bad_call import BadCall

_TRACE = "trace.record(torch.ones(3, 5, 2), torch.ones(3, 7, 2), torch.ones(3, 7, 2))"

BAD_CALLS = [
    BadCall(
        "trace.record(torch.ones(5, 3), torch.ones(7, 2), torch.ones(7, 2))",
        "ShapeError",
        "record: Q has shape (5, 3) and K (7, 2): the last axis, d_k, must be the same, not 3 and 2.",
    ),
    BadCall(
        "trace.record(torch.ones(5, 2), torch.ones(7, 2), torch.ones(7, 2), mechanism='softmax')",
        "ArgumentTypeError",
        "record: mechanism is a str, expected an ops.Mechanism; replace a step with Mechanism().replace(scale=...).",
    ),
    BadCall(
        "trace.record(torch.ones(5, 2), torch.ones(7, 2), torch.ones(7, 2), "
        "mechanism=ops.Mechanism(combine=lambda weights, operands: None))",
        "ArgumentTypeError",
        "record: the combine step, <lambda>, returned None, expected a tensor; does it lack a return?",
    ),
    BadCall(
        "trace.record(torch.ones(5, 2), torch.ones(7, 2), torch.ones(7, 2), query_tokens='The cat sat on mat')",
        "ArgumentTypeError",
        "record: query_tokens is 'The cat sat on mat', expected a list with one string for each of the 5 positions; "
        "cut a text with models.tokenize(text).",
    ),
    BadCall(
        "trace.record(torch.ones(5, 2), torch.ones(7, 2), torch.ones(7, 2), key_tokens=['a', 'b'])",
        "ShapeError",
        "record: key_tokens has 2 entries, but there are 7 positions; each needs one token.",
    ),
    BadCall(
        "trace.record(torch.ones(5, 2), torch.ones(7, 2), torch.ones(7, 2), key_tokens=[1, 2, 3, 4, 5, 6, 7])",
        "ArgumentTypeError",
        "record: key_tokens is [1, 2, 3, 4, 5, 6, 7], expected a list with one string for each of the 7 positions; "
        "cut a text with models.tokenize(text).",
    ),
    BadCall(
        "trace.record(torch.ones(3, 5, 2), torch.ones(3, 7, 2), torch.ones(3, 7, 2), leading_axes=['batch', 'head'])",
        "OptionError",
        "record: leading_axes is ['batch', 'head'], but 1 axes stand before the last two; name each of them.",
    ),
    BadCall(
        "trace.record(torch.ones(3, 5, 2), torch.ones(3, 7, 2), torch.ones(3, 7, 2), leading_axes=['query'])",
        "OptionError",
        "AttentionTrace: axes is ('query', 'query', 'key'), expected different names that end with 'query', 'key'.",
    ),
    BadCall(f"{_TRACE}.head(3)", "OptionError", "select: the head is 3, but there are 3: 0 to 2."),
    BadCall(
        f"{_TRACE}.head('first')",
        "ArgumentTypeError",
        "select: the head is 'first', expected a whole number, counted from 0.",
    ),
    BadCall(
        f"{_TRACE}.select('batch', 0)",
        "OptionError",
        "select: the trace has no leading axis 'batch'; leading axes: head.",
    ),
    BadCall(
        f"{_TRACE}.expected_shape('logits')",
        "OptionError",
        "expected_shape: a trace has no tensor 'logits'; it has query, key, value, scores, scaled, masked, weights, "
        "output.",
    ),
    BadCall(
        f"{_TRACE}.save(3)",
        "ArgumentTypeError",
        "save: path is a int, expected a string or a pathlib.Path.",
    ),
    BadCall(
        f"{_TRACE}.save('/')",
        "FileAccessError",
        "cannot write /: a folder stands there; give a file name.",
    ),
    BadCall(
        f"{_TRACE}.save('/no/such/folder/a.trace')",
        "FileAccessError",
        "cannot write /no/such/folder/a.trace: its folder does not exist; make it first, or choose another place.",
    ),
    BadCall(
        "trace.load_trace('/no/such/file.trace')",
        "FileAccessError",
        "cannot read /no/such/file.trace: there is no such file; check the name and the folder.",
    ),
    BadCall(
        "trace.load_trace('/')",
        "FileAccessError",
        "cannot read /: it is a folder; give the name of a trace file.",
    ),
    BadCall(
        "trace.trace_from_json('[]')",
        "FileFormatError",
        'the text is not a trace: it does not say "format": "attention-surgeon trace".',
    ),
    BadCall(
        "trace.trace_from_json('{')",
        "FileFormatError",
        "the text is not a trace, or it was cut short: it is not valid JSON (Expecting property name enclosed in "
        "double quotes: line 1 column 2 (char 1)).",
    ),
]
