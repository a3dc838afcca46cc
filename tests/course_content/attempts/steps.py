"""Steps, figures and experiments: right in another style, wrong, and stopping with an error."""

# ruff: noqa: E501  a line of code stays on its line

from tests.course_content.attempts.attempt import Attempt

RIGHT_STEPS = (
    Attempt("m5.projections", "three einsums", '''
def project(x, W_q, W_k, W_v):
    Q, K, V = (torch.einsum("bne,ed->bnd", x, W) for W in (W_q, W_k, W_v))
    return Q, K, V
'''),
    Attempt("m5.scores", "baddbmm", '''
def attention_scores(Q, K, scale=True):
    factor = K.size(-1) ** -0.5 if scale else 1.0
    return torch.baddbmm(torch.zeros(()).to(Q), Q, K.mT, beta=0, alpha=factor)
'''),
    Attempt("m5.output", "a loop over the queries", '''
def attention_output(weights, V):
    rows = []
    for i in range(weights.shape[1]):
        rows.append((weights[:, i, :, None] * V).sum(dim=1))
    return torch.stack(rows, dim=1)
'''),
    Attempt("m5.weights", "exponentials by hand", '''
def attention_weights(scores, mask=None):
    e = (scores - scores.max(dim=-1, keepdim=True).values).exp()
    if mask is not None:
        scores = torch.where(mask, scores, torch.tensor(float("-inf")).to(scores))
        top = scores.max(dim=-1, keepdim=True).values
        e = torch.where(mask, (scores - torch.where(top.isinf(), torch.zeros_like(top), top)).exp(), torch.zeros_like(scores))
    total = e.sum(dim=-1, keepdim=True)
    return e / torch.where(total == 0, torch.ones_like(total), total)
'''),
    Attempt("m5.gradients", "the matrix of the softmax, row by row", '''
def gradients(Q, K, V, G):
    scale = Q.shape[-1] ** -0.5
    P = torch.softmax(Q @ K.T * scale, dim=-1)
    dP = G @ V.T
    dS = torch.stack([(torch.diag(p) - torch.outer(p, p)) @ d for p, d in zip(P, dP)])
    return scale * dS @ K, scale * dS.T @ Q, P.T @ G
'''),
    Attempt("m5.scaling_plot", "two loops and semilogx", '''
def plot_scaling(records):
    fig = plt.figure()
    ax = fig.add_subplot()
    with_scale = sorted((r["d_k"], r["gradient"]) for r in records if r["scaled"])
    without = sorted((r["d_k"], r["gradient"]) for r in records if not r["scaled"])
    ax.semilogx(*zip(*with_scale), "o-", label="scaled")
    ax.semilogx(*zip(*without), "x--", label="not scaled")
    ax.set(xlabel="width d_k", ylabel="gradient")
    ax.legend()
    return fig
'''),
    Attempt("m5.heatmap", "pcolormesh with the first row at the top", '''
def draw_sample():
    import steps
    torch.manual_seed(1)
    words = ["attention", "is", "all"]
    x = torch.randn(1, 3, 6)
    Q, K, V = steps.project(x, torch.randn(6, 4), torch.randn(6, 4), torch.randn(6, 4))
    w = steps.attention_weights(steps.attention_scores(Q, K)).squeeze(0)
    fig, ax = plt.subplots()
    ax.matshow(w.numpy(), cmap="Blues", vmin=0.0, vmax=1.0)
    ax.set_xticks([0, 1, 2], labels=words)
    ax.set_yticks([0, 1, 2], labels=words)
    ax.set_xlabel("to (key)")
    ax.set_ylabel("from (query)")
    return fig
'''),
    Attempt("chapter01.sparsity", "counted one by one", '''
def compute_attention_sparsity(weights, threshold=0.1):
    small = 0
    for w in np.ravel(weights):
        if w < threshold:
            small += 1
    return small / np.size(weights)
'''),
    Attempt("chapter01.comparison", "two subplots by number", '''
def plot_scale_comparison(scaled, unscaled, tokens):
    fig = plt.figure(figsize=(10, 5))
    for place, (w, name) in enumerate([(scaled, "scaled"), (unscaled, "unscaled")], start=1):
        ax = fig.add_subplot(1, 2, place)
        ax.imshow(np.asarray(w), cmap="Blues", clim=(0, 1))
        ax.set(title=name, xlabel="to (key)", ylabel="from (query)")
        ax.set_xticks(np.arange(len(tokens)))
        ax.set_xticklabels(tokens)
        ax.set_yticks(np.arange(len(tokens)))
        ax.set_yticklabels(tokens)
    return fig
'''),
    Attempt("lab1.plot_heads", "a column of maps", '''
def plot_heads(weights, tokens):
    maps = weights.detach().cpu().numpy()
    fig, axs = plt.subplots(maps.shape[0], 1, squeeze=False)
    for h in range(maps.shape[0]):
        ax = axs[h, 0]
        ax.imshow(maps[h], cmap="Blues", vmin=0, vmax=1)
        ax.set_xticks(range(len(tokens)), labels=tokens)
        ax.set_yticks(range(len(tokens)), labels=tokens)
        ax.set_xlabel("to (key)")
        ax.set_ylabel("from (query)")
        ax.set_title("Head %d" % h)
    return fig
'''),
    Attempt("lab1.head_distances", "two loops over numbers", '''
def head_distances(weights):
    h = weights.shape[0]
    out = torch.zeros(h, h, dtype=weights.dtype)
    for a in range(h):
        for b in range(h):
            out[a, b] = (weights[a] - weights[b]).abs().sum(dim=1).mul(0.5).mean()
    return out
'''),
    Attempt("project04.bonus_topk", "kth value as a threshold", '''
def topk_attention(Q, K, V, k):
    scores = Q @ K.transpose(1, 2) / Q.shape[-1] ** 0.5
    order = scores.argsort(dim=-1, descending=True)
    rank = order.argsort(dim=-1)
    weights = torch.where(rank < k, scores, torch.full_like(scores, -torch.inf)).softmax(dim=-1)
    return torch.bmm(weights, V), weights
'''),
    Attempt("project04.bonus_dropout", "bernoulli of what is kept", '''
def attention_dropout(weights, p, training):
    if training and p > 0:
        keep = torch.bernoulli(torch.full_like(weights, 1.0 - p))
        return weights * keep / (1.0 - p)
    return weights
'''),
    Attempt("project04.bonus_tiled", "exponentials in place", '''
            s = torch.einsum("bqd,bkd->bqk", Q_tile, K_tile) * Q.size(-1) ** -0.5
            m = torch.max(torch.cat([largest, s], dim=-1), dim=-1, keepdim=True).values
            s = s.sub_(m).exp_()
            factor = (largest - m).exp()
            total = factor * total + s.sum(-1, keepdim=True)
            output = factor * output + torch.bmm(s, V_tile)
            largest = m
''', '''            scores = Q_tile @ K_tile.transpose(-2, -1) / Q.shape[-1] ** 0.5
            new_largest = torch.maximum(largest, scores.amax(dim=-1, keepdim=True))
            e = torch.exp(scores - new_largest)
            shrink = torch.exp(largest - new_largest)
            total = total * shrink + e.sum(dim=-1, keepdim=True)
            output = output * shrink + e @ V_tile
            largest = new_largest
'''),
    Attempt("project04.masking", "sums by distance", """weights = torch.where(mask, scores, -torch.inf).softmax(-1)
        ahead = torch.arange(NUM_TOKENS)[None, :] - torch.arange(NUM_TOKENS)[:, None]
        total = weights.sum()
        parts = {"past": weights[:, ahead < 0].sum(), "self": weights[:, ahead == 0].sum(), "future": weights[:, ahead > 0].sum()}
        shares[name] = {key: float(part / total) for key, part in parts.items()}""",
            """weights = torch.softmax(scores.masked_fill(~mask, float("-inf")), dim=-1)
        shares[name] = {
            "past": weights.tril(diagonal=-1).sum(-1).mean().item(),
            "self": weights.diagonal(dim1=-2, dim2=-1).mean().item(),
            "future": weights.triu(diagonal=1).sum(-1).mean().item(),
        }"""),
)  # fmt: skip

