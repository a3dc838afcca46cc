"""Right, as those write who have just learned it: loops, lists, other libraries, everything by hand."""

from tests.course_content.attempts.attempt import Attempt

BEGINNERS = (
    Attempt("basics.attention", "parameters as matrices", '''
class SimpleAttention(nn.Module):
    def __init__(self, n_embd: int = 768) -> None:
        super().__init__()
        self.W_q = nn.Parameter(torch.randn(n_embd, n_embd) / n_embd**0.5)
        self.W_k = nn.Parameter(torch.randn(n_embd, n_embd) / n_embd**0.5)
        self.W_v = nn.Parameter(torch.randn(n_embd, n_embd) / n_embd**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Q, K, V = x @ self.W_q, x @ self.W_k, x @ self.W_v
        print("scores", (Q @ K.transpose(1, 2)).shape)
        return torch.softmax(Q @ K.transpose(1, 2), dim=2) @ V
'''),
    Attempt("basics.attention", "ModuleDict and a loop over the batch", '''
class SimpleAttention(nn.Module):
    def __init__(self, n_embd=768):
        super().__init__()
        self.proj = nn.ModuleDict({name: nn.Linear(n_embd, n_embd) for name in ("q", "k", "v")})
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x):
        outs = []
        for one in x:
            q, k, v = self.proj["q"](one), self.proj["k"](one), self.proj["v"](one)
            outs.append(self.softmax(q.matmul(k.t())).matmul(v))
        return torch.stack(outs, dim=0)
'''),
    Attempt("basics.attention", "softmax by hand in two loops", '''
class SimpleAttention(nn.Module):
    def __init__(self, n_embd=768):
        super().__init__()
        self.q = nn.Linear(n_embd, n_embd)
        self.k = nn.Linear(n_embd, n_embd)
        self.v = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        q, k, v = self.q(x), self.k(x), self.v(x)
        out = torch.zeros_like(x)
        for b in range(x.shape[0]):
            for i in range(x.shape[1]):
                s = torch.stack([q[b, i].dot(k[b, j]) for j in range(x.shape[1])])
                e = torch.exp(s - s.max())
                w = e / e.sum()
                out[b, i] = sum(w[j] * v[b, j] for j in range(x.shape[1]))
        return out
'''),
    Attempt("basics.reading", "nonzero", '''
def strongest_pair(weights, tokens):
    row, col = (weights == weights.max()).nonzero()[0].tolist()
    return (tokens[row], tokens[col], weights[row, col].item())
'''),
    Attempt("basics.shuffling", "norm", '''
def shuffling_gap(attention, x, order):
    import torch
    a = attention(x[:, order, :])
    b = attention(x).index_select(1, order)
    return torch.linalg.vector_norm(a - b, ord=float("inf")).item()
'''),
    Attempt("chapter01.similarity", "np.inner", '''
def similarity(Q, K):
    return np.inner(Q, K)
'''),
    Attempt("chapter01.similarity", "broadcast", '''
def similarity(Q, K):
    return (Q[:, None, :] * K[None, :, :]).sum(axis=2)
'''),
    Attempt("chapter01.softmax", "apply_along_axis", '''
def softmax(scores):
    def one(row):
        e = np.exp(row - row.max())
        return e / e.sum()
    return np.apply_along_axis(one, -1, scores)
'''),
    Attempt("chapter01.softmax", "a loop over rows of a matrix", '''
def softmax(scores):
    weights = np.zeros_like(scores)
    for i in range(scores.shape[0]):
        e = np.exp(scores[i] - np.max(scores[i]))
        weights[i] = e / np.sum(e)
    return weights
'''),
    Attempt("chapter01.attention", "in place where the mask is False", '''
def attention(Q, K, V, mask=None):
    n_q, d_k = Q.shape
    scores = similarity(Q, K)
    scores /= np.sqrt(d_k)
    if mask is not None:
        scores[~mask] = -np.inf
    weights = softmax(scores)
    return np.dot(weights, V), weights
'''),
    Attempt("chapter01.attention", "loops", '''
def attention(Q, K, V, mask=None):
    n_q, n_k, d_k = Q.shape[0], K.shape[0], Q.shape[1]
    weights = np.zeros((n_q, n_k))
    output = np.zeros((n_q, V.shape[1]))
    for i in range(n_q):
        for j in range(n_k):
            if mask is None or mask[i, j]:
                weights[i, j] = np.dot(Q[i], K[j]) / np.sqrt(d_k)
            else:
                weights[i, j] = -np.inf
        weights[i] = np.exp(weights[i] - weights[i].max())
        weights[i] /= weights[i].sum()
        for j in range(n_k):
            output[i] += weights[i, j] * V[j]
    return output, weights
'''),
    Attempt("chapter01.heatmap", "pyplot's own functions, shown", '''
def plot_weights(weights, tokens):
    fig = plt.figure(figsize=(6, 5))
    plt.imshow(weights, cmap="Blues")
    plt.clim(0, 1)
    plt.colorbar(label="weight")
    plt.xticks(range(len(tokens)), tokens, rotation=45, ha="right")
    plt.yticks(np.arange(len(tokens)), labels=tokens)
    plt.xlabel("to (key)")
    plt.ylabel("from (query)")
    plt.title("attention")
    plt.tight_layout()
    plt.show()
    return fig
'''),
    Attempt("chapter01.comparison", "subplot, shared", '''
def plot_scale_comparison(scaled, unscaled, tokens):
    fig, axs = plt.subplots(ncols=2, sharey=True)
    for ax, w, title in ((axs[0], scaled, "scaled"), (axs[1], unscaled, "not scaled")):
        im = ax.imshow(w, vmin=0, vmax=1)
        ax.set(title=title, xlabel="to (key)", ylabel="from (query)")
        ax.set_xticks(range(len(tokens)), tokens)
        ax.set_yticks(range(len(tokens)), tokens)
    fig.colorbar(im, ax=axs)
    return fig
'''),
    Attempt("chapter01.entropy", "warnings of NumPy", '''
def compute_attention_entropy(weights):
    return -np.sum(np.nan_to_num(weights * np.log(weights)), axis=-1)
'''),
    Attempt("chapter01.top_keys", "argpartition", '''
def find_top_k_attended(weights, query_idx, k=3):
    row = weights[query_idx]
    best = np.argpartition(row, -k)[-k:]
    return best[np.argsort(row[best])][::-1]
'''),
    Attempt("chapter01.merge_heads", "a loop into zeros", '''
def merge_heads(heads):
    b, h, n, d = heads.shape
    out = np.zeros((b, n, h * d))
    for i in range(h):
        out[:, :, i * d : (i + 1) * d] = heads[:, i]
    return out
'''),
    Attempt("chapter01.torch_mask", "numbers that are added", '''
def to_torch_mask(allowed):
    return torch.zeros(allowed.shape).masked_fill(~allowed, float("-inf"))
'''),
    Attempt("chapter01.torch_mask", "where", '''
def to_torch_mask(allowed):
    return torch.where(allowed, 0.0, -torch.inf)
'''),
    Attempt("chapter01.torch_layer", "heads in a list", '''
class MultiHeadAttention(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(embed_dim, embed_dim)
        self.key = nn.Linear(embed_dim, embed_dim)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.output = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, mask=None):
        Q = self.query(x).chunk(self.num_heads, dim=-1)
        K = self.key(x).chunk(self.num_heads, dim=-1)
        V = self.value(x).chunk(self.num_heads, dim=-1)
        heads = []
        for q, k, v in zip(Q, K, V):
            scores = q @ k.mT / q.shape[-1] ** 0.5
            if mask is not None:
                scores = torch.where(mask, scores, torch.tensor(float("-inf")))
            heads.append(scores.softmax(dim=-1) @ v)
        return self.output(torch.cat(heads, dim=-1))
'''),
    Attempt("chapter01.milestone", "a state dict", '''
def from_torch(theirs):
    ours = MultiHeadAttention(theirs.embed_dim, theirs.num_heads)
    q, k, v = theirs.in_proj_weight.chunk(3)
    e = theirs.embed_dim
    has_bias = theirs.in_proj_bias is not None
    bq, bk, bv = theirs.in_proj_bias.chunk(3) if has_bias else (torch.zeros(e),) * 3
    ours.load_state_dict({
        "query.weight": q, "query.bias": bq,
        "key.weight": k, "key.bias": bk,
        "value.weight": v, "value.bias": bv,
        "output.weight": theirs.out_proj.weight,
        "output.bias": theirs.out_proj.bias if has_bias else torch.zeros(e),
    })
    return ours
'''),
    Attempt("chapter01.milestone", "new parameters", '''
def from_torch(theirs):
    E = theirs.embed_dim
    ours = MultiHeadAttention(E, theirs.num_heads)
    W = theirs.in_proj_weight.detach()
    ours.query.weight = nn.Parameter(W[:E].clone())
    ours.key.weight = nn.Parameter(W[E : 2 * E].clone())
    ours.value.weight = nn.Parameter(W[2 * E :].clone())
    ours.output.weight = nn.Parameter(theirs.out_proj.weight.detach().clone())
    if theirs.in_proj_bias is None:
        for layer in (ours.query, ours.key, ours.value, ours.output):
            layer.bias = None
    else:
        b = theirs.in_proj_bias.detach()
        ours.query.bias = nn.Parameter(b[:E])
        ours.key.bias = nn.Parameter(b[E : 2 * E])
        ours.value.bias = nn.Parameter(b[2 * E :])
        ours.output.bias = nn.Parameter(theirs.out_proj.bias.detach())
    return ours
'''),
    Attempt("lab1.self_attention", "baddbmm, a buffer", '''
class SelfAttention(nn.Module):
    def __init__(self, embed_dim):
        super().__init__()
        self.qkv = nn.Linear(embed_dim, embed_dim * 3)
        self.register_buffer("scale", torch.tensor(1.0 / embed_dim**0.5))

    def forward(self, x):
        q, k, v = torch.split(self.qkv(x), x.size(-1), dim=-1)
        attn = torch.softmax(torch.einsum("bid,bjd->bij", q, k) * self.scale, dim=-1)
        return torch.einsum("bij,bjd->bid", attn, v), attn
'''),
    Attempt("lab1.multihead", "one small layer for each head", '''
class MultiHeadAttention(nn.Module):
    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        if embed_dim % num_heads != 0:
            raise ValueError("embed_dim must be divisible by num_heads")
        self.head_dim = embed_dim // num_heads
        self.q = nn.ModuleList([nn.Linear(embed_dim, self.head_dim) for _ in range(num_heads)])
        self.k = nn.ModuleList([nn.Linear(embed_dim, self.head_dim) for _ in range(num_heads)])
        self.v = nn.ModuleList([nn.Linear(embed_dim, self.head_dim) for _ in range(num_heads)])
        self.out = nn.Linear(embed_dim, embed_dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        outputs, maps = [], []
        if mask is not None:
            mask = mask.expand(x.shape[0], len(self.q), x.shape[1], x.shape[1])
        for h, (q, k, v) in enumerate(zip(self.q, self.k, self.v)):
            scores = q(x) @ k(x).transpose(1, 2) / self.head_dim**0.5
            if mask is not None:
                scores = scores.masked_fill(~mask[:, h], float("-inf"))
            weights = torch.nan_to_num(scores.softmax(-1))
            outputs.append(self.drop(weights) @ v(x))
            maps.append(weights)
        return self.out(torch.cat(outputs, dim=-1)), torch.stack(maps, dim=1)
'''),
    Attempt("lab1.cross", "bmm with heads beside the sequences", '''
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
        h, d = self.num_heads, e // self.num_heads
        m = context.shape[1]
        q = self.query(x).view(b, n, h, d).transpose(1, 2).reshape(b * h, n, d)
        k = self.key(context).view(b, m, h, d).transpose(1, 2).reshape(b * h, m, d)
        v = self.value(context).view(b, m, h, d).transpose(1, 2).reshape(b * h, m, d)
        w = torch.bmm(q, k.transpose(1, 2)).div(d**0.5).softmax(dim=2)
        o = torch.bmm(w, v).view(b, h, n, d).permute(0, 2, 1, 3).contiguous().view(b, n, e)
        return self.output(o)
'''),
    Attempt("lab1.head_distances", "cdist", '''
def head_distances(weights):
    flat = weights.flatten(1)
    return torch.cdist(flat, flat, p=1) / (2 * weights.shape[1])
'''),
    Attempt("project04.attention", "a low number, then times the mask", '''
def attention(Q, K, V, mask=None, scale=True):
    d_k = Q.size(-1)
    scores = torch.matmul(Q, K.transpose(-2, -1))
    if scale:
        scores = scores / math.sqrt(d_k)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    weights = torch.softmax(scores, dim=-1)
    if mask is not None:
        weights = weights * mask
    return torch.matmul(weights, V), weights


import math
'''),
    Attempt("project04.attention", "a loop over the batch", '''
def attention(Q, K, V, mask=None, scale=True):
    outs, maps = [], []
    for b in range(len(Q)):
        s = Q[b] @ K[b].T
        if scale:
            s = s / torch.sqrt(torch.tensor(K.shape[-1], dtype=s.dtype))
        if mask is not None:
            s[mask[b] == 0] = float("-inf")
        w = torch.nan_to_num(torch.softmax(s, dim=1), nan=0)
        outs.append(w @ V[b])
        maps.append(w)
    return torch.stack(outs), torch.stack(maps)
'''),
    Attempt("project04.attention", "exp and sums, masked after exp", '''
def attention(Q, K, V, mask=None, scale=True):
    scores = Q @ K.mT
    if scale:
        scores = scores * Q.shape[-1] ** -0.5
    e = torch.exp(scores - scores.max(dim=-1, keepdim=True).values)
    if mask is not None:
        e = e * (mask != 0)
    total = e.sum(dim=-1, keepdim=True)
    attention_weights = torch.where(total > 0, e / total, torch.zeros_like(e))
    return attention_weights @ V, attention_weights
'''),
    Attempt("project04.statistics", "a distribution", '''
def analyze_attention_patterns(attention_weights):
    n = attention_weights.shape[0]
    i, j = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    local = attention_weights[(i - j).abs() <= 1].sum()
    far = attention_weights[(i - j).abs() > 1].sum()
    return {
        "max_attention": float(attention_weights.max()),
        "entropy": float(torch.distributions.Categorical(probs=attention_weights).entropy().mean()),
        "diagonal_mass": float(torch.diagonal(attention_weights).sum() / attention_weights.sum()),
        "local_vs_global": float(local / far),
    }
'''),
    Attempt("project04.causal_mask", "the logarithm of a triangle", '''
def create_causal_mask(seq_len, device="cpu"):
    return torch.log(torch.tril(torch.ones(seq_len, seq_len, device=device)))
'''),
    Attempt("project04.two_models", "nll, a loop", '''
def next_token_loss(logits, tokens):
    total = 0.0
    for t in range(tokens.shape[1] - 1):
        total = total + F.nll_loss(F.log_softmax(logits[:, t], dim=-1), tokens[:, t + 1])
    return total / (tokens.shape[1] - 1)
'''),
    Attempt("project04.bonus_topk", "weights scattered", '''
def topk_attention(Q, K, V, k):
    scores = Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5
    values, places = torch.topk(scores, k)
    weights = torch.zeros_like(scores)
    weights.scatter_(2, places, torch.softmax(values, dim=-1))
    return weights @ V, weights
'''),
    Attempt("m5.weights", "by hand", '''
def attention_weights(scores, mask=None):
    e = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
    if mask is not None:
        e = e * mask
    total = e.sum(dim=-1, keepdim=True)
    return e / total.clamp(min=1e-12)
'''),
    Attempt("m5.gradients", "einsum and the Jacobian", '''
def gradients(Q, K, V, G):
    scale = Q.shape[-1] ** -0.5
    P = (Q @ K.T * scale).softmax(-1)
    J = torch.diag_embed(P) - torch.einsum("ij,ik->ijk", P, P)
    dS = torch.einsum("ijk,ik->ij", J, torch.einsum("id,jd->ij", G, V))
    return scale * dS @ K, scale * dS.mT @ Q, P.mT @ G
'''),
    Attempt("modern.rotary", "by matrices", '''
def rotate(x, positions, base=10000.0):
    d = x.shape[-1]
    half = d // 2
    out = torch.empty_like(x)
    for t, p in enumerate(positions.tolist()):
        for i in range(half):
            angle = torch.tensor(p * base ** (-2 * i / d), dtype=x.dtype)
            a, b = x[..., t, i], x[..., t, i + half]
            out[..., t, i] = a * torch.cos(angle) - b * torch.sin(angle)
            out[..., t, i + half] = a * torch.sin(angle) + b * torch.cos(angle)
    return out
'''),
    Attempt("modern.sinks", "log-sum-exp", '''
def weights_with_sink(scores, sink):
    total = torch.logaddexp(scores.logsumexp(dim=-1, keepdim=True), sink.reshape(-1, 1, 1))
    return torch.exp(scores - total)
'''),
)  # fmt: skip
"""Each must pass."""
