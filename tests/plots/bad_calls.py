"""Wrong calls of the plots, each with the whole message it gives."""

from tests.bad_call import BadCall

BAD_CALLS = [
    BadCall(
        'plots.plot_attention_heatmap([[1.0]], ["a"])',
        "ArgumentTypeError",
        "plot_attention_heatmap: attention_weights is a list, expected a torch.Tensor or a NumPy array; wrap lists in torch.tensor(...).",
    ),
    BadCall(
        'plots.plot_attention_heatmap(None, ["a"])',
        "ArgumentTypeError",
        "plot_attention_heatmap: attention_weights is None, expected a torch.Tensor or a NumPy array; wrap lists in torch.tensor(...).",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3, dtype=torch.long), ["a", "b", "c"])',
        "DTypeError",
        "plot_attention_heatmap: attention_weights has dtype torch.int64, expected a floating dtype; weights are real numbers from 0 to 1.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3).bool(), ["a", "b", "c"])',
        "DTypeError",
        "plot_attention_heatmap: attention_weights has dtype torch.bool, expected a floating dtype; a mask is drawn with plot_mask.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3).to(torch.complex64), ["a", "b", "c"])',
        "DTypeError",
        "plot_attention_heatmap: attention_weights has dtype torch.complex64, expected a floating dtype; weights are real numbers from 0 to 1.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(np.eye(3, dtype=int), ["a", "b", "c"])',
        "DTypeError",
        "plot_attention_heatmap: attention_weights has dtype int64, expected a floating dtype; weights are real numbers from 0 to 1.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3).to_sparse(), ["a", "b", "c"])',
        "ArgumentTypeError",
        "plot_attention_heatmap: attention_weights is a sparse tensor, expected one with all its numbers; use attention_weights.to_dense().",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.ones(3, 3, device="meta"), ["a", "b", "c"])',
        "ArgumentTypeError",
        "plot_attention_heatmap: attention_weights is a meta tensor, expected one with all its numbers; compute it on a real device.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.ones(3), ["a"])',
        "ShapeError",
        "plot_attention_heatmap: attention_weights has shape (3,), expected (n_q, n_k); one query needs an axis of its own: attention_weights[None, :].",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.tensor(0.5), ["a"])',
        "ShapeError",
        "plot_attention_heatmap: attention_weights has shape (), expected (n_q, n_k); rows are queries, columns keys.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.ones(2, 3, 3), ["a", "b", "c"])',
        "ShapeError",
        "plot_attention_heatmap: attention_weights has shape (2, 3, 3), expected (n_q, n_k); choose one head, e.g. attention_weights[0], or draw all of them with plot_multihead_attention.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.ones(2, 5, 3, 3), ["a", "b", "c"])',
        "ShapeError",
        "plot_attention_heatmap: attention_weights has shape (2, 5, 3, 3), expected (n_q, n_k); choose one entry of each axis in front, e.g. attention_weights[0, 0].",
    ),
    BadCall(
        "plots.plot_attention_heatmap(torch.ones(0, 3), [])",
        "ShapeError",
        "plot_attention_heatmap: attention_weights has shape (0, 3): n_q is 0, so there is nothing to draw.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.ones(3, 0), ["a", "b", "c"], key_tokens=[])',
        "ShapeError",
        "plot_attention_heatmap: attention_weights has shape (3, 0): n_k is 0, so there is nothing to draw.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.tensor([[0.5, 0.5], [math.nan, 0.5]]), ["a", "b"])',
        "NonFiniteError",
        "plot_attention_heatmap: attention_weights holds nan at (1, 0), but weights lie between 0 and 1. A row without keys gives NaN in many a softmax; ops.softmax gives zeros.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.tensor([[0.5, math.inf], [0.5, 0.5]]), ["a", "b"])',
        "NonFiniteError",
        "plot_attention_heatmap: attention_weights holds inf at (0, 1), but weights lie between 0 and 1. These look like masked scores; apply ops.softmax(scores, dim=-1) first.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.tensor([[0.5, -math.inf], [0.5, 0.5]]), ["a", "b"])',
        "NonFiniteError",
        "plot_attention_heatmap: attention_weights holds -inf at (0, 1), but weights lie between 0 and 1. These look like masked scores; apply ops.softmax(scores, dim=-1) first.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.tensor([[0.5, 0.5], [-2.25, 0.5]]), ["a", "b"])',
        "OptionError",
        "plot_attention_heatmap: attention_weights holds -2.25 at (1, 0), but weights lie between 0 and 1. These look like scores; apply ops.softmax(scores, dim=-1) first.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.tensor([[0.5, 1.25], [0.5, 0.5]]), ["a", "b"])',
        "OptionError",
        "plot_attention_heatmap: attention_weights holds 1.25 at (0, 1), but weights lie between 0 and 1. If these are scores, apply ops.softmax(scores, dim=-1) first; if dropout enlarged them, take them in eval mode.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3), ["a", "b"])',
        "ShapeError",
        "plot_attention_heatmap: 2 tokens for 3 rows (queries); each needs exactly one. Special tokens such as [CLS] count too.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3), "a b c")',
        "ArgumentTypeError",
        "plot_attention_heatmap: tokens is one string, expected a list of 3 strings; split it, e.g. tokens=text.split().",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3), {"a", "b", "c"})',
        "ArgumentTypeError",
        "plot_attention_heatmap: tokens is a set, expected a list of strings; use list(tokens).",
    ),
    BadCall(
        "plots.plot_attention_heatmap(torch.eye(3), [5, 6, 7])",
        "ArgumentTypeError",
        "plot_attention_heatmap: tokens[0] is 5 (int), expected a string; turn token ids into text with the tokenizer, or use [str(t) for t in tokens].",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(2, 3), ["a", "b"])',
        "ShapeError",
        "plot_attention_heatmap: 2 rows (queries) but 3 columns (keys), and tokens names only the queries; name the keys with key_tokens=[...].",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(2, 3), ["a", "b"], key_tokens=["c", "d"])',
        "ShapeError",
        "plot_attention_heatmap: 2 key_tokens for 3 columns (keys); each needs exactly one. Special tokens such as [CLS] count too.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(2, 3), ["a", "b"], key_tokens="cde")',
        "ArgumentTypeError",
        "plot_attention_heatmap: key_tokens is one string, expected a list of 3 strings; split it, e.g. key_tokens=text.split().",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3), ["a", "b", "c"], 7)',
        "ArgumentTypeError",
        "plot_attention_heatmap: title is 7 (int), expected a string.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3), ["a", "b", "c"], theme="sepia")',
        "OptionError",
        "plot_attention_heatmap: theme is 'sepia', expected 'light' or 'dark'.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3), ["a", "b", "c"], max_weight="1")',
        "ArgumentTypeError",
        "plot_attention_heatmap: max_weight is '1', expected a number above 0, up to 1, or None.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3), ["a", "b", "c"], max_weight=0)',
        "OptionError",
        "plot_attention_heatmap: max_weight is 0, expected a number above 0, up to 1.",
    ),
    BadCall(
        'plots.plot_attention_heatmap(torch.eye(3), ["a", "b", "c"], max_weight=1.5)',
        "OptionError",
        "plot_attention_heatmap: max_weight is 1.5, expected a number above 0, up to 1.",
    ),
    BadCall(
        'plots.plot_multihead_attention(torch.eye(3), ["a", "b", "c"], 1)',
        "ShapeError",
        "plot_multihead_attention: attention_weights has shape (3, 3), expected (num_heads, n_q, n_k); one head is drawn with plot_attention_heatmap, or write attention_weights[None].",
    ),
    BadCall(
        'plots.plot_multihead_attention(torch.ones(2, 5, 3, 3), ["a", "b", "c"], 5)',
        "ShapeError",
        "plot_multihead_attention: attention_weights has shape (2, 5, 3, 3), expected (num_heads, n_q, n_k); choose one entry of each axis in front, e.g. attention_weights[0].",
    ),
    BadCall(
        'plots.plot_multihead_attention(torch.full((2, 3, 3), 0.3), ["a", "b", "c"], 3)',
        "ShapeError",
        "plot_multihead_attention: attention_weights has shape (2, 3, 3), so 2 heads, but num_heads is 3; the first axis of the weights is the head.",
    ),
    BadCall(
        'plots.plot_multihead_attention(torch.full((2, 3, 3), 0.3), ["a", "b", "c"], 2.0)',
        "ArgumentTypeError",
        "plot_multihead_attention: num_heads is 2.0, expected a whole number of at least 1.",
    ),
    BadCall(
        'plots.plot_multihead_attention(torch.full((2, 3, 3), 0.3), ["a", "b", "c"], 0)',
        "OptionError",
        "plot_multihead_attention: num_heads is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        'plots.plot_multihead_attention(torch.full((65, 2, 2), 0.5), ["a", "b"], 65)',
        "OptionError",
        "plot_multihead_attention: num_heads is 65, expected at most 64 in one figure; draw them in parts, e.g. attention_weights[:64] with a title that says which.",
    ),
    BadCall(
        'plots.plot_multihead_attention(torch.full((2, 3, 3), 0.3), ["a"], 2)',
        "ShapeError",
        "plot_multihead_attention: 1 tokens for 3 rows (queries); each needs exactly one. Special tokens such as [CLS] count too.",
    ),
    BadCall(
        "plots.plot_scale_comparison(torch.eye(3), torch.eye(2))",
        "ShapeError",
        "plot_scale_comparison: with_scale has shape (3, 3) and without_scale (2, 2); the two must be weights of the same queries and keys.",
    ),
    BadCall(
        "plots.plot_scale_comparison(torch.eye(3), 5 * torch.eye(3))",
        "OptionError",
        "plot_scale_comparison: without_scale holds 5 at (0, 0), but weights lie between 0 and 1. If these are scores, apply ops.softmax(scores, dim=-1) first; if dropout enlarged them, take them in eval mode.",
    ),
    BadCall(
        "plots.plot_scale_comparison(torch.eye(3), None)",
        "ArgumentTypeError",
        "plot_scale_comparison: without_scale is None, expected a torch.Tensor or a NumPy array; wrap lists in torch.tensor(...).",
    ),
    BadCall(
        "plots.plot_mask(None)",
        "ArgumentTypeError",
        "plot_mask: mask is None, expected a torch.Tensor, a NumPy array of booleans or numbers, or a mask of attention_surgeon.masks.",
    ),
    BadCall(
        'plots.plot_mask(np.array([["x"]]))',
        "ArgumentTypeError",
        "plot_mask: mask is an array of dtype <U1, expected a torch.Tensor, a NumPy array of booleans or numbers, or a mask of attention_surgeon.masks.",
    ),
    BadCall(
        "plots.plot_mask(torch.ones(3, dtype=torch.bool))",
        "ShapeError",
        "plot_mask: mask has shape (3,), expected (n_q, n_k); a padding mask needs an axis for the queries: mask[None, :].",
    ),
    BadCall(
        "plots.plot_mask(torch.ones(2, 1, 3, 3, dtype=torch.bool))",
        "ShapeError",
        "plot_mask: mask has shape (2, 1, 3, 3), expected (n_q, n_k); choose one entry of each axis in front, e.g. mask[0, 0].",
    ),
    BadCall(
        "plots.plot_mask(torch.ones(0, 3, dtype=torch.bool))",
        "ShapeError",
        "plot_mask: mask has shape (0, 3), so there is nothing to draw.",
    ),
    BadCall(
        "plots.plot_mask(torch.eye(3))",
        "MaskError",
        "plot_mask: the floating mask holds only 0s and 1s, so its meaning is in doubt (a floating mask is added to the scores). If 1 means may attend, pass mask.bool(); if 1 means hidden, pass mask == 0; if it really is to be added, use Mechanism(mask=add_to_scores(mask)).",
    ),
    BadCall(
        "plots.plot_mask(torch.eye(3).long() * 2)",
        "MaskError",
        "plot_mask: an integer mask must hold only 0 (hidden) and 1 (may attend), found 2; for numbers that are added to the scores use a floating mask.",
    ),
    BadCall(
        "plots.plot_mask(torch.eye(3) * math.nan)",
        "MaskError",
        "plot_mask: the floating mask holds NaN; hide a key with -inf, keep it with 0.",
    ),
    BadCall(
        'plots.plot_mask(torch.eye(3).bool(), ["a", "b"])',
        "ShapeError",
        "plot_mask: 2 tokens for 3 rows (queries); each needs exactly one. Special tokens such as [CLS] count too.",
    ),
    BadCall(
        "plots.plot_mask(torch.eye(3).bool(), theme=None)",
        "OptionError",
        "plot_mask: theme is None, expected 'light' or 'dark'.",
    ),
    BadCall(
        'plots.plot_scaling_curves("rows")',
        "ArgumentTypeError",
        "plot_scaling_curves: rows is no list of mappings, expected [{'d_k': 16, 'scaled': True, ...}].",
    ),
    BadCall(
        "plots.plot_scaling_curves([])", "OptionError", "plot_scaling_curves: rows is empty; run the experiment first."
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 16}])',
        "OptionError",
        "plot_scaling_curves: rows[0] has no 'scaled'; it has d_k.",
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 16.0, "scaled": True}])',
        "ArgumentTypeError",
        "plot_scaling_curves: rows[0]['d_k'] is 16.0, expected a whole number of at least 1.",
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 0, "scaled": True}])',
        "OptionError",
        "plot_scaling_curves: rows[0]['d_k'] is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 16, "scaled": 1}])',
        "ArgumentTypeError",
        "plot_scaling_curves: rows[0]['scaled'] is 1, expected True or False.",
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 16, "scaled": True}])',
        "OptionError",
        "plot_scaling_curves: mean_max_weight at d_k=16, scaled=True is missing; the row has d_k, scaled.",
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 16, "scaled": True, "mean_max_weight": 1.5}])',
        "OptionError",
        "plot_scaling_curves: mean_max_weight at d_k=16, scaled=True is 1.5, expected a number from 0 to 1.",
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 16, "scaled": True, "mean_max_weight": torch.tensor(0.5)}])',
        "ArgumentTypeError",
        "plot_scaling_curves: mean_max_weight at d_k=16, scaled=True is tensor(0.5000), expected a number; call .item() on a tensor.",
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 16, "scaled": True, "mean_max_weight": math.nan}])',
        "NonFiniteError",
        "plot_scaling_curves: mean_max_weight at d_k=16, scaled=True is nan, expected a finite number.",
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 16, "scaled": True, "mean_max_weight": 0.5, "entropy_share": 0.5, "score_gradient": 0.0}])',
        "OptionError",
        "plot_scaling_curves: score_gradient at d_k=16, scaled=True is 0.0, expected a number above 0: its axis is logarithmic.",
    ),
    BadCall(
        'plots.plot_scaling_curves([{"d_k": 16, "scaled": True}, {"d_k": 16, "scaled": True}])',
        "OptionError",
        "plot_scaling_curves: two rows have d_k=16 and scaled=True; average repetitions first, their spread goes into <name>_low and <name>_high.",
    ),
    BadCall(
        'plots.save_figure(None, "a.png")',
        "ArgumentTypeError",
        "save_figure: figure is None, expected a matplotlib Figure such as the plots return.",
    ),
    BadCall(
        "plots.save_figure(plots.plot_mask(torch.eye(3).bool()), 7)",
        "ArgumentTypeError",
        "save_figure: path is a int, expected a string or a Path.",
    ),
    BadCall(
        'plots.save_figure(plots.plot_mask(torch.eye(3).bool()), "figure.bmp")',
        "OptionError",
        "save_figure: figure.bmp has the suffix .bmp; the choices are .png, .svg and .pdf.",
    ),
    BadCall(
        'plots.save_figure(plots.plot_mask(torch.eye(3).bool()), "figure")',
        "OptionError",
        "save_figure: figure has no suffix; the choices are .png, .svg and .pdf.",
    ),
    BadCall(
        'plots.save_figure(plots.plot_mask(torch.eye(3).bool()), "no/such/folder/figure.png")',
        "FileAccessError",
        "cannot write no/such/folder/figure.png: its folder does not exist; make it first, or choose another place.",
    ),
    BadCall(
        "plots.plot_fault(3)",
        "ArgumentTypeError",
        "plot_fault: fault is a int, expected a Fault or the name of one.",
    ),
    BadCall(
        'plots.plot_fault("softmax_over_query")',
        "OptionError",
        "no fault is called 'softmax_over_query'; did you mean softmax_over_queries, softmax_over_everything or softmax_over_heads?",
    ),
    BadCall(
        'plots.plot_fault("mutates_inputs")',
        "OptionError",
        "plot_fault: mutates_inputs changes no number of a single call, so there is nothing to draw.",
    ),
    BadCall(
        'plots.plot_fault("scale_missing", theme="blue")',
        "OptionError",
        "plot_fault: theme is 'blue', expected 'light' or 'dark'.",
    ),
    BadCall(
        'plots.plot_head_statistics(surgeon.stats.head_statistics(torch.eye(3).expand(2, 2, 3, 3)), "entropie")',
        "OptionError",
        "plot_head_statistics: there is no statistic 'entropie'; there are entropy, entropy_share, effective_keys, max_attention, mean_max_attention, diagonal_mass, previous_mass, next_mass, first_mass, local_mass, global_mass, local_vs_global, mean_distance, sparsity, evenness, induction.",
    ),
    BadCall(
        'plots.plot_head_statistics(surgeon.stats.head_statistics(torch.eye(3).expand(2, 2, 3, 3)), "induction")',
        "OptionError",
        "plot_head_statistics: induction was not measured; head_statistics needs tokens=... for it.",
    ),
    BadCall(
        "plots.plot_head_statistics(surgeon.stats.head_statistics(torch.eye(3)))",
        "ShapeError",
        "plot_head_statistics: the statistics have shape (), expected (layers, heads); stack the weights of the layers, of one sequence: torch.stack([...]) of (heads, n_q, n_k).",
    ),
    BadCall(
        "plots.plot_head_statistics(surgeon.stats.head_statistics(torch.eye(3).expand(2, 2, 3, 3)), highest=0)",
        "OptionError",
        "plot_head_statistics: highest is 0, expected a number above 0.",
    ),
    BadCall(
        "plots.plot_over_picture(np.zeros((4, 4, 3)), torch.eye(2))",
        "ShapeError",
        "plot_over_picture: picture has shape (4, 4, 3) and weights (2, 2); expected (height, width, 3) and (heads, rows, "
        "columns).",
    ),
    BadCall(
        "plots.plot_over_picture(np.zeros((4, 4, 3)), torch.eye(2)[None], names=['a', 'b'])",
        "ShapeError",
        "plot_over_picture: 2 names for 1 heads.",
    ),
]