WRONG_STEPS = (
    Attempt("m5.projections", "value by the key's matrix", "x @ W_q, x @ W_k, x @ W_v[:, : W_k.shape[1]]", "x @ W_q, x @ W_k, x @ W_v",
            breaks="Return (Q, K, V) for x (batch, seq_len, embed_dim)"),
    Attempt("m5.projections", "in another order", "return x @ W_k, x @ W_q, x @ W_v", "return x @ W_q, x @ W_k, x @ W_v",
            mistake="query_key_exchanged", breaks="Return (Q, K, V) for x (batch, seq_len, embed_dim)"),
    Attempt("m5.scores", "the switch is the other way", "if not scale:", "if scale:",
            mistake="scale_flag_inverted", breaks="divided by √d_k if `scale`."),
    Attempt("m5.scores", "divided by the number of keys", "scores / K.shape[-2] ** 0.5", "scores / Q.shape[-1] ** 0.5",
            mistake="scale_by_length", breaks="divided by √d_k if `scale`."),
    Attempt("m5.output", "averaged again", "return weights @ V / weights.shape[-1]", "return weights @ V",
            mistake="averaged_twice", breaks="each row a weighted sum of the values."),
    Attempt("m5.weights", "hidden after the softmax", """weights = torch.softmax(scores, dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    return weights""", """if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = torch.softmax(scores, dim=-1)
    return weights.masked_fill(weights.isnan(), 0.0)""",
            breaks="Every row sums to 1"),
    Attempt("m5.gradients", "the sum of a row forgotten", "dS = P * dP", "dS = P * (dP - (P * dP).sum(dim=-1, keepdim=True))",
            mistake="softmax_mean_missing", breaks="Return (dQ, dK, dV) for the loss whose gradient at the output is G."),
    Attempt("m5.gradients", "the sum over the queries", "(P * dP).sum(dim=0, keepdim=True)", "(P * dP).sum(dim=-1, keepdim=True)",
            mistake="softmax_mean_over_queries", breaks="Return (dQ, dK, dV) for the loss whose gradient at the output is G."),
    Attempt("m5.scaling_plot", "both lines show the scaled ones", 'if record["scaled"]]', 'if record["scaled"] == scaled]',
            breaks="Return a figure with two lines over d_k: the gradient with and without the scale."),
    Attempt("m5.scaling_plot", "gradient over gradient", 'axes.plot([r["gradient"] for r in chosen], [r["gradient"] for r in chosen]',
            'axes.plot([r["d_k"] for r in chosen], [r["gradient"] for r in chosen]',
            breaks="Return a figure with two lines over d_k: the gradient with and without the scale."),
    Attempt("m5.heatmap", "numbers in place of words", "axes.set_yticks(range(len(words)))", "axes.set_yticks(range(len(words)), words)",
            mistake="tokens_missing", breaks="the heat map of a sentence of your own (position against position), by your own functions."),
    Attempt("chapter01.sparsity", "how many, not which share", "return int((weights < threshold).sum())",
            "return float((weights < threshold).mean())",
            mistake="counted_not_shared", breaks="Return the share of the weights that lie below the threshold, one number from 0 to 1."),
    Attempt("chapter01.sparsity", "a threshold written in", "weights < 0.1", "weights < threshold",
            mistake="threshold_ignored", breaks="Return the share of the weights that lie below the threshold, one number from 0 to 1."),
    Attempt("chapter01.comparison", "the same map twice", "zip(both, [scaled, scaled], titles, strict=True)",
            "zip(both, [scaled, unscaled], titles, strict=True)",
            breaks="Return a figure with two heat maps side by side"),
    Attempt("lab1.plot_heads", "the mean of the heads in each", "axes.imshow(weights.mean(0).detach()", "axes.imshow(weights[head].detach()",
            breaks="Return a figure with one heat map for each head of weights (num_heads, n, n)"),
    Attempt("lab1.head_distances", "summed over the queries", ".sum(-1).sum(-1) / 2", ".sum(-1).mean(-1) / 2",
            mistake="summed_over_queries", breaks="Half the sum over the keys of the absolute differences, averaged over the queries"),
    Attempt("project04.bonus_topk", "the same keys for all queries", "scores.mean(1, keepdim=True).topk(k, dim=-1).indices.expand(-1, scores.shape[1], -1)",
            "scores.topk(k, dim=-1).indices",
            breaks="whose rows have k numbers that are not 0."),
    Attempt("project04.bonus_topk", "hidden after the softmax", "torch.softmax(scores, dim=-1) * kept",
            'torch.softmax(scores.masked_fill(~kept, float("-inf")), dim=-1)',
            breaks="Return (output, weights): (batch, n_q, d_v) and (batch, n_q, n_k), whose rows have k numbers that are not 0."),
    Attempt("project04.bonus_dropout", "whole rows dropped", "torch.rand_like(weights[..., :1]) >= p", "torch.rand_like(weights) >= p",
            mistake="rows_dropped", breaks="each one dropped with probability p"),
    Attempt("project04.bonus_tiled", "the total is not shrunk", "total = total + e", "total = total * shrink + e",
            mistake="old_sum_not_rescaled", breaks="Return the output (batch, n_q, d_v) of softmax(Q Kᵀ / √d_k) V"),
    Attempt("project04.bonus_multi_query", "heads merged without going back", "(weights @ V).reshape(batch, n, embed_dim)",
            "(weights @ V).transpose(1, 2).reshape(batch, n, embed_dim)",
            breaks="every head has queries of its own, all share one key and one value."),
    Attempt("project04.scaling", "multiplied by the root", "scores * d_k**0.5", "scores / d_k**0.5",
            mistake="scale_multiplied", breaks="one for each width with the scale and one without."),
    Attempt("project04.masking", "the diagonal counted with the past", "weights.tril().sum", "weights.tril(diagonal=-1).sum",
            mistake="self_counted_twice", breaks="the weight on keys before the query, on its own place, after it"),
    Attempt("project04.grid", "every map is of the first head", "attention_weights[0].detach()", "attention_weights[head].detach()",
            breaks="Return a figure with a grid of heat maps, one for each head."),
)  # fmt: skip

