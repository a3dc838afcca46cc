"""What learners write in place of the solution: one change, and the name by which it must be called."""

from typing import NamedTuple


class Wrong(NamedTuple):
    """A change to the solution of an exercise: `old` becomes `new`."""

    exercise: str
    old: str
    new: str
    name: str


WRONG = [
    Wrong("basics.attention", "dim=-1", "dim=-2", "softmax_over_queries"),
    Wrong(
        "basics.attention", "q @ k.transpose(-2, -1)", "q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5", "scale_not_asked"
    ),
    Wrong("basics.attention", "attention_weights @ v", "attention_weights @ k", "key_as_value"),
    Wrong("basics.reading", "tokens[row], tokens[column]", "tokens[column], tokens[row]", "from_and_to_swapped"),
    Wrong("basics.reading", "tokens[row], tokens[column]", "row, column", "places_not_tokens"),
    Wrong("basics.shuffling", "attention(x)[:, order]", "attention(x)", "compared_in_place"),
    Wrong("basics.shuffling", ".abs().max()", ".max()", "sign_counts"),
    Wrong("chapter01.similarity", "Q @ np.swapaxes(K, -2, -1)", "K @ np.swapaxes(Q, -2, -1)", "scores_transposed"),
    Wrong("chapter01.similarity", "(K, -2, -1)", "(K, -2, -1) / np.sqrt(Q.shape[-1])", "scaled_here"),
    Wrong("chapter01.softmax", "scores - scores.max(axis=-1, keepdims=True)", "scores", "softmax_no_max_subtraction"),
    Wrong("chapter01.attention", " / np.sqrt(d_k)", "", "scale_missing"),
    Wrong("chapter01.attention", "/ np.sqrt(d_k)", "/ d_k", "scale_by_key_size"),
    Wrong("chapter01.entropy", "np.log(safe)", "np.log2(safe)", "entropy_in_bits"),
    Wrong("chapter01.top_keys", "-weights[query_idx]", "weights[query_idx]", "smallest_taken"),
    Wrong("chapter01.sparsity", "weights < threshold", "weights >= threshold", "share_above"),
    Wrong("chapter01.compare", "np.abs(difference).max()", "difference.max()", "max_diff_with_sign"),
    Wrong("chapter01.heatmap", "axes.imshow(weights,", "axes.imshow(weights.T,", "map_transposed"),
    Wrong("chapter01.heatmap", "vmin=0, vmax=1, ", 'vmin=0, vmax=1, origin="lower", ', "map_upside_down"),
    Wrong("chapter01.heatmap", "vmin=0, vmax=1, ", "", "colours_not_from_zero"),
    Wrong("chapter01.heatmap", 'axes.set_xlabel("to (key)")', "", "axis_names_missing"),
    Wrong("chapter01.heatmap", "axes.set_yticks(range(len(tokens)), tokens)", "", "tokens_missing"),
    Wrong("chapter01.comparison", "vmin=0, vmax=1, ", "", "colours_differ"),
    Wrong("chapter01.comparison", "axes.set_title(title)", "", "maps_not_told_apart"),
    Wrong("chapter01.comparison", "[scaled, unscaled]", "[unscaled, scaled]", "other_numbers"),
    Wrong(
        "chapter01.split_heads",
        "x.reshape(batch, n, num_heads, embed_dim // num_heads)\n    return heads.transpose(0, 2, 1, 3)",
        "x.reshape(batch, num_heads, n, -1)\n    return heads",
        "heads_split_by_view",
    ),
    Wrong("chapter01.split_heads", "return heads.transpose(0, 2, 1, 3)", "return heads", "not_transposed"),
    Wrong(
        "chapter01.merge_heads",
        "heads.transpose(0, 2, 1, 3).reshape(",
        "heads.reshape(",
        "heads_merged_without_transpose",
    ),
    Wrong("chapter01.multihead", "/ np.sqrt(Q.shape[-1])", "/ np.sqrt(x.shape[-1])", "scale_by_model_width"),
    Wrong(
        "chapter01.multihead", "merge_heads(gathered) @ self.W_o", "merge_heads(gathered)", "output_projection_missing"
    ),
    Wrong("chapter01.torch_mask", "~allowed", "allowed", "mask_inverted"),
    Wrong("chapter01.torch_layer", "masked_fill(~mask,", "masked_fill(mask,", "mask_inverted"),
    Wrong("chapter01.torch_layer", "(weights @ V).transpose(1, 2)", "(weights @ V)", "heads_merged_without_transpose"),
    Wrong("chapter01.milestone", "layer.bias.copy_(bias)", "layer.bias.zero_()", "input_biases_not_copied"),
    Wrong(
        "chapter01.milestone",
        "[ours.query, ours.key, ours.value]",
        "[ours.key, ours.value, ours.query]",
        "chunk_order_wrong",
    ),
    Wrong("lab1.self_attention", " / Q.shape[-1] ** 0.5", "", "scale_missing"),
    Wrong("lab1.self_attention", "dim=-1", "dim=-2", "softmax_over_queries"),
    Wrong("lab1.multihead", "/ Q.shape[-1] ** 0.5", "/ embed_dim ** 0.5", "scale_by_model_width"),
    Wrong(
        "lab1.multihead",
        ".reshape(heads).transpose(1, 2)",
        ".reshape(batch, self.num_heads, n, -1)",
        "heads_split_by_view",
    ),
    Wrong("lab1.multihead", "self.dropout(weights)", "nn.functional.dropout(weights, 0.1)", "dropout_in_eval"),
    Wrong("lab1.causal_mask", ".tril()", ".triu()", "causal_reversed"),
    Wrong("lab1.causal_mask", ".tril()", ".tril(-1)", "mask_diagonal_hidden"),
    Wrong("lab1.padding_mask", "tokens != pad_id", "tokens == pad_id", "padding_inverted"),
    Wrong("lab1.cross", "/ Q.shape[-1] ** 0.5", "/ x.shape[-1] ** 0.5", "scale_by_model_width"),
    Wrong("lab1.plot_heads", "vmin=0, vmax=1, ", "", "colours_differ"),
    Wrong("lab1.plot_heads", "weights[head].detach()", "weights[0].detach()", "other_numbers"),
    Wrong("lab1.head_distances", ".sum(-1).mean(-1) / 2", ".sum(-1).mean(-1)", "not_halved"),
    Wrong("lab1.head_distances", ".abs()", "", "signs_cancel"),
    Wrong("project04.attention", "if scale:", "if not scale:", "scale_flag_inverted"),
    Wrong("project04.attention", "mask == 0", "mask == 1", "mask_inverted"),
    Wrong("project04.attention", 'float("-inf"))', "0.0)", "mask_multiplied"),
    Wrong(
        "project04.attention",
        "attention_weights = attention_weights.masked_fill(torch.isnan(attention_weights), 0.0)",
        "pass",
        "nan_rows",
    ),
    Wrong(
        "project04.attention", "return output, attention_weights", "return attention_weights, output", "returns_swapped"
    ),
    Wrong("project04.heatmap", 'axes.set_ylabel("from (query)")', 'axes.set_ylabel("to (key)")', "axis_names_missing"),
    Wrong("project04.heatmap", "axes.set_title(title)", "", "title_missing"),
    Wrong(
        "project04.grid",
        "attention_weights[head].detach(), vmin=0, vmax=1",
        "attention_weights[head].detach()",
        "colours_differ",
    ),
    Wrong("project04.grid", "attention_weights[head].detach()", "attention_weights[head].detach().T", "map_transposed"),
    Wrong("project04.statistics", ".diagonal().mean()", ".diagonal().sum()", "diagonal_summed"),
    Wrong("project04.statistics", "torch.log(", "torch.log2(", "entropy_in_bits"),
    Wrong(
        "project04.causal_mask", "torch.triu(full, diagonal=1)", "torch.triu(full, diagonal=0)", "mask_diagonal_hidden"
    ),
    Wrong("project04.causal_mask", "torch.triu(full, diagonal=1)", "torch.tril(full, diagonal=-1)", "causal_reversed"),
    Wrong("project04.reverse_mask", "torch.tril(full, diagonal=-1)", "torch.triu(full, diagonal=1)", "mask_transposed"),
    Wrong("project04.scaling", "scores = scores / d_k**0.5", "pass", "scale_missing"),
    Wrong("project04.scaling", "scores / d_k**0.5", "scores / d_k", "scale_by_key_size"),
    Wrong("project04.scaling", ".median().item()", ".mean().item()", "mean_not_median"),
    Wrong("project04.masking", "scores.masked_fill(~mask,", "scores.masked_fill(~everywhere,", "mask_ignored"),
    Wrong("project04.two_models", "logits[:, :-1]", "logits[:, 1:]", "unrecognised"),
    Wrong("project04.two_models", "tokens[:, 1:]", "tokens[:, :-1]", "unrecognised"),
    Wrong(
        "project04.bonus_tiled",
        "output = output * shrink + e @ V_tile",
        "output = output + e @ V_tile",
        "old_output_not_rescaled",
    ),
    Wrong(
        "project04.bonus_tiled",
        "tile_size=32):\n",
        "tile_size=32):\n    return torch.softmax(Q @ K.mT / Q.shape[-1] ** 0.5, -1) @ V\n",
        "memory_grows_as_n_squared",
    ),
    Wrong(
        "project04.bonus_topk",
        'scores.masked_fill(~kept, float("-inf")), dim=-1)',
        "scores, dim=-1) * kept",
        "rows_not_renormalised",
    ),
    Wrong("project04.bonus_topk", "scores.topk(k, dim=-1)", "scores.topk(k, dim=-1, largest=False)", "worst_kept"),
    Wrong("project04.bonus_cross", "masked_fill(~mask,", "masked_fill(mask,", "mask_inverted"),
    Wrong("project04.masking", "everywhere.tril(),", "everywhere.triu(),", "unrecognised"),
    Wrong("project04.reverse_mask", "diagonal=-1", "diagonal=0", "mask_diagonal_hidden"),
    Wrong("project04.bonus_multi_query", "V = self.value(x)", "V = self.key(x)", "key_as_value"),
    Wrong("lab1.cross", "self.split(self.value(context))", "self.split(self.key(context))", "key_as_value"),
    Wrong("chapter01.torch_mask", "~allowed", "(~allowed).T", "mask_transposed"),
    Wrong("chapter01.multihead", "/ np.sqrt(Q.shape[-1])", "", "scale_missing"),
    Wrong("lab1.self_attention", "return weights @ V, weights", "return weights @ K, weights", "key_as_value"),
    Wrong("project04.bonus_multi_query", "/ self.head_size**0.5", "/ embed_dim**0.5", "scale_by_model_width"),
    Wrong("project04.bonus_dropout", " / (1 - p)", "", "dropout_not_rescaled"),
    Wrong("project04.bonus_dropout", ">= p", "< p", "p_kept"),
    Wrong("project04.bonus_dropout", "if not training or p == 0:", "if p == 0:", "dropout_in_eval"),
    Wrong("m5.shapes", '"output": (batch, seq_len, d_v)', '"output": (batch, seq_len, d_k)', "output_as_wide_as_keys"),
    Wrong("m5.projections", "x @ W_k", "x @ W_q", "one_matrix_for_all"),
    Wrong("m5.projections", "x @ W_v", "x", "value_not_projected"),
    Wrong("m5.scores", "Q.shape[-1] ** 0.5", "Q.shape[-1]", "scale_by_key_size"),
    Wrong("m5.scores", "    if scale:\n", "    if True:\n", "scale_flag_ignored"),
    Wrong("m5.weights", "return weights.masked_fill(weights.isnan(), 0.0)", "return weights", "nan_rows"),
    Wrong("m5.weights", 'float("-inf")', "-1e9", "empty_row_even"),
    Wrong("m5.weights", "dim=-1", "dim=-2", "softmax_over_queries"),
    Wrong("m5.output", "weights @ V", "weights.transpose(-2, -1) @ V", "weights_transposed"),
    Wrong("m5.gradients", "dS @ K / d_k**0.5", "dS @ K", "unrecognised"),
    Wrong("m5.gradients", "(dP - (P * dP).sum(dim=-1, keepdim=True))", "dP", "softmax_mean_missing"),
    Wrong("m5.scaling_plot", "axes.legend()", "", "legend_missing"),
    Wrong("m5.scaling_plot", 'axes.set_xscale("log", base=2)', "", "not_logarithmic"),
    Wrong("m5.scaling_plot", "== scaled]", "]", "line_missing"),
    Wrong("m5.heatmap", "axes.imshow(weights,", "axes.imshow(weights.T,", "map_transposed"),
    Wrong("m5.heatmap", 'axes.set_ylabel("from (query)")', "", "axis_names_missing"),
]
