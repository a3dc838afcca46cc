"""Wrong calls of the viewer, each with the whole message it gives."""

import attention_surgeon.viewer.live  # noqa: F401  so that a call can name viewer.live
from tests.bad_call import BadCall

_TABLE = "type('Table', (), {'models': ('a',), 'describe': print, 'operate': print})()"

BAD_CALLS = [
    BadCall(
        "viewer.view(3)",
        "ArgumentTypeError",
        "view: what is a int, expected an AttentionTrace, weights (a torch.Tensor or a NumPy array of 2 to 5 axes), a model's outputs with .attentions, a PooledMap, an AttentionScan, or a list or dictionary of layers of one of these.",
    ),
    BadCall(
        "viewer.view('the cat sat')",
        "ArgumentTypeError",
        "view: what is a str, expected an AttentionTrace, weights (a torch.Tensor or a NumPy array of 2 to 5 axes), a model's outputs with .attentions, a PooledMap, an AttentionScan, or a list or dictionary of layers of one of these.",
    ),
    BadCall(
        "viewer.view([])",
        "ArgumentTypeError",
        'view: the list of layers is empty; transformers gives attentions only with model.set_attn_implementation("eager") and model(..., output_attentions=True).',
    ),
    BadCall(
        "viewer.view((None, None))",
        "ArgumentTypeError",
        'view: layer 0 is None; transformers gives attentions only with model.set_attn_implementation("eager") and model(..., output_attentions=True).',
    ),
    BadCall(
        "viewer.view([torch.eye(3), 'x'])",
        "ArgumentTypeError",
        "view: layer 1 is a str, expected a trace, weights or a pooled map, as layer 0 is (a Tensor).",
    ),
    BadCall(
        "viewer.view([torch.eye(3), torch.eye(5)])",
        "ShapeError",
        "view: layer 1 has 5 queries, 5 keys and the axes (), layer 0 3, 3 and (); one page shows maps of one size, so give them to several pages.",
    ),
    BadCall(
        "viewer.view(torch.ones(3))",
        "ShapeError",
        "view: the weights have shape (3,), expected 2 to 5 axes that end with queries and keys.",
    ),
    BadCall(
        "viewer.view(torch.ones(1, 1, 1, 1, 3, 3))",
        "ShapeError",
        "view: the weights have shape (1, 1, 1, 1, 3, 3), expected 2 to 5 axes that end with queries and keys.",
    ),
    BadCall(
        "viewer.view(torch.ones(0, 5))",
        "ShapeError",
        "view: the weights have shape (0, 5): one axis is empty, so there is nothing to show.",
    ),
    BadCall(
        "viewer.view(torch.ones(3, 3, dtype=torch.int64))",
        "DTypeError",
        "view: the weights have dtype torch.int64, expected a floating dtype; weights are real numbers from 0 to 1.",
    ),
    BadCall(
        "viewer.view(np.ones((3, 3), dtype=bool))",
        "DTypeError",
        "view: the weights have dtype bool, expected a floating dtype; weights are real numbers from 0 to 1.",
    ),
    BadCall(
        "viewer.view(torch.eye(3).to_sparse())",
        "ArgumentTypeError",
        "view: the weights are a sparse tensor, expected one with all its numbers; use weights.to_dense().",
    ),
    BadCall(
        "viewer.view(torch.full((2, 3), math.nan))",
        "NonFiniteError",
        "view: attention holds nan at (0, 0), but weights lie between 0 and 1. A row without keys gives NaN in many a softmax; ops.softmax gives zeros.",
    ),
    BadCall(
        "viewer.view(torch.full((2, 2, 3), -math.inf))",
        "NonFiniteError",
        "view: head 0 holds -inf at (0, 0), but weights lie between 0 and 1. These look like masked scores; apply ops.softmax(scores, dim=-1) first.",
    ),
    BadCall(
        "viewer.view(torch.tensor([[0.5, -0.5]]))",
        "OptionError",
        "view: attention holds -0.5 at (0, 1), but weights lie between 0 and 1. If these are scores, apply ops.softmax(scores, dim=-1) first.",
    ),
    BadCall(
        "viewer.view(torch.tensor([[0.5, 1.5]]))",
        "OptionError",
        "view: attention holds 1.5 at (0, 1), but weights lie between 0 and 1. If these are scores, apply ops.softmax(scores, dim=-1) first; if dropout enlarged them, take them in eval mode.",
    ),
    BadCall(
        "viewer.view(torch.eye(3), tokens='the cat sat')",
        "ArgumentTypeError",
        "view: tokens is one string, expected a list of 3 strings, one for each token.",
    ),
    BadCall(
        "viewer.view(torch.eye(3), tokens=[7, 8, 9])",
        "ArgumentTypeError",
        "view: tokens[0] is a int, expected a string; turn token ids into text with tokenizer.convert_ids_to_tokens(ids).",
    ),
    BadCall(
        "viewer.view(torch.eye(3), tokens=['the', 'cat'])",
        "ShapeError",
        "view: 2 tokens for 3 queries; each needs exactly one. Special tokens such as [CLS] count too.",
    ),
    BadCall(
        "viewer.view(torch.ones(2, 3) / 3, tokens=['the', 'cat'])",
        "ShapeError",
        "view: there are 2 queries but 3 keys, and tokens names only the queries; name the keys with key_tokens=[...].",
    ),
    BadCall(
        "viewer.view(torch.ones(5, 2, 3) / 3, axes=('layer', 'head'))",
        "OptionError",
        "view: axes is ('layer', 'head'), but weights of shape (5, 2, 3) have 1 axes before queries and keys; name each, for example ('head',).",
    ),
    BadCall(
        "viewer.view(torch.ones(5, 2, 3) / 3, key_value_heads=2)",
        "OptionError",
        "view: key_value_heads is 2, but 5 heads cannot share them evenly.",
    ),
    BadCall(
        "viewer.view(torch.ones(5, 2, 3) / 3, key_value_heads=0)",
        "OptionError",
        "view: key_value_heads is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "viewer.view(torch.ones(5, 2, 3) / 3, in_full=[(5,)])",
        "OptionError",
        "view: in_full names (5,), but the maps are head 0 to head 4.",
    ),
    BadCall(
        "viewer.view(torch.eye(3), title=3)",
        "ArgumentTypeError",
        "view: title is a int, expected a string.",
    ),
    BadCall(
        "viewer.view(torch.eye(3), max_megabytes='5')",
        "ArgumentTypeError",
        "view: max_megabytes is a str, expected a number.",
    ),
    BadCall(
        "viewer.view(torch.eye(3), max_megabytes=0.1)",
        "OptionError",
        "view: max_megabytes is 0.1, expected at least 0.2: the program takes 0.13 of it.",
    ),
    BadCall(
        "viewer.view(torch.eye(3)).save(3)",
        "ArgumentTypeError",
        "Page.save: path is a int, expected a string or a Path.",
    ),
    BadCall(
        "viewer.view(torch.eye(3)).save('map.jpg')",
        "OptionError",
        "Page.save: map.jpg has the suffix .jpg; a page ends in .html, a picture in .png, .svg or .pdf.",
    ),
    BadCall(
        "viewer.view(torch.eye(3)).save('/no/such/folder/map.html')",
        "FileAccessError",
        "cannot write /no/such/folder/map.html: its folder does not exist; make it first, or choose another place.",
    ),
    BadCall(
        "viewer.view(torch.ones(5, 2, 2) / 2).save('map.png', place=(7,))",
        "OptionError",
        "Page.save: there is no map at 7; the maps are head 0 to head 4.",
    ),
    BadCall(
        "viewer.view(torch.ones(5, 1, 13, 2, 2) / 2).save('map.png')",
        "OptionError",
        "Page.save: a picture shows at most 64 maps, not 65; choose a layer with place=(0,), or write a page (.html), which shows all.",
    ),
    BadCall(
        "viewer.compare(torch.eye(2), torch.eye(2)).save('map.png')",
        "OptionError",
        "Page.save: map.png would show a comparison, which needs a page; write it to an .html file.",
    ),
    BadCall(
        "viewer.compare(torch.eye(3), torch.eye(5))",
        "ShapeError",
        "compare: before has 1 map of 3 queries and 3 keys, after 1 map of 5 queries and 5 keys; a comparison lays map over map, so they must be the same.",
    ),
    BadCall(
        "viewer.compare(torch.eye(3), torch.eye(3), labels=('one',))",
        "OptionError",
        "compare: labels is ('one',), expected two strings such as ('before', 'after').",
    ),
    BadCall(
        "viewer.compare(torch.eye(3), None)",
        "ArgumentTypeError",
        "compare: what is None, expected an AttentionTrace, weights (a torch.Tensor or a NumPy array of 2 to 5 axes), a model's outputs with .attentions, a PooledMap, an AttentionScan, or a list or dictionary of layers of one of these.",
    ),
    BadCall(
        "viewer.live.serve('tiny')",
        "ArgumentTypeError",
        "serve: table is a str, expected a viewer.live.Table: something with models, describe and operate.",
    ),
    BadCall(
        f"viewer.live.serve({_TABLE}, limits=5)",
        "ArgumentTypeError",
        "serve: limits is a int, expected viewer.live.Limits(...) or None.",
    ),
    BadCall(
        f"viewer.live.serve({_TABLE}, port='8642')",
        "ArgumentTypeError",
        "serve: port is '8642', expected a whole number of at least 0 (0 takes any free one).",
    ),
    BadCall(
        f"viewer.live.serve({_TABLE}, port=70_000)",
        "OptionError",
        "serve: port is 70000, expected at most 65535; 0 takes any free one.",
    ),
    BadCall(
        "viewer.view(torch.eye(3), prompt_length=4)",
        "OptionError",
        "view: prompt_length is 4, but there are 3 queries.",
    ),
]