CRASHING_STEPS = (
    Attempt("m5.output", "weights transposed", "return weights.transpose(-2, -1) @ V", "return weights @ V",
            line="return weights.transpose", says="the last axis of the left"),
    Attempt("m5.scores", "a switch that is not there", "if scaled:", "if scale:", line="if scaled:", says="NameError"),
    Attempt("m5.gradients", "key without transpose", "dQ = dS @ K.T / d_k**0.5", "dQ = dS @ K / d_k**0.5", line="dQ = dS @ K.T"),
    Attempt("m5.scaling_plot", "a key misspelt", 'r["grad"] for r', 'r["gradient"] for r', line="axes.plot(", says="grad"),
    Attempt("chapter01.comparison", "plt.subplot for plt.subplots", "plt.subplot(1, 2, figsize=(9, 4))", "plt.subplots(1, 2, figsize=(9, 4))",
            line="figure, both = plt.subplot("),
    Attempt("lab1.plot_heads", "one axes indexed", "squeeze=True)", "squeeze=False)", line="for head, axes in enumerate(grid[0])"),
    Attempt("project04.bonus_topk", "scatter of a number", "torch.zeros_like(scores).scatter(best, True)",
            "torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)", line="kept = torch.zeros_like"),
    Attempt("project04.masking", "a key of the masks misspelt", 'shares["non"]["past"] = {', "shares[name] = {", line='shares["non"]'),
    Attempt("chapter01.sparsity", "a bool has no mean", "(weights[0, 0] < threshold).means()", "(weights < threshold).mean()",
            line="return float((weights[0, 0] < threshold).means"),
)  # fmt: skip
