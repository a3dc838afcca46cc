"""Right, in another style than the solution."""

# ruff: noqa: E501  a line of code stays on its line

from tests.course_content.attempts.attempt import Attempt

RIGHT = (
    Attempt("basics.attention", "einsum", '''
class SimpleAttention(nn.Module):
    def __init__(self, n_embd=768):
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(n_embd, n_embd) for _ in range(3))

    def forward(self, x):
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        weights = torch.einsum("bqd,bkd->bqk", q, k).softmax(-1)
        return torch.einsum("bqk,bkd->bqd", weights, v)
'''),
    Attempt("basics.attention", "no biases, bmm", '''
class SimpleAttention(nn.Module):
    def __init__(self, n_embd=768):
        super(SimpleAttention, self).__init__()
        self.query = nn.Linear(n_embd, n_embd, bias=False)
        self.key = nn.Linear(n_embd, n_embd, bias=False)
        self.value = nn.Linear(n_embd, n_embd, bias=False)

    def forward(self, x):
        scores = torch.bmm(self.query(x), self.key(x).transpose(1, 2))
        return torch.bmm(nn.functional.softmax(scores, dim=2), self.value(x))
'''),
    Attempt("basics.attention", "one packed projection", '''
class SimpleAttention(nn.Module):
    def __init__(self, n_embd=768):
        super().__init__()
        self.qkv = nn.Linear(n_embd, 3 * n_embd)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return torch.softmax(q @ k.mT, dim=-1) @ v
'''),
    Attempt("basics.reading", "unravel", '''
def strongest_pair(weights, tokens):
    row, column = torch.unravel_index(weights.argmax(), weights.shape)
    return tokens[row], tokens[column], weights.max()
''' + "\n\nimport torch\n"),
    Attempt("basics.reading", "loops, a float", '''
def strongest_pair(weights, tokens):
    best = max((weights[i, j].item(), i, j) for i in range(len(tokens)) for j in range(len(tokens)))
    return tokens[best[1]], tokens[best[2]], best[0]
'''),
    Attempt("basics.shuffling", "a plain number", '''
def shuffling_gap(attention, x, order):
    first, last = attention(x[:, order]), attention(x)[:, order]
    return float(abs(first - last).max())
'''),
    Attempt("chapter01.similarity", "K.T", "def similarity(Q, K):\n    return Q @ K.T\n"),
    Attempt("chapter01.similarity", "einsum", 'def similarity(Q, K):\n    return np.einsum("...id,...jd->...ij", Q, K)\n'),
    Attempt("chapter01.softmax", "in place of its own copy", '''
def softmax(scores):
    e = scores - np.max(scores, axis=-1, keepdims=True)
    np.exp(e, out=e)
    e /= e.sum(-1)[..., None]
    return e
'''),
    Attempt("chapter01.softmax", "an axis may be chosen", '''
def softmax(x, axis=-1):
    x = x - np.max(x, axis=axis, keepdims=True)
    exp = np.exp(x)
    return exp / np.sum(exp, axis=axis, keepdims=True)
'''),
    Attempt("chapter01.attention", "K.T and a low number", '''
def attention(Q, K, V, mask=None):
    scores = Q @ K.T / Q.shape[1] ** 0.5
    if mask is not None:
        scores = scores + (~mask) * -1e9
    e = np.exp(scores - scores.max(1)[:, None])
    weights = e / e.sum(1)[:, None]
    return weights @ V, weights
'''),
    Attempt("chapter01.attention", "a helper called as PyTorch's", '''
def scaled_dot_product_attention(q, k, v, mask):
    scores = similarity(q, k) / np.sqrt(k.shape[-1])
    if mask is not None:
        scores = np.where(mask, scores, float("-inf"))
    weights = softmax(scores)
    return weights @ v, weights


def attention(Q, K, V, mask=None):
    return scaled_dot_product_attention(Q, K, V, mask)
'''),
    Attempt("chapter01.heatmap", "pcolormesh", '''
def plot_weights(weights, tokens):
    figure, axes = plt.subplots()
    axes.pcolormesh(weights, vmin=0, vmax=1)
    axes.invert_yaxis()
    places = np.arange(len(tokens)) + 0.5
    axes.set_xticks(places)
    axes.set_xticklabels(tokens)
    axes.set_yticks(places)
    axes.set_yticklabels(tokens)
    axes.set(xlabel="to (key)", ylabel="from (query)")
    return figure
'''),
    Attempt("chapter01.heatmap", "keys above, another colour map", '''
def plot_weights(weights, tokens):
    figure, axes = plt.subplots()
    axes.matshow(weights, vmin=0, vmax=1, cmap="viridis")
    axes.set_xticks(range(len(tokens)), labels=tokens)
    axes.set_yticks(range(len(tokens)), labels=tokens)
    axes.set_xlabel("key")
    axes.set_ylabel("query")
    return figure
'''),
    Attempt("chapter01.entropy", "a small number in the logarithm", '''
def compute_attention_entropy(weights):
    return -np.sum(weights * np.log(weights + 1e-12), axis=-1)
'''),
    Attempt("chapter01.entropy", "where", '''
def compute_attention_entropy(weights):
    logs = np.log(weights, where=weights > 0, out=np.zeros_like(weights))
    return -(weights * logs).sum(-1)
'''),
    Attempt("chapter01.top_keys", "turned around", '''
def find_top_k_attended(weights, query_idx, k=3):
    return np.argsort(weights[query_idx])[::-1][:k]
'''),
    Attempt("chapter01.sparsity", "counted", '''
def compute_attention_sparsity(weights, threshold=0.1):
    return np.sum(weights < threshold) / weights.size
'''),
    Attempt("chapter01.compare", "a loop over rows", '''
def compare_attention_patterns(weights1, weights2):
    cosines = [a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(weights1, weights2)]
    return {
        "cosine_similarity": np.mean(cosines),
        "mse": np.mean((weights1 - weights2) ** 2),
        "max_diff": np.max(np.abs(weights1 - weights2)),
    }
'''),
    Attempt("chapter01.split_heads", "swapaxes", '''
def split_heads(x, num_heads):
    return np.swapaxes(x.reshape(*x.shape[:2], num_heads, -1), 1, 2)
'''),
    Attempt("chapter01.split_heads", "split and stack", '''
def split_heads(x, num_heads):
    return np.stack(np.split(x, num_heads, axis=-1), axis=1)
'''),
    Attempt("chapter01.merge_heads", "concatenate", '''
def merge_heads(heads):
    return np.concatenate([heads[:, h] for h in range(heads.shape[1])], axis=-1)
'''),
    Attempt("chapter01.multihead", "a loop over heads", '''
class MultiHeadAttention:
    def __init__(self, embed_dim, num_heads, seed=0):
        if embed_dim % num_heads != 0:
            raise ValueError("these sizes do not go together")
        rng = np.random.default_rng(seed)
        self.num_heads = num_heads
        self.W_q, self.W_k, self.W_v, self.W_o = (
            rng.normal(size=(embed_dim, embed_dim)) / np.sqrt(embed_dim) for _ in range(4)
        )

    def __call__(self, x):
        size = x.shape[-1] // self.num_heads
        Q, K, V = x @ self.W_q, x @ self.W_k, x @ self.W_v
        found = []
        for h in range(self.num_heads):
            part = slice(h * size, (h + 1) * size)
            scores = Q[..., part] @ np.swapaxes(K[..., part], -2, -1) / size**0.5
            found.append(softmax(scores) @ V[..., part])
        return np.concatenate(found, axis=-1) @ self.W_o
'''),
    Attempt("chapter01.torch_mask", "logical_not", "def to_torch_mask(allowed):\n    return torch.logical_not(allowed)\n"),
    Attempt("chapter01.torch_mask", "compared", "def to_torch_mask(allowed):\n    return allowed == False\n"),
    Attempt("chapter01.torch_layer", "NaN where nothing may be seen, einsum", '''
class MultiHeadAttention(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, mask=None):
        b, n, e = x.shape
        q, k, v = (f(x).view(b, n, self.num_heads, -1) for f in (self.query, self.key, self.value))
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / (e // self.num_heads) ** 0.5
        if mask is not None:
            scores = scores.masked_fill(mask == 0, float("-inf"))
        return self.output(torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).reshape(b, n, e))
'''),
    Attempt("chapter01.torch_layer", "a method called as PyTorch's function", '''
class MultiHeadAttention(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, embed_dim)

    def split(self, x):
        batch, n, embed_dim = x.shape
        return x.reshape(batch, n, self.num_heads, embed_dim // self.num_heads).transpose(1, 2)

    def scaled_dot_product_attention(self, q, k, v, mask):
        scores = q @ k.transpose(-2, -1) / q.size(-1) ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e9)
        return scores.softmax(-1) @ v

    def forward(self, x, mask=None):
        parts = [self.split(layer(x)) for layer in (self.query, self.key, self.value)]
        found = self.scaled_dot_product_attention(*parts, mask)
        return self.output(found.transpose(1, 2).flatten(2))
'''),
    Attempt("chapter01.milestone", "slices", '''
def from_torch(theirs):
    ours = MultiHeadAttention(theirs.embed_dim, theirs.num_heads)
    e = theirs.embed_dim
    with torch.no_grad():
        for place, layer in enumerate((ours.query, ours.key, ours.value)):
            layer.weight.copy_(theirs.in_proj_weight[place * e : (place + 1) * e])
            layer.bias.zero_()
            if theirs.in_proj_bias is not None:
                layer.bias.copy_(theirs.in_proj_bias[place * e : (place + 1) * e])
        ours.output.weight.data = theirs.out_proj.weight.detach().clone()
        ours.output.bias.data = torch.zeros(e) if theirs.out_proj.bias is None else theirs.out_proj.bias.detach().clone()
    return ours
'''),
    Attempt("lab1.self_attention", "matmul, math", '''
class SelfAttention(nn.Module):
    def __init__(self, embed_dim):
        super().__init__()
        self.d = embed_dim
        self.w_q = nn.Linear(embed_dim, embed_dim, bias=False)
        self.w_k = nn.Linear(embed_dim, embed_dim, bias=False)
        self.w_v = nn.Linear(embed_dim, embed_dim, bias=False)

    def forward(self, x):
        scores = torch.matmul(self.w_q(x), self.w_k(x).permute(0, 2, 1)) * self.d**-0.5
        attn = nn.functional.softmax(scores, -1)
        return torch.matmul(attn, self.w_v(x)), attn
'''),
    Attempt("lab1.multihead", "heads beside the sequences, for bmm", '''
class MultiHeadAttention(nn.Module):
    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        if embed_dim % num_heads != 0:
            raise ValueError("embed_dim must be a multiple of num_heads")
        self.num_heads, self.head_dim = num_heads, embed_dim // num_heads
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        B, N, E = x.shape
        H, D = self.num_heads, self.head_dim

        def cut(y):
            return y.view(B, N, H, D).transpose(1, 2).reshape(B * H, N, D)

        q, k, v = cut(self.q_proj(x)), cut(self.k_proj(x)), cut(self.v_proj(x))
        scores = torch.bmm(q, k.transpose(1, 2)) / D**0.5
        if mask is not None:
            scores = scores.view(B, H, N, N).masked_fill(~mask, float("-inf")).view(B * H, N, N)
        weights = torch.nan_to_num(torch.softmax(scores, -1))
        out = torch.bmm(self.drop(weights), v).view(B, H, N, D).transpose(1, 2).reshape(B, N, E)
        return self.out_proj(out), weights
'''),
    Attempt("lab1.multihead", "packed, weights after dropout", '''
class MultiHeadAttention(nn.Module):
    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"{embed_dim} is no multiple of {num_heads}")
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.out = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        b, n, e = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(mask.logical_not(), -torch.inf)
        weights = self.dropout(scores.softmax(-1).nan_to_num(0.0))
        return self.out((weights @ v).transpose(1, 2).reshape(b, n, e)), weights
'''),
    Attempt("lab1.causal_mask", "compared places", '''
def create_causal_mask(seq_len):
    places = torch.arange(seq_len)
    return places[None] <= places[:, None]
'''),
    Attempt("lab1.causal_mask", "not above", '''
def create_causal_mask(seq_len):
    return ~torch.triu(torch.ones(seq_len, seq_len), diagonal=1).bool()
'''),
    Attempt("lab1.padding_mask", "unsqueeze", '''
def create_padding_mask(tokens, pad_id):
    return tokens.ne(pad_id).unsqueeze(1).unsqueeze(2)
'''),
    Attempt("lab1.cross", "einsum", '''
class CrossAttention(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, context):
        b, n, e = x.shape
        q = self.query(x).view(b, n, self.num_heads, -1)
        k, v = (f(context).view(b, context.shape[1], self.num_heads, -1) for f in (self.key, self.value))
        w = torch.softmax(torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5, -1)
        return self.output(torch.einsum("bhqk,bkhd->bqhd", w, v).reshape(b, n, e))
'''),
    Attempt("lab1.plot_heads", "a grid of two columns, numpy", '''
def plot_heads(weights, tokens):
    maps = weights.detach().numpy()
    figure, grid = plt.subplots((len(maps) + 1) // 2, 2, squeeze=False)
    for axes in grid.flat[len(maps) :]:
        axes.remove()
    for axes, one in zip(grid.flat, maps):
        axes.imshow(one, vmin=0.0, vmax=1.0)
        axes.set_xticks(range(len(tokens)), tokens)
        axes.set_yticks(range(len(tokens)), tokens)
        axes.set_xlabel("key")
        axes.set_ylabel("query")
    return figure
'''),
    Attempt("lab1.head_distances", "two loops", '''
def head_distances(weights):
    heads = len(weights)
    found = torch.zeros(heads, heads)
    for a in range(heads):
        for b in range(heads):
            found[a, b] = (weights[a] - weights[b]).abs().sum(-1).mean() / 2
    return found
'''),
    Attempt("project04.attention", "bmm, nan_to_num", '''
def attention(Q, K, V, mask=None, scale=True):
    scores = torch.bmm(Q, K.transpose(1, 2))
    if scale:
        scores = scores * K.size(-1) ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask.bool(), float("-inf"))
    weights = torch.nan_to_num(torch.softmax(scores, dim=2), nan=0.0)
    return torch.bmm(weights, V), weights
'''),
    Attempt("project04.attention", "a softmax of its own", '''
def attention(Q, K, V, mask=None, scale=True):
    scores = torch.matmul(Q, K.permute(0, 2, 1))
    scores = scores / K.shape[2] ** 0.5 if scale else scores
    if mask is not None:
        scores = torch.where(mask == 0, torch.tensor(-torch.inf), scores)
    largest = scores.amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    e = torch.exp(scores - largest)
    weights = e / e.sum(-1, keepdim=True).clamp(min=1e-30)
    return weights @ V, weights
'''),
    Attempt("project04.heatmap", "title by keyword, numpy", '''
def plot_attention_heatmap(attention_weights, tokens, title="Attention Weights"):
    fig = plt.figure()
    ax = fig.add_subplot()
    ax.imshow(attention_weights.detach().cpu().numpy(), vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(tokens)), tokens)
    ax.set_yticks(range(len(tokens)), tokens)
    ax.set(title=title, xlabel="Key", ylabel="Query")
    return fig
'''),
    Attempt("project04.grid", "numbers from 1, one row", '''
def plot_multihead_attention(attention_weights, tokens, num_heads):
    fig, axs = plt.subplots(1, num_heads, squeeze=False)
    for i in range(num_heads):
        ax = axs[0][i]
        ax.imshow(attention_weights[i].detach(), vmin=0, vmax=1)
        ax.set_xticks(range(len(tokens)), tokens)
        ax.set_yticks(range(len(tokens)), tokens)
        ax.set_xlabel("to (key)")
        ax.set_ylabel("from (query)")
        ax.set_title(f"Head {i + 1}")
    return fig
'''),
    Attempt("project04.statistics", "numbers with axes of none", '''
def analyze_attention_patterns(attention_weights):
    w, n = attention_weights, len(attention_weights)
    near = torch.ones(n, n).triu(-1).tril(1).bool()
    return {
        "max_attention": w.max(),
        "entropy": torch.special.entr(w).sum(1).mean(),
        "diagonal_mass": torch.trace(w) / n,
        "local_vs_global": w[near].sum() / w[~near].sum(),
    }
'''),
    Attempt("project04.causal_mask", "masked_fill", '''
def create_causal_mask(seq_len, device="cpu"):
    later = torch.ones(seq_len, seq_len, device=device).triu(1).bool()
    return torch.zeros(seq_len, seq_len, device=device).masked_fill(later, float("-inf"))
'''),
    Attempt("project04.reverse_mask", "the transpose of the other", '''
def create_reverse_mask(seq_len, device="cpu"):
    return create_causal_mask(seq_len, device).T
'''),
    Attempt("project04.two_models", "transposed for cross_entropy", '''
def next_token_loss(logits, tokens):
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:])
'''),
    Attempt("project04.two_models", "by hand", '''
def next_token_loss(logits, tokens):
    logs = logits[:, :-1].log_softmax(-1)
    return -logs.gather(-1, tokens[:, 1:, None]).mean()
'''),
    Attempt("project04.bonus_topk", "the smallest of the best as a threshold", '''
def topk_attention(Q, K, V, k):
    scores = Q @ K.mT / K.shape[-1] ** 0.5
    least = scores.topk(k, dim=-1).values[..., -1:]
    weights = scores.masked_fill(scores < least, -torch.inf).softmax(-1)
    return weights @ V, weights
'''),
    Attempt("project04.bonus_dropout", "bernoulli", '''
def attention_dropout(weights, p, training):
    if training and p > 0:
        return weights * torch.bernoulli(torch.full_like(weights, 1 - p)) / (1 - p)
    return weights
'''),
    Attempt("m5.shapes", "torch.Size", '''
def attention_shapes(batch, seq_len, d_k, d_v):
    key, value, square = ((batch, seq_len, last) for last in (d_k, d_v, seq_len))
    return dict(Q=torch.Size(key), K=key, V=value, scores=square, weights=square, output=torch.Size(value))
'''),
    Attempt("m5.weights", "where", '''
def attention_weights(scores, mask=None):
    if mask is None:
        return scores.softmax(-1)
    weights = scores.masked_fill(mask.logical_not(), -torch.inf).softmax(-1)
    return torch.where(mask.any(-1, keepdim=True), weights, 0.0)
'''),
    Attempt("m5.gradients", "row by row", '''
def gradients(Q, K, V, G):
    d_k = Q.shape[-1]
    P = torch.softmax(Q @ K.T / d_k**0.5, dim=-1)
    dP = G @ V.T
    dS = torch.stack([(torch.diag(p) - torch.outer(p, p)) @ dp for p, dp in zip(P, dP)]) / d_k**0.5
    return dS @ K, dS.T @ Q, P.T @ G
'''),
    Attempt("modern.rotary", "complex numbers", '''
def rotate(x, positions, base=10000.0):
    half = x.shape[-1] // 2
    angles = torch.outer(positions.double(), base ** (-torch.arange(half).double() / half))
    turned = torch.complex(*x.double().split(half, dim=-1)) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)
'''),
    Attempt("modern.rotary", "the half that is turned by 90 degrees", '''
def rotate_half(x):
    a, b = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-b, a), dim=-1)


def rotate(x, positions, base=10000.0):
    d = x.shape[-1]
    speeds = 1.0 / (base ** (torch.arange(0, d, 2, dtype=torch.float64) / d))
    angles = torch.einsum("n,i->ni", positions.double(), speeds).repeat(1, 2)
    return (x * angles.cos() + rotate_half(x) * angles.sin()).to(x.dtype)
'''),
    Attempt("modern.grouped", "places", '''
def repeat_heads(shared, num_heads):
    return shared[:, torch.arange(num_heads) * shared.size(1) // num_heads]
'''),
    Attempt("modern.grouped", "expand and reshape", '''
def repeat_heads(shared, num_heads):
    batch, heads, n, d = shared.shape
    return shared.unsqueeze(2).expand(batch, heads, num_heads // heads, n, d).reshape(batch, num_heads, n, d)
'''),
    Attempt("modern.cache", "a mask that is added, a list", '''
def attend_next(query, key, value, cache=None):
    if cache is not None:
        key, value = (torch.cat(pair, dim=-2) for pair in zip(cache, (key, value)))
    m, n = query.size(1), key.size(1)
    ahead = torch.full((m, n), -torch.inf, dtype=query.dtype).triu(n - m + 1)
    scores = torch.baddbmm(ahead, query, key.mT, alpha=query.size(-1) ** -0.5)
    return torch.bmm(scores.softmax(2), value), [key, value]
'''),
    Attempt("modern.cache", "token by token", '''
def attend_next(query, key, value, cache=None):
    keys, values = cache or (key[:, :0], value[:, :0])
    outputs = []
    for t in range(query.shape[1]):
        keys = torch.cat([keys, key[:, t : t + 1]], 1)
        values = torch.cat([values, value[:, t : t + 1]], 1)
        scores = torch.einsum("bd,bnd->bn", query[:, t], keys) * query.shape[-1] ** -0.5
        outputs.append(torch.einsum("bn,bnd->bd", scores.softmax(-1), values))
    return torch.stack(outputs, 1), (keys, values)
'''),
    Attempt("modern.window", "two triangles", '''
def window_mask(n_q, n_k, window):
    last = n_k - n_q
    return torch.ones(n_q, n_k).tril(last).triu(last - window + 1).bool()
'''),
    Attempt("modern.window", "loops", '''
def window_mask(n_q, n_k, window):
    mask = torch.zeros(n_q, n_k, dtype=torch.bool)
    for row in range(n_q):
        own = row + n_k - n_q
        mask[row, max(0, own - window + 1) : own + 1] = True
    return mask
'''),
    Attempt("modern.softcap", "where", '''
def cap_scores(scores, cap, allowed):
    return torch.where(allowed, (scores / cap).tanh() * cap, -torch.inf)
'''),
    Attempt("modern.sinks", "a larger denominator", '''
def weights_with_sink(scores, sink):
    sink = sink.view(-1, 1, 1)
    top = torch.maximum(scores.amax(-1, keepdim=True), sink)
    e = (scores - top).exp()
    return e / (e.sum(-1, keepdim=True) + (sink - top).exp())
'''),
    Attempt("modern.sinks", "the sink first, in logarithms", '''
def weights_with_sink(scores, sink):
    heads, n_q, _ = scores.shape
    both = torch.cat([sink.reshape(heads, 1, 1).repeat(1, n_q, 1), scores], dim=2)
    return both.log_softmax(dim=2).exp()[:, :, 1:]
'''),
)  # fmt: skip
"""Each must pass."""
